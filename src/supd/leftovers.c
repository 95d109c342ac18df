/* SPDX-License-Identifier: MIT */
/*
 * What a process leaves behind in its process group when it ends: counted, and
 * watched until nothing is left.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/procgroup.h"
#include "supd/process.h"

/* Members of a group that are watched at a time; when they have ended it is looked at again. */
#define LEFTOVERS_MAX 32
/* How often it is looked at where no member could be opened. */
#define LEFTOVERS_POLL (100 * USEC_PER_MSEC)

/* Processes of a group whose leader has ended. */
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

static void count(struct process *process)
{
    struct procgroup group = process_group(process);
    struct leftovers *left = xcalloc(1, sizeof *left);
    int pidfds[LEFTOVERS_MAX];
    size_t total = 0;

    left->process = process;
    if (procgroup_alive(&group))
        total = procgroup_open(&group, pidfds, LEFTOVERS_MAX);
    left->n = total < LEFTOVERS_MAX ? total : LEFTOVERS_MAX;
    for (size_t i = 0; i < left->n; i++)
        left->items[i] = (struct leftover){.all = left, .pidfd = pidfds[i]};

    leftovers_free(process->leftovers);
    process->leftovers = left;
    process_tell_left(process, (unsigned)total);
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
    if (watched || left->timer)
        return;
    /* None could be opened (we are short of descriptors): look again. */
    left->timer = loop_timer_new(loop, on_timer, left);
    loop_timer_set(left->timer, LEFTOVERS_POLL);
}

void leftovers_check(struct process *process)
{
    /* While the leader is a zombie it counts as a member. */
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
