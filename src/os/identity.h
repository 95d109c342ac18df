/* SPDX-License-Identifier: MIT */
/*
 * Which process is meant.  A pid alone is never enough: numbers are used again.
 * A process is (epoch, pid, start time); it is opened as a pidfd first and
 * verified after, and from then on only the pidfd is used.
 */
#ifndef SUPD_OS_IDENTITY_H
#define SUPD_OS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/policy.h"
#include "core/record.h"

/* The epoch that this process lives in.  0 or -errno with errno text's object in *WHAT (static). */
int identity_epoch(struct epoch *epoch, const char **what);

/*
 * A pidfd (close-on-exec) of the process PID that started at START_TICKS.
 * Returns it, or -ESRCH when there is no such process, or it is another one with
 * the same number, or another -errno.  A zombie can be opened.
 */
int identity_open(pid_t pid, uint64_t start_ticks);

/* pidfd_open(2), close-on-exec; fd or -errno. */
int identity_pidfd(pid_t pid);

/* pidfd_send_signal(2); 0 or -errno. */
int identity_signal(int pidfd, int signo);

/*
 * How the process behind PIDFD (pid PID, started at START_TICKS, not our child)
 * ended, by PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15, once it was reaped)
 * or by /proc/PID/stat while it is a zombie.  Returns true with how, code, signal,
 * core and source set; false: not to be told now, perhaps a moment later.
 */
bool identity_exit_status(int pidfd, pid_t pid, uint64_t start_ticks, struct exit_info *exit);

/* Fills how, code, signal and core from a wait status, wait(2). */
void identity_exit_from_wait_status(int wait_status, struct exit_info *exit);

/* Has this kernel PIDFD_GET_INFO with exit status?  Asked once. */
bool identity_have_pidfd_exit(void);

#endif
