/* SPDX-License-Identifier: MIT */
/*
 * What /proc tells about processes, proc(5).
 */
#ifndef SUPD_OS_PROCFS_H
#define SUPD_OS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
    char state; /* R S D Z T t X ... */
    pid_t ppid;
    pid_t pgrp;
    pid_t session;
    uint64_t utime; /* ticks of sysconf(_SC_CLK_TCK) */
    uint64_t stime;
    uint64_t waited_utime; /* the same of the children that it has waited for */
    uint64_t waited_stime;
    uint64_t faults_minor; /* with theirs */
    uint64_t faults_major;
    uint64_t num_threads;
    uint64_t start_ticks; /* since boot */
    uint64_t rss_pages;
    uint64_t end_code;  /* where its code ends; 0: not to be seen, or its exec is not through */
    uint64_t env_start; /* where its environment is; 0: not to be seen, or there is none yet, amid its exec */
    uint64_t env_end;
    bool exiting;          /* it is ending, or has ended */
    bool died_before_exec; /* it is ending, or has ended, and has executed nothing since it was forked */
    int exit_code;         /* wait status, field 52; 0 without CAP_SYS_PTRACE-like rights, whatever it was */
};

/* Reads /proc/PID/stat with one read(2).  Returns 0 or a negative errno (-ESRCH: no such process).  The
 * command name may hold any byte, spaces, parentheses and newlines too. */
int procfs_read_stat(pid_t pid, struct procfs_stat *st);

/* Has the whole process ended?  The leader of a threaded program may have, and is shown as a zombie, while its threads
 * live on. */
bool procfs_is_dead(const struct procfs_stat *st);

/* The start time of the calling process.  Async-signal-safe: for use between fork and exec.  0 or -errno. */
int procfs_self_start_ticks(uint64_t *ticks);

/* A walk through all process numbers in /proc that can be broken off and gone on with. */
struct procfs_walk;
/* NULL with errno. */
struct procfs_walk *procfs_walk_new(void);
/* The next one.  0: there is none, or /proc cannot be read on, which errno tells (else 0). */
pid_t procfs_walk_next(struct procfs_walk *walk);
void procfs_walk_free(struct procfs_walk *walk); /* NULL is fine */

/*
 * Calls FN for each process number in /proc (the thread group leaders), in
 * ascending order of the directory; FN returns false to stop.  0 or -errno.
 */
int procfs_each(bool (*fn)(void *ctx, pid_t pid), void *ctx);

/* Of two pid_t, for qsort(3) and bsearch(3): ascending. */
int procfs_compare_pids(const void *a, const void *b);

/*
 * Calls FN for each child of PID, all its threads', that /proc knows; a child that ends meanwhile may hide others, unless
 * nobody reaps the children but the caller.  0, -ESRCH when there is no such process, -ENOSYS where the kernel does not
 * tell (CONFIG_PROC_CHILDREN), or another -errno.
 */
int procfs_each_child(pid_t pid, void (*fn)(void *ctx, pid_t child), void *ctx);
/* Opens, close-on-exec and for good, what makes that quick for our own children. */
void procfs_keep_own(void);
/* And closed again. */
void procfs_leave_own(void);

/* The name of PID, comm, with bytes that are not printable as '?'; "?" when it is gone. */
#define PROCFS_COMM_MAX 64
void procfs_comm(pid_t pid, char comm[PROCFS_COMM_MAX]);

/*
 * The whole of /proc/PID/environ, to be freed, of *LEN bytes and a NUL behind; NULL with errno set when it cannot be read.
 * Amid its exec, for some microseconds, a process has none: it is waited for, 2 ms at most; then errno is EAGAIN.
 */
char *procfs_environ(pid_t pid, size_t *len);
/* The value of KEY in such a block, or NULL. */
const char *procfs_environ_find(const char *block, size_t len, const char *key);

/* The value of KEY in /proc/PID/environ, to be freed; NULL when unset or not readable. */
char *procfs_environ_get(pid_t pid, const char *key);

/* Effective uid of PID, from the owner of /proc/PID; false when it is gone. */
bool procfs_uid(pid_t pid, uid_t *uid);

/* Have we CAP_SYS_PTRACE in the effective set (without it field 52 is always 0)? */
bool procfs_have_ptrace_cap(void);

#endif
