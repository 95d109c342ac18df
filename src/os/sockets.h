/* SPDX-License-Identifier: MIT */
/*
 * The sockets of the key `listen`: opening them, taking them back from a process that holds them, and closing them
 * with their path.
 */
#ifndef SUPD_OS_SOCKETS_H
#define SUPD_OS_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/socket_spec.h"

/*
 * A new socket (close-on-exec, above the standard streams), bound and, where it takes connections, listening.  A unix
 * socket has its mode and owner before anybody can reach it.  A path in the way is removed only where it is a socket of
 * supd's user, or of the one that owns the new one, on which nobody answers.
 * -1 with ERR written, "Address already in use" and its like, and no path is left behind.
 */
int sockets_open(const struct socket_spec *spec, char *err, size_t err_size);

/* Is FD a socket that sockets_open() could have made for SPEC, listening still? */
bool sockets_is(int fd, const struct socket_spec *spec);

/*
 * A copy (close-on-exec) of the socket of SPEC that the process PID, held by PIDFD, has open, perhaps as its descriptor
 * LIKELY; or -ESRCH where it has none, -EPERM where we may not look, -ENOSYS before Linux 5.6, or another -errno.
 */
int sockets_take_copy(int pidfd, pid_t pid, const struct socket_spec *spec, int likely);

/* The address of SPEC as connect(2) wants it, and its length; 0 with errno where an interface that it names is not there. */
socklen_t sockets_address(const struct socket_spec *spec, struct sockaddr_storage *addr);

/* Gives the path of a socket that is open already the mode and owner of SPEC.  False with ERR written. */
bool sockets_set_owner(const struct socket_spec *spec, char *err, size_t err_size);

/* Makes FD as the next process of the service expects it, whatever the one before did: its backlog, blocking or not. */
void sockets_prepare(int fd, const struct socket_spec *spec);

/* Which file a path is: it may have been removed, or replaced, since its socket was bound. */
struct sockets_file {
    dev_t dev;
    ino_t ino; /* 0: none, or the spec has no path */
};

struct sockets_file sockets_file(const struct socket_spec *spec);

/* Removes the path of SPEC where it is still FILE. */
void sockets_unlink(const struct socket_spec *spec, const struct sockets_file *file);

#endif
