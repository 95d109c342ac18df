/* SPDX-License-Identifier: MIT */
/*
 * The receiving end of sd_notify(3): a datagram socket that a service finds by NOTIFY_SOCKET.
 * Who has sent a message is told by the kernel (SCM_CREDENTIALS).
 */
#ifndef SUPD_OS_NOTIFYSOCK_H
#define SUPD_OS_NOTIFYSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/ancillary.h"

#define NOTIFYSOCK_DIR "notify" /* in the runtime directory */

/*
 * Where the socket of SERVICE is: RUNTIME/notify/SERVICE, or a shorter name where that would be too long for the address
 * of a socket; the same each time.  To be freed; NULL with ERR written where no name is short enough.
 */
char *notifysock_path(const char *runtime_dir, const char *service, char *err, size_t err_size);

/*
 * A new socket (nonblocking, close-on-exec) at PATH, in place of what is there.  Everybody may write to it, so that a
 * service may change its user.  -1 with ERR written.
 */
int notifysock_open(const char *path, char *err, size_t err_size);

/* Is FD a socket that notifysock_open() has made for PATH, and is the path there still? */
bool notifysock_is(int fd, const char *path);

struct notifysock_message {
    char text[4096 + 1];
    size_t len;
    bool whole;             /* else it was longer, or who sent it is not known */
    struct ancillary along; /* descriptors: close-on-exec, the caller's */
};

/*
 * The next message, which stays in the queue until notifysock_done(): what is done because of it may be broken off by our
 * death, and is then done by the next one who reads.  False: there is none now.
 */
bool notifysock_look(int fd, struct notifysock_message *message);

/* Takes the message that was looked at out of the queue, with what came along. */
void notifysock_done(int fd);

/* Throws away what has come so far, at most as much as a queue may hold. */
void notifysock_discard(int fd);

/* Is PID a process of the service?  It is by its session, by one of those above it, or by its environment. */
struct notifysock_owner {
    pid_t leader;         /* the main process: leader of its session; 0: none */
    const char *service;  /* SUPD_SERVICE */
    const char *instance; /* SUPD_INSTANCE */
};

bool notifysock_is_member(pid_t pid, const struct notifysock_owner *owner);

#endif
