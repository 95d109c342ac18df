/* SPDX-License-Identifier: MIT */
/*
 * What a process leaves behind when it ends: counted, and watched until nothing
 * is left.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "supd/cgroups.h"
#include "supd/process.h"

/* How many are watched at a time; when they have ended it is looked again. */
#define LEFTOVERS_MAX 32
/* How often it is looked at where no member could be opened. */
#define LEFTOVERS_POLL (100 * USEC_PER_MSEC)

/* What a process that has ended has left. */
struct leftovers {
    struct process *process;
    size_t n;
    struct leftover {
        struct leftovers *all;
        int pidfd; /* -1: has ended */
        struct loop_io *io;
    } items[LEFTOVERS_MAX];
    struct loop_timer *timer;
};

void leftovers_free(struct leftovers *left)
{
    if (!left)
        return;
    for (size_t i = 0; i < left->n; i++) {
        loop_io_free(left->items[i].io);
        if (left->items[i].pidfd >= 0)
            close(left->items[i].pidfd);
    }
    loop_timer_free(left->timer);
    free(left);
}

/* Those that are left, N of them held by PIDFDS. */
static void keep(struct process *process, const int *pidfds, size_t n, size_t total)
{
    struct leftovers *left = total > 0 ? xcalloc(1, sizeof *left) : NULL;

    for (size_t i = 0; left && i < n; i++)
        left->items[i] = (struct leftover){.all = left, .pidfd = pidfds[i]};
    if (left) {
        left->process = process;
        left->n = n;
    }
    leftovers_free(process->leftovers);
    process->leftovers = left;
    process_tell_left(process, (unsigned)total);
}

void leftovers_counted(struct process *process, size_t total)
{
    int pidfds[LEFTOVERS_MAX];
    size_t n = tree_open(process, pidfds, LEFTOVERS_MAX);

    keep(process, pidfds, n, total);
}

/* Where the cgroup is the service, nobody has to be looked for. */
static void count(struct process *process)
{
    int pidfds[LEFTOVERS_MAX];

    if (!cgroups_is_whole(process)) {
        tree_count(process);
        return;
    }
    size_t total = cgroups_open_members(process->service, pidfds, LEFTOVERS_MAX);
    keep(process, pidfds, total < LEFTOVERS_MAX ? total : LEFTOVERS_MAX, total);
}

static void on_timer(void *ctx)
{
    struct leftovers *left = ctx;

    count(left->process);
}

static void on_ended(void *ctx)
{
    struct leftover *item = ctx;
    struct leftovers *left = item->all;

    loop_io_free(item->io);
    item->io = NULL;
    close(item->pidfd);
    item->pidfd = -1;
    for (size_t i = 0; i < left->n; i++) {
        if (left->items[i].pidfd >= 0)
            return;
    }
    count(left->process);
}

void leftovers_watch(struct process *process)
{
    struct leftovers *left = process->leftovers;
    struct loop *loop = process->service->sup->loop;
    bool watched = false;

    for (size_t i = 0; i < left->n; i++) {
        struct leftover *item = &left->items[i];

        if (item->pidfd >= 0 && !item->io)
            item->io = loop_io_new(loop, item->pidfd, LOOP_READ, on_ended, item);
        watched = watched || item->io;
    }
    if (cgroups_is_whole(process))
        cgroups_watch_end(process->service);
    if (watched || left->timer)
        return;
    /* None could be opened (we are short of descriptors): look again. */
    left->timer = loop_timer_new(loop, on_timer, left);
    loop_timer_set(left->timer, LEFTOVERS_POLL);
}

void leftovers_check(struct process *process)
{
    /* What it had below it comes to us only now that it has ended. */
    if (process->is_child)
        process->check_after_reap = true;
    else
        count(process);
}

void leftovers_leader_reaped(struct process *process)
{
    if (!process->check_after_reap)
        return;
    process->check_after_reap = false;
    count(process);
}
