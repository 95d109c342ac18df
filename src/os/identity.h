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
#include "core/usage.h"

/* The epoch that this process lives in.  0 or -errno with errno text's object in *WHAT (static). */
int identity_epoch(struct epoch *epoch, const char **what);

/*
 * A pidfd (close-on-exec) of the process PID that started at START_TICKS.
 * Returns it, or -ESRCH when there is no such process, or it is another one with
 * the same number, or another -errno.  A zombie can be opened.
 */
int identity_open(pid_t pid, uint64_t start_ticks);

/*
 * The inode of a pidfd: one for each process of this boot (Linux 6.9), and so a better name than the start time, which
 * has a grain of 10 ms.  0 where the kernel has none.
 */
uint64_t identity_inode(int pidfd);

/* Is it one, and says by itself which process it is?  Where numbers of inodes are cut short it does not. */
bool identity_inode_tells(uint64_t inode);

/* As identity_open(), by INODE where it is known (not 0), which no other process of this boot has. */
int identity_open_recorded(pid_t pid, uint64_t start_ticks, uint64_t inode);

/* The kernel's number of the cgroup (v2) that the process is in, Linux 6.13; 0: not known. */
uint64_t identity_cgroup(int pidfd);

/*
 * Has PID, our child, memory of its own, and so has not begun to end?  Asked without /proc, whose entries of a process cost
 * as much again at its end.  False: it has none, or the kernel does not tell.
 */
bool identity_has_memory(pid_t pid);

/* pidfd_open(2), close-on-exec; fd or -errno. */
int identity_pidfd(pid_t pid);

/* pidfd_send_signal(2); 0 or -errno. */
int identity_signal(int pidfd, int signo);

/*
 * Has the process PID that started at START_TICKS ended, all its threads?  Asked of
 * PIDFD, or of /proc where PIDFD is -1 (then a /proc that cannot be read says no).
 */
bool identity_has_ended(int pidfd, pid_t pid, uint64_t start_ticks);

/*
 * How the process behind PIDFD (-1: none at hand; pid PID, started at START_TICKS, not our child)
 * ended, by PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15, once it was reaped)
 * or by /proc/PID/stat while it is a zombie (0 only with CAP_SYS_PTRACE, and since Linux 5.17).  Returns true with how, code, signal,
 * core and source set; false: not to be told now, perhaps a moment later.
 */
bool identity_exit_status(int pidfd, pid_t pid, uint64_t start_ticks, struct exit_info *exit);

/*
 * What the process PID that started at START_TICKS, not our child, has used, told by /proc while it is a zombie
 * (memory, switches and .run_time are not); all zero once it was reaped.
 */
struct usage identity_zombie_usage(pid_t pid, uint64_t start_ticks);

/* Fills how, code, signal and core from a wait status, wait(2). */
void identity_exit_from_wait_status(int wait_status, struct exit_info *exit);

/* Has this kernel PIDFD_GET_INFO with exit status?  Asked once. */
bool identity_have_pidfd_exit(void);

/*
 * Does /proc tell how the process ended (Linux 5.17; asked once)?  Before that it is how its first thread did: 0 where that left
 * before the others, however the process ended.
 */
bool identity_have_process_status(void);

/*
 * Is the status 0 of the zombie PID that of the process?  Not before Linux 5.17 where threads have run beside its first
 * one, which may have gone on without it.
 */
bool identity_is_success(pid_t pid);

/* For tests: do as a kernel that lacks these. */
enum identity_lack {
    IDENTITY_LACKS_NOTHING = 0,
    IDENTITY_LACKS_EXIT = 1,           /* PIDFD_INFO_EXIT, before 6.15 */
    IDENTITY_LACKS_INODE = 2,          /* pidfs, before 6.9 */
    IDENTITY_LACKS_PIDFD = 4,          /* pidfd_open(2), before 5.3 or in a sandbox */
    IDENTITY_LACKS_PROCESS_STATUS = 8, /* the status of the process, not of its first thread, in /proc, before 5.17 */
};

/* LACKS: those that are lacking from now on, or-ed. */
void identity_pretend(unsigned lacks);

#endif
