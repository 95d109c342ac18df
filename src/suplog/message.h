/* SPDX-License-Identifier: MIT */
/*
 * A line of a service's output as a message to the journal or to the system log, and the sockets of both.
 *
 * sd_journal_sendv(3) would not do: where journald is not there it says that all is well.
 */
#ifndef SUPD_SUPLOG_MESSAGE_H
#define SUPD_SUPLOG_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/log_stream.h"

#define MESSAGE_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MESSAGE_SYSLOG_SOCKET "/dev/log"

/*
 * A line's priority, syslog(3): the <N> in front of it, as sd-daemon(3) defines, which *LINE and *LEN step over; else
 * LOG_INFO, and LOG_WARNING for standard error.
 */
int message_priority(const struct log_stream *stream, const char **line, size_t *len);

/* LINE, without its newline, as a datagram of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). */
void message_journal(const struct log_stream *stream, int32_t pid, const char *line, size_t len, struct buf *out);

/* The same as RFC 5424 has it.  HOST is our name, WALL (us) the time. */
void message_syslog(const struct log_stream *stream, int32_t pid, const char *host, int64_t wall, const char *line,
                    size_t len, struct buf *out);

/* A datagram socket that is connected to PATH, or -errno. */
int message_connect(const char *path);

#endif
