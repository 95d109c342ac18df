/* SPDX-License-Identifier: MIT */
/*
 * One supervisor a runtime directory: RUNTIME/lock.
 *
 * Two locks stand on the file.  A record lock (fcntl(2), F_SETLK) belongs to the
 * supd process alone: who holds it is alive, and F_GETLK names its pid.  flock(2)
 * belongs to the open file, which a forked child shares until its exec closes it:
 * while it is held after its owner died, a half-started child is left, and the
 * state file is not complete yet.  So both are needed, in this order.
 *
 * Nobody in the process may open and close the file otherwise: that drops the record lock.
 */
#ifndef SUPD_OS_LOCK_H
#define SUPD_OS_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LOCK_INSTANCE_SIZE 33

struct lock {
    int fd;                            /* close-on-exec */
    char instance[LOCK_INSTANCE_SIZE]; /* random id of this runtime directory, as old as the file */
    bool fresh;                        /* the id was made just now: no service can carry it yet */
};

enum lock_result {
    LOCK_TAKEN,
    LOCK_OWNED, /* by a living supd */
    LOCK_ERROR,
};

/*
 * Takes DIR/lock, without waiting for a living owner.  For half-started
 * children of a dead one it waits 2 s, then kills them, saying so; WAITING (may be NULL) is
 * called about every 100 ms meanwhile.  *OWNER is the pid for LOCK_OWNED (0: in a
 * PID namespace that we do not see).  ERR is written for LOCK_ERROR.
 */
enum lock_result lock_take(const char *dir, struct lock *lock, pid_t *owner, void (*waiting)(void *), void *ctx,
                           char *err, size_t err_size);

/*
 * Goes on with the lock that this process took before it executed another binary: FD is the open lock file, inherited.
 * False with ERR written when it is not held.
 */
bool lock_inherit(struct lock *lock, int fd, char *err, size_t err_size);

/* Gives the lock up; the file stays. */
void lock_release(struct lock *lock);

#endif
