/* SPDX-License-Identifier: MIT */
#include "os/procgroup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/identity.h"
#include "os/procfs.h"

#define SIGNAL_PROCESS_GROUP (1U << 2) /* PIDFD_SIGNAL_PROCESS_GROUP, which older headers lack */
#define SCANS_MAX 16                   /* a group that forks faster than it can be signalled does not hold the loop */

static bool force_scan;

struct member {
    pid_t pid;
    uint64_t start_ticks;
};

typedef void (*member_fn)(void *ctx, const struct member *member, int pidfd);

struct scan {
    const struct procgroup *group;
    member_fn fn;
    void *ctx;
    int err; /* of a process that could not be looked at */
};

void procgroup_force_scan(bool on)
{
    force_scan = on;
}

static bool is_member(const struct procgroup *group, const struct procfs_stat *st)
{
    return !procfs_is_dead(st) && st->pgrp == group->pgid && st->session == group->pgid &&
           st->start_ticks >= group->leader_start;
}

/* The number belongs to somebody else by now: then none of ours is left, or it would still be taken. */
static bool number_was_used_again(const struct procgroup *group)
{
    struct procfs_stat st;

    return group->leader_start != 0 && procfs_read_stat(group->pgid, &st) == 0 && st.start_ticks != group->leader_start;
}

/* Is PID a member, with ST what /proc tells of it?  Where that cannot be learnt, the scan knows that it is not whole. */
static bool look_at(struct scan *scan, pid_t pid, struct procfs_stat *st)
{
    int rc = procfs_read_stat(pid, st);

    if (rc == 0)
        return is_member(scan->group, st);
    /* Where /proc is mounted with hidepid, those of others cannot be looked at; none of them is a member. */
    if (rc != -ESRCH && rc != -EACCES && rc != -EPERM)
        scan->err = rc;
    return false;
}

static bool scan_one(void *ctx, pid_t pid)
{
    struct scan *scan = ctx;
    struct procfs_stat st;

    if (!look_at(scan, pid, &st))
        return true;
    struct member member = {.pid = pid, .start_ticks = st.start_ticks};
    int pidfd = identity_open(pid, st.start_ticks);
    if (pidfd == -ESRCH)
        return true;
    /* Now that the process is held: is it still one of the group? */
    if (pidfd < 0 || look_at(scan, pid, &st))
        scan->fn(scan->ctx, &member, pidfd);
    if (pidfd >= 0)
        close(pidfd);
    return true;
}

/*
 * Calls FN with each living member and its pidfd, which is closed afterwards (or
 * the -errno with which it could not be opened).  0, or a -errno: then there may be
 * more of them, for not every process could be looked at.
 */
static int each_member(const struct procgroup *group, member_fn fn, void *ctx)
{
    struct scan scan = {.group = group, .fn = fn, .ctx = ctx};

    if (number_was_used_again(group))
        return 0;
    int rc = procfs_each(scan_one, &scan);
    return rc < 0 ? rc : scan.err;
}

struct signalling {
    int signo;
    struct member *done;
    size_t n_done;
    size_t n_new;       /* in this scan */
    size_t n_delivered; /* in all */
    int err;
};

static void signal_member(void *ctx, const struct member *member, int pidfd)
{
    struct signalling *s = ctx;

    for (size_t i = 0; i < s->n_done; i++) {
        if (s->done[i].pid == member->pid && s->done[i].start_ticks == member->start_ticks)
            return;
    }
    s->done = xreallocarray(s->done, s->n_done + 1, sizeof(*s->done));
    s->done[s->n_done++] = *member;
    s->n_new++;

    int rc = pidfd < 0 ? pidfd : identity_signal(pidfd, s->signo);
    if (rc == 0)
        s->n_delivered++;
    else if (rc != -ESRCH)
        s->err = rc;
}

/* Members may fork while they are looked for: scans until one finds nobody new. */
static int signal_by_scan(const struct procgroup *group, int signo)
{
    struct signalling s = {.signo = signo};

    for (int i = 0; i < SCANS_MAX; i++) {
        s.n_new = 0;
        int rc = each_member(group, signal_member, &s);
        if (rc < 0)
            s.err = rc;
        if (s.n_new == 0)
            break;
    }
    free(s.done);
    if (s.n_delivered > 0)
        return 0;
    return s.err != 0 ? s.err : -ESRCH;
}

/* The whole group in one step.  -EINVAL: this kernel cannot. */
static int signal_by_pidfd(const struct procgroup *group, int signo)
{
    if (force_scan || group->leader_pidfd < 0)
        return -EINVAL;
    return syscall(SYS_pidfd_send_signal, group->leader_pidfd, signo, NULL, SIGNAL_PROCESS_GROUP) == -1 ? -errno : 0;
}

static int signal_group(const struct procgroup *group, int signo)
{
    int rc = signal_by_pidfd(group, signo);
    if (rc != -EINVAL)
        return rc;
    if (group->leader_pinned)
        return kill(-group->pgid, signo) == -1 ? -errno : 0;
    return signal_by_scan(group, signo);
}

static bool leader_runs(const struct procgroup *group)
{
    struct pollfd pfd = {.fd = group->leader_pidfd, .events = POLLIN};

    return group->leader_pidfd >= 0 && poll(&pfd, 1, 0) == 0;
}

int procgroup_signal(const struct procgroup *group, int signo)
{
    /* kill(2) takes 0 and 1 for something quite different. */
    if (group->pgid <= 1)
        return -ESRCH;

    int rc = signal_group(group, signo);
    /* A child that has not called setsid(2) yet is a group by itself, which nobody leads. */
    if (rc == -ESRCH && leader_runs(group))
        return identity_signal(group->leader_pidfd, signo);
    if (rc == -ESRCH && group->leader_pidfd < 0 && group->leader_pinned)
        return kill(group->pgid, signo) == -1 ? -errno : 0;
    return rc;
}
