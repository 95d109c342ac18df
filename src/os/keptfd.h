/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are kept for somebody else, of whatever kind: which is which.
 */
#ifndef SUPD_OS_KEPTFD_H
#define SUPD_OS_KEPTFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* By what a socket, a pipe, a FIFO or a file is found again.  Of others, as an eventfd, all are zero. */
struct keptfd_id {
    uint64_t dev;
    uint64_t ino;
    uint32_t access; /* O_RDONLY, O_WRONLY or O_RDWR: the two ends of a pipe differ in nothing else */
};

struct keptfd_id keptfd_identify(int fd);

/* Are both the same open file?  False where the kernel does not tell (kcmp(2)). */
bool keptfd_same(int a, int b);

/* Is nobody at its other end any more (POLLHUP), or is it in error? */
bool keptfd_is_dead(int fd);

/*
 * A copy (close-on-exec) of what the process PID, whose pidfd is PIDFD, has open as ID, which is not all zero.  -ESRCH:
 * it has no such thing; other -errno.
 */
int keptfd_take_copy(int pidfd, pid_t pid, const struct keptfd_id *id);

#endif
