/* SPDX-License-Identifier: MIT */
/*
 * By a pidfd in the loop.  Where there is a netlink socket beside it, its events
 * tell the status that the kernel does not keep.
 */
#include "loop/watch_way.h"

static void on_end(void *ctx)
{
    struct watch *watch = ctx;

    /* Told once: from here on the pidfd is always readable. */
    loop_io_free(watch->io);
    watch->io = NULL;
    watch_check(watch);
}

void watch_pidfd_add(struct watch *watch)
{
    if (watch->watcher->netlink != NULL)
        watch_netlink_add(watch);
    if (watch->pidfd >= 0)
        watch->io = loop_io_new(watch->watcher->loop, watch->pidfd, LOOP_READ, on_end, watch);
    if (watch->io != NULL)
        return;
    watch->polled = true;
    watch_check_soon(watch);
}

void watch_pidfd_remove(struct watch *watch)
{
    loop_io_free(watch->io);
}

static enum watch_answer pidfd_status(struct watch *watch, struct exit_info *exit)
{
    if (watch->watcher->netlink == NULL || watch_netlink_status(watch, exit) == WATCH_ASK)
        return WATCH_ASK;
    return WATCH_ASK_FIRST;
}

const struct watch_way watch_way_pidfd = {
    .name = "pidfd",
    .add = watch_pidfd_add,
    .remove = watch_pidfd_remove,
    .status = pidfd_status,
};
