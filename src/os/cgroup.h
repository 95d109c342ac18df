/* SPDX-License-Identifier: MIT */
/*
 * The control group (cgroup v2) of one service: a directory, made and removed by us.
 *
 * A service's cgroup is TREE/NAME.service, where TREE (os/cgroup_tree.h) carries the id of our runtime directory in its
 * name: so a directory is known as ours by its path, also when it was made below another place by an earlier supd.
 * What is done to a cgroup is done to the ones below it, which the service may have made.
 *
 * All return 0 or -errno unless said otherwise.  The kernel answers at once: nothing here waits.
 */
#ifndef SUPD_OS_CGROUP_H
#define SUPD_OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is seen of a cgroup. */
struct cgroup_usage {
    bool has_memory;
    uint64_t memory; /* bytes, with the page cache that is charged to it */
    bool has_cpu;
    int64_t cpu; /* us, of all processes that were ever in it */
    bool has_tasks;
    uint64_t tasks; /* threads */
};

/* What all that were ever in it have used, themselves or below. */
struct cgroup_totals {
    bool has_cpu;
    uint64_t cpu_user;   /* us */
    uint64_t cpu_system; /* us */
    bool has_memory_peak;
    uint64_t memory_peak; /* bytes charged at most; Linux 5.19 */
    bool has_io;
    uint64_t io_read; /* bytes, from and to disks */
    uint64_t io_written;
};

/* Pressure stall information, percent of the time in which something waited, averaged over that many seconds. */
struct cgroup_pressure {
    double some10, some60, some300;
    double full10, full60, full300;
};

/* Makes the directory.  -EEXIST: it was there already. */
int cgroup_make(const char *path);

/* Has it given controllers to cgroups of its own?  Then no process may be in itself. */
bool cgroup_is_inner(const char *path);

/* Removes the directory and those below it.  -EBUSY: a process is in one of them; then all that could go has gone. */
int cgroup_remove(const char *path);

/* A descriptor of the directory (close-on-exec), as spawn_process() wants it, or -errno. */
int cgroup_open(const char *path);

/* FILE of the cgroup with one read(2), ended by a NUL, without its last line end. */
int cgroup_read(const char *path, const char *file, char *buf, size_t size);
/* The same for one number; -ERANGE when there is another word ("max"). */
int cgroup_read_number(const char *path, const char *file, uint64_t *value);
/* The number behind KEY in a file of "KEY NUMBER" lines (cgroup.events, memory.events, cpu.stat). */
int cgroup_read_key(const char *path, const char *file, const char *key, uint64_t *value);

/* Writes VALUE with one write(2) to a FILE that is there. */
int cgroup_write(const char *path, const char *file, const char *value);

/* Is a process in it or below?  False where the directory is gone; true where it cannot be learnt (no descriptor left). */
bool cgroup_populated(const char *path);

/*
 * Sends SIGNO to every process in it and below: each is opened as a pidfd and verified to be in the cgroup still, until a
 * look finds no new one.  SIGKILL goes by cgroup.kill (Linux 5.14) in one step, which no fork escapes.  0 when at least
 * one was there, -ESRCH when none, else another -errno.
 */
int cgroup_signal(const char *path, int signo);

/*
 * Pidfds (close-on-exec, the caller's) of the processes in it and below, at most MAX, -1 for one that could not be
 * opened; returns how many there are in all.
 */
size_t cgroup_open_members(const char *path, int *pidfds, size_t max);

/*
 * Calls FN with the pid of each process in it and below, as it is in our PID namespace, until FN returns false.  A number
 * only: it may have ended and be another's by then.
 */
void cgroup_each_member(const char *path, bool (*fn)(void *ctx, pid_t pid), void *ctx);

/* Stops all its processes, or lets them go on.  SIGKILL ends also what is frozen. */
int cgroup_freeze(const char *path, bool on);
/* Is it to be frozen, by its own switch? */
bool cgroup_frozen(const char *path);

/* What FILES of the controllers that it has tell. */
void cgroup_read_usage(const char *path, struct cgroup_usage *usage);

void cgroup_read_totals(const char *path, struct cgroup_totals *totals);

/* How many of its processes the OOM killer has killed since it was made; 0 where that is not to be learnt. */
uint64_t cgroup_oom_kills(const char *path);

/* RESOURCE: memory, cpu or io.  False where the kernel does not tell. */
bool cgroup_read_pressure(const char *path, const char *resource, struct cgroup_pressure *pressure);

/* For tests: do as a kernel without cgroup.kill. */
void cgroup_pretend_no_kill(bool on);

#endif
