/* SPDX-License-Identifier: MIT */
#include "os/mainpid.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/identity.h"
#include "os/procfs.h"

static bool environ_is(pid_t pid, const char *key, const char *want)
{
    char *value = procfs_environ_get(pid, key);
    bool is = value && strcmp(value, want) == 0;

    free(value);
    return is;
}

/* What the start command was given has come down to it. */
static bool carries_our_id(const struct mainpid_origin *origin, pid_t pid)
{
    char starter[16];

    snprintf(starter, sizeof starter, "%d", (int)origin->starter);
    return environ_is(pid, "SUPD_INSTANCE", origin->instance) && environ_is(pid, "SUPD_SERVICE", origin->service) &&
           environ_is(pid, "SUPD_EXEC_PID", starter);
}

/*
 * It was handed to us when its parent ended, and tells of no other service.  Not one that we have forked: before its
 * exec that has our own environment, and before its setsid(2), as our helpers for ever, our session.
 */
static bool is_ours_and_nameless(const struct mainpid_origin *origin, pid_t pid, const struct procfs_stat *st)
{
    if (st->ppid != getpid() || st->session == getsid(0) || origin->is_known_child(origin->ctx, pid))
        return false;
    char *service = procfs_environ_get(pid, "SUPD_SERVICE");
    bool nameless = service == NULL;
    free(service);
    return nameless;
}

static bool belongs(const struct mainpid_origin *origin, pid_t pid, const struct procfs_stat *st)
{
    if (procfs_is_dead(st) || st->start_ticks < origin->starter_start ||
        (pid == origin->starter && !origin->or_starter))
        return false;
    return (origin->starter_start != 0 && st->session == origin->starter) || carries_our_id(origin, pid);
}

/* What is said to be the main process need show less than what is only found. */
static bool may_be_named(const struct mainpid_origin *origin, pid_t pid, const struct procfs_stat *st)
{
    return belongs(origin, pid, st) ||
           (!procfs_is_dead(st) && st->start_ticks >= origin->starter_start && is_ours_and_nameless(origin, pid, st));
}

bool mainpid_read(const char *path, pid_t *pid, char *why, size_t why_size)
{
    char text[32];
    char *end;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        snprintf(why, why_size, "%s", strerror(errno));
        return false;
    }
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text - 1) : -1;
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    long number = strtol(text, &end, 10);
    if (n <= 0 || end == text || number <= 0 || number > INT_MAX || end[strspn(end, " \t\r\n")] != '\0') {
        snprintf(why, why_size, n == 0 ? "it is empty" : "it does not hold the number of a process");
        return false;
    }
    *pid = (pid_t)number;
    return true;
}

static uint64_t group_start_of(pid_t group)
{
    struct procfs_stat st;

    return procfs_read_stat(group, &st) == 0 && !procfs_is_dead(&st) ? st.start_ticks : 1;
}

bool mainpid_take(const struct mainpid_origin *origin, pid_t pid, struct mainpid *found, char *why, size_t why_size)
{
    struct procfs_stat st;

    if (pid <= 1 || pid == getpid() || procfs_read_stat(pid, &st) < 0 || procfs_is_dead(&st)) {
        snprintf(why, why_size,
                 pid <= 1 || pid == getpid() ? "process %d is none of this service's" : "there is no process %d",
                 (int)pid);
        return false;
    }
    int pidfd = identity_open(pid, st.start_ticks);
    if (pidfd < 0) {
        snprintf(why, why_size, "process %d cannot be opened: %s", (int)pid, strerror(-pidfd));
        return false;
    }
    /* Now that it is held: is it what it was taken for? */
    if (procfs_read_stat(pid, &st) < 0 || !may_be_named(origin, pid, &st)) {
        snprintf(why, why_size, "process %d is none of this service's", (int)pid);
        close(pidfd);
        return false;
    }
    *found = (struct mainpid){
        .pid = pid,
        .start_ticks = st.start_ticks,
        .pidfd = pidfd,
        .group = st.pgrp,
        .group_start = st.pgrp == pid ? st.start_ticks : group_start_of(st.pgrp),
        .is_child = st.ppid == getpid(),
    };
    return true;
}

struct scan {
    const struct mainpid_origin *origin;
    struct candidate {
        pid_t pid;
        pid_t ppid;
    } * items;
    size_t n;
};

static bool scan_one(void *ctx, pid_t pid)
{
    struct scan *scan = ctx;
    struct procfs_stat st;

    if (procfs_read_stat(pid, &st) < 0 || !belongs(scan->origin, pid, &st))
        return true;
    scan->items = xreallocarray(scan->items, scan->n + 1, sizeof *scan->items);
    scan->items[scan->n++] = (struct candidate){.pid = pid, .ppid = st.ppid};
    return true;
}

static bool has_parent_among(const struct scan *scan, const struct candidate *item)
{
    for (size_t i = 0; i < scan->n; i++) {
        if (scan->items[i].pid == item->ppid)
            return true;
    }
    return false;
}

bool mainpid_guess(const struct mainpid_origin *origin, struct mainpid *found, size_t *left, char *why, size_t why_size)
{
    struct scan scan = {.origin = origin};
    pid_t pid = 0;

    *left = 0;
    procfs_each(scan_one, &scan);
    for (size_t i = 0; i < scan.n; i++) {
        if (has_parent_among(&scan, &scan.items[i]))
            continue;
        pid = scan.items[i].pid;
        (*left)++;
    }
    free(scan.items);
    if (*left == 1)
        return mainpid_take(origin, pid, found, why, why_size);
    if (*left == 0)
        snprintf(why, why_size, "its command has ended and left no process");
    else
        snprintf(why, why_size, "its command has left %zu processes: say by pid-file which is the main one", *left);
    return false;
}

void mainpid_remove_stale(const char *path)
{
    char why[128];
    struct procfs_stat st;
    pid_t pid;

    if (!mainpid_read(path, &pid, why, sizeof why))
        return;
    if (procfs_read_stat(pid, &st) < 0 || procfs_is_dead(&st))
        unlink(path);
}
