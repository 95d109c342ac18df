/* SPDX-License-Identifier: MIT */
/*
 * The line on which suplog(8) is handed the FIFOs of logs before anybody writes into them.
 *
 * What was sent and not taken yet is kept open by the kernel, as long as suplog has its end: so a FIFO that was handed over
 * outlives supd and the service from then on, however busy suplog is.  The end of suplog is a socket that listens, with a
 * name in RUNTIME/log, by which a new supd finds a suplog that was there before it.
 */
#ifndef SUPD_OS_LOGLINE_H
#define SUPD_OS_LOGLINE_H

#include <stddef.h>

/* Makes the end of a suplog that is to be started, in the directory DIR.  A descriptor (close-on-exec) or -errno. */
int logline_listen(const char *dir);

/* Our end to whoever has the other one.  A descriptor (close-on-exec, nonblocking) or -errno. */
int logline_connect(const char *dir);

/*
 * Hands over FD, with LEN bytes of TEXT to tell what it is; -1: the text alone.  0 or -errno: -EAGAIN where too much is
 * waiting to be taken.
 */
int logline_send(int line, const char *text, size_t len, int fd);

#endif
