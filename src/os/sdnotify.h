/* SPDX-License-Identifier: MIT */
/*
 * Telling systemd about supd, sd_notify(3), without ever blocking: messages that
 * find no room wait in a queue, bounded, and are sent by sdnotify_flush().
 */
#ifndef SUPD_OS_SDNOTIFY_H
#define SUPD_OS_SDNOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct sdnotify;

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment.
 * Returns NULL when nobody listens (every function here takes NULL and does
 * nothing).  A bad address is logged once and gives NULL.
 */
struct sdnotify *sdnotify_open(void);
void sdnotify_close(struct sdnotify *sd);

/* Queues and tries to send one datagram, "READY=1\nSTATUS=..." */
void sdnotify_send(struct sdnotify *sd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Keeps FD under NAME in the fd store (FDSTORE=1, FDPOLL=0: also once its process
 * has ended), or removes what is kept there.  Waits in a queue of its own, in which
 * a removal undoes a storing that has not gone out.  FD is borrowed until it was
 * sent or unstored: unstore before closing it.
 */
void sdnotify_store(struct sdnotify *sd, const char *name, int fd);
void sdnotify_unstore(struct sdnotify *sd, const char *name);

/* Sends what waits.  True when nothing is left. */
bool sdnotify_flush(struct sdnotify *sd);

/* The socket, to be watched for room while sdnotify_flush() is false; -1 for NULL. */
int sdnotify_fd(const struct sdnotify *sd);

/* How often WATCHDOG=1 is expected, us; 0 = not at all.  Send at half of it. */
int64_t sdnotify_watchdog_usec(const struct sdnotify *sd);

#endif
