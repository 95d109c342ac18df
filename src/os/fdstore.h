/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that whoever started us (systemd, or supd --init) has kept for us
 * over our death: the fd store of sd_notify(3), handed back as sd_listen_fds(3)
 * says.  Giving them to it is sdnotify.h's.
 *
 * Named "p" and the pid in base 36, or, a socket, "s" and a hash: all names together must fit into one
 * environment variable, which the kernel limits to 128 KiB.
 */
#ifndef SUPD_OS_FDSTORE_H
#define SUPD_OS_FDSTORE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FDSTORE_NAME_MAX 16

struct fdstore {
    struct fdstore_item {
        char *name;
        int fd; /* close-on-exec; -1 once it was taken */
    } * items;
    size_t n;
};

/* Takes what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of; call before anything else opens a descriptor. */
void fdstore_open(struct fdstore *store);

/* The number from which on no descriptor is of the store. */
int fdstore_end(const struct fdstore *store);

/* Closes what was not taken. */
void fdstore_close(struct fdstore *store);

/* The name under which the pidfd of PID is kept. */
const char *fdstore_name(pid_t pid, char name[FDSTORE_NAME_MAX]);

/* The name under which the socket of SERVICE for ADDRESS is kept. */
const char *fdstore_socket_name(const char *service, const char *address, char name[FDSTORE_NAME_MAX]);

/* What is kept under NAME, the caller's from now on; -1: nothing, or it was taken. */
int fdstore_take_named(struct fdstore *store, const char *name);

enum fdstore_found {
    FDSTORE_NONE,   /* there is none of this process */
    FDSTORE_LIVING, /* or a zombie */
    FDSTORE_ENDED,  /* it was reaped; its pidfd may still tell how it ended */
};

/*
 * The pidfd of the process PID that started at START_TICKS, which is the caller's from now on.  INODE as of
 * identity_inode(), and decides where it is known (not 0).
 */
enum fdstore_found fdstore_take(struct fdstore *store, pid_t pid, uint64_t start_ticks, uint64_t inode, int *pidfd);

#endif
