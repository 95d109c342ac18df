/* SPDX-License-Identifier: MIT */
/*
 * A process that does for supd what may block, and tells it through a pipe.  It is
 * not recorded: it dies with supd.
 */
#ifndef SUPD_OS_HELPER_H
#define SUPD_OS_HELPER_H

#include <sys/types.h>

/*
 * Forks.  In supd: the pid, with *FD the reading end of the pipe (nonblocking,
 * close-on-exec, the caller's); or -errno.  In the child: 0, with *FD the writing end
 * (close-on-exec, of a number from HELPER_FD on), every signal at its default and none
 * blocked.  What else the child has open of supd's it should close.
 */
pid_t helper_fork(int *fd);

#define HELPER_FD 10 /* above all that a child puts in place */

#endif
