/* SPDX-License-Identifier: MIT */
/*
 * What watch.c and the four ways share.  A way says when to look (watch_check())
 * and what it has learnt by itself; whether the process has ended, and the asking
 * of the kernel, with patience for a parent that is slow to reap, are watch.c's.
 */
#ifndef SUPD_LOOP_WATCH_WAY_H
#define SUPD_LOOP_WATCH_WAY_H

#include "base/hash.h"
#include "loop/watch.h"

struct watch_netlink;

enum watch_answer {
    WATCH_TOLD,      /* the exit is filled in */
    WATCH_ASK,       /* not told by this way: the kernel is to be asked */
    WATCH_ASK_FIRST, /* filled in, but what the kernel says counts more where it says anything */
};

struct watch_way {
    const char *name;
    void (*add)(struct watch *watch);
    void (*remove)(struct watch *watch);
    /* WATCH has ended: how, as far as this way knows?  Not called for ways that tell by themselves. */
    enum watch_answer (*status)(struct watch *watch, struct exit_info *exit);
};

struct watcher {
    struct loop *loop;
    struct sigchld *sigchld;
    const struct watch_way *way;
    const char *name;
    char *reason;
    struct watch *watches; /* by pid */
    struct watch_netlink *netlink;
    struct loop_timer *poll_timer;
};

struct watch {
    struct watcher *watcher;
    int pidfd;
    pid_t pid;
    uint64_t start_ticks;
    watch_fn fn;
    void *ctx;
    struct loop_io *io; /* the pidfd in the loop; NULL: not, or it has told */
    struct loop_timer *timer;
    int64_t give_up; /* mono us; 0: its end has not been seen */
    int64_t retry;
    bool polled; /* looked at by a timer, because nothing else tells */
    bool gone;   /* seen by a poll, and to be told */

    struct {
        bool seen; /* wait_status is of the last event */
        int wait_status;
        bool differs;  /* its events told different ones */
        bool gap;      /* it ended in a gap: the last event may be lost */
        bool stranger; /* its number was used again: what comes is of another process */
    } event;           /* netlink */
    bool traced;       /* ptrace */

    UT_hash_handle by_pid;
};

extern const struct watch_way watch_way_pidfd;
extern const struct watch_way watch_way_netlink;
extern const struct watch_way watch_way_poll;
extern const struct watch_way watch_way_ptrace;

/* Looks whether WATCH has ended, and if so learns how and tells.  May free the watch, and others. */
void watch_check(struct watch *watch);

/* Looks again in the next turn of the loop, whatever else happens. */
void watch_check_soon(struct watch *watch);

/* Puts the pidfd into the loop; where that cannot be, the process is polled. */
void watch_pidfd_add(struct watch *watch);
void watch_pidfd_remove(struct watch *watch);

/*
 * Opens the socket of events.  0, or a negative errno with the step that failed in
 * *WHAT (static).  -ENOTCONN: nobody answers, for we are not in the first PID or user namespace.
 */
int watch_netlink_open(struct watcher *watcher, const char **what);
void watch_netlink_close(struct watcher *watcher);
/* Listens for WATCH too, and looks whether it has ended already. */
void watch_netlink_add(struct watch *watch);
/* What the events said of WATCH, those that wait in the socket too. */
enum watch_answer watch_netlink_status(struct watch *watch, struct exit_info *exit);

#endif
