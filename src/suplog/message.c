/* SPDX-License-Identifier: MIT */
#include "suplog/message.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "suplog/format.h"

#define APP_NAME_MAX 48 /* RFC 5424, 6 */

int message_priority(const struct log_stream *stream, const char **line, size_t *len)
{
    const char *p = *line;

    if (*len >= 3 && p[0] == '<' && p[1] >= '0' && p[1] <= '7' && p[2] == '>') {
        *line += 3;
        *len -= 3;
        return p[1] - '0';
    }
    return stream->channel == LOG_CHANNEL_ERR ? LOG_WARNING : LOG_INFO;
}

/* The form that may have any byte in its value: name, newline, length as 64 bits in little endian, value, newline. */
static void add_field(struct buf *out, const char *name, const char *value, size_t len)
{
    uint64_t size = htole64(len);

    buf_addf(out, "%s\n", name);
    buf_add(out, &size, sizeof size);
    buf_add(out, value, len);
    buf_add_char(out, '\n');
}

void message_journal(const struct log_stream *stream, int32_t pid, const char *line, size_t len, struct buf *out)
{
    int priority = message_priority(stream, &line, &len);

    buf_addf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nSUPD_SERVICE=%s\nSUPD_STREAM=%s\n", priority, stream->service,
             stream->service, log_channel_name(stream->channel));
    if (pid > 0)
        buf_addf(out, "SYSLOG_PID=%d\nOBJECT_PID=%d\n", pid, pid);
    if (!stream->prefix) {
        add_field(out, "MESSAGE", line, len);
        return;
    }
    struct buf text = {0};
    buf_add_string(&text, stream->prefix);
    buf_add(&text, line, len);
    add_field(out, "MESSAGE", text.data, text.len);
    buf_free(&text);
}

void message_syslog(const struct log_stream *stream, int32_t pid, const char *host, int64_t wall, const char *line,
                    size_t len, struct buf *out)
{
    int priority = LOG_DAEMON | message_priority(stream, &line, &len);
    char when[64];
    char procid[16] = "-";

    format_time(LOG_TIMESTAMP_RFC3339, wall, when, sizeof when);
    if (pid > 0)
        snprintf(procid, sizeof procid, "%d", pid);
    buf_addf(out, "<%d>1 %s %s %.*s %s - - ", priority, when, host[0] ? host : "-", APP_NAME_MAX, stream->service,
             procid);
    if (stream->prefix)
        buf_add_string(out, stream->prefix);
    buf_add(out, line, len);
}

int message_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}
