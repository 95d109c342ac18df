/* SPDX-License-Identifier: MIT */
/*
 * By the kernel's process events: a netlink socket for all watched processes.
 *
 * An event is a hint to look.  There is one for each thread, and that of a threaded
 * program's leader may come with code 0 while the process lives, so the status is
 * that of the last event before the process had ended.  Events name bare numbers: the fork of
 * a process under a watched number closes the case, and what comes after belongs to that
 * stranger.  Where events are lost (ENOBUFS) every process is looked at, and those that have ended
 * are not judged by what came before the gap.
 */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/watch_way.h"
#include "os/identity.h"

#define RECEIVE_BUFFER (4 << 20) /* bytes, some 5,000 events */
#define EVENTS_PER_TURN 4096

#define EVENT_AT (NLMSG_HDRLEN + offsetof(struct cn_msg, data))
#define FIELD_AT(field) ((uint32_t)(EVENT_AT + offsetof(struct proc_event, field)))

struct watch_netlink {
    int fd;
    struct loop_io *io;
};

struct event {
    uint32_t ack;
    struct proc_event proc;
};

/*
 * Ends of threads, forks of processes (not of threads), and answers to us; all else is
 * dropped before it takes room.  The program sees numbers in the order of the network.
 */
static int set_filter(int fd)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD_AT(what)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap32(PROC_EVENT_EXIT), 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap32(PROC_EVENT_FORK), 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD_AT(event_data.fork.child_pid)),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD_AT(event_data.fork.child_tgid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

/* Reads one event.  False with errno: EAGAIN when there is none. */
static bool read_event(int fd, struct event *event)
{
    union {
        struct nlmsghdr align;
        char bytes[512];
    } buf;
    struct sockaddr_nl from;
    struct iovec iov = {.iov_base = buf.bytes, .iov_len = sizeof(buf.bytes)};

    for (;;) {
        struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
        struct cn_msg cn;

        memset(&from, 0, sizeof(from));
        ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        /* Any process may write to the socket; only the kernel's number is 0. */
        if (from.nl_pid != 0 || (size_t)n < EVENT_AT + sizeof(event->proc))
            continue;
        memcpy(&cn, buf.bytes + NLMSG_HDRLEN, offsetof(struct cn_msg, data));
        if (cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC)
            continue;
        event->ack = cn.ack;
        memcpy(&event->proc, buf.bytes + EVENT_AT, sizeof(event->proc));
        return true;
    }
}

static int send_op(int fd, uint32_t op)
{
    struct nlmsghdr nl = {.nlmsg_len = EVENT_AT + sizeof(op), .nlmsg_type = NLMSG_DONE};
    struct cn_msg cn = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .ack = (uint32_t)getpid(), .len = sizeof(op)};
    struct iovec parts[] = {
        {.iov_base = &nl, .iov_len = NLMSG_HDRLEN},
        {.iov_base = &cn, .iov_len = sizeof(cn)},
        {.iov_base = &op, .iov_len = sizeof(op)},
    };
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = sizeof(parts) / sizeof(parts[0])};

    return sendmsg(fd, &msg, 0) < 0 ? -errno : 0;
}

/*
 * The kernel answers while the request is sent, or, in a namespace of processes of our own, never.
 * Everybody who listens gets all answers; ours carries our number.
 */
static int read_answer(int fd)
{
    struct event event;

    while (read_event(fd, &event)) {
        if (event.proc.what == PROC_EVENT_NONE && event.ack == (uint32_t)getpid() + 1)
            return -(int)event.proc.event_data.ack.err;
    }
    return errno == EAGAIN ? -ENOTCONN : -errno;
}

static int begin_listening(int fd, const char **what)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    int size = RECEIVE_BUFFER;

    *what = "bind";
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        return -errno;
    /* Less room is no error: what does not fit is told as lost. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    *what = "asking for events";
    int rc = send_op(fd, PROC_CN_MCAST_LISTEN);
    if (rc == 0)
        rc = read_answer(fd);
    if (rc < 0)
        return rc;
    *what = "filter";
    return set_filter(fd) == -1 ? -errno : 0;
}

/* ---- events ---- */

static void take_exit(struct watcher *watcher, const struct proc_event *event)
{
    pid_t pid = event->event_data.exit.process_tgid;
    int wait_status = (int)event->event_data.exit.exit_code;
    struct watch *watch;

    HASH_FIND(by_pid, watcher->watches, &pid, sizeof(pid), watch);
    if (watch == NULL || watch->event.stranger)
        return;
    watch->event.differs |= watch->event.seen && watch->event.wait_status != wait_status;
    watch->event.seen = true;
    watch->event.wait_status = wait_status;
    if (watcher->way == &watch_way_netlink)
        watch_check_soon(watch);
}

static void take_fork(struct watcher *watcher, const struct proc_event *event)
{
    pid_t pid = event->event_data.fork.child_tgid;
    struct watch *watch;

    HASH_FIND(by_pid, watcher->watches, &pid, sizeof(pid), watch);
    /* One that has not ended is not followed by another: this is its own fork, of a while ago. */
    if (watch == NULL || !watch->event.seen)
        return;
    watch->event.stranger = true;
    watch_check_soon(watch);
}

static void take_gap(struct watcher *watcher)
{
    log_warning("events of processes were lost: every watched process is looked at");
    for (struct watch *watch = watcher->watches; watch != NULL; watch = watch->by_pid.next) {
        if (identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
            watch->event.gap = true;
        watch_check_soon(watch);
    }
}

/* Takes what waits in the socket, up to a bound; frees no watch. */
static void drain(struct watcher *watcher)
{
    struct event event;
    bool gap = false;

    for (int i = 0; i < EVENTS_PER_TURN; i++) {
        if (!read_event(watcher->netlink->fd, &event)) {
            if (errno != ENOBUFS)
                break;
            gap = true;
            continue;
        }
        if (event.proc.what == PROC_EVENT_EXIT)
            take_exit(watcher, &event.proc);
        else if (event.proc.what == PROC_EVENT_FORK)
            take_fork(watcher, &event.proc);
    }
    if (gap)
        take_gap(watcher);
}

static void on_events(void *ctx)
{
    drain(ctx);
}

enum watch_answer watch_netlink_status(struct watch *watch, struct exit_info *exit)
{
    drain(watch->watcher);
    if (!watch->event.seen || watch->event.gap)
        return WATCH_ASK;
    exit->source = EXIT_SOURCE_NETLINK;
    identity_exit_from_wait_status(watch->event.wait_status, exit);
    return watch->event.differs ? WATCH_ASK_FIRST : WATCH_TOLD;
}

int watch_netlink_open(struct watcher *watcher, const char **what)
{
    *what = "socket";
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd == -1)
        return -errno;

    int rc = begin_listening(fd, what);
    struct loop_io *io = NULL;
    if (rc == 0) {
        *what = "event loop";
        io = loop_io_new(watcher->loop, fd, LOOP_READ, on_events, watcher);
        rc = io == NULL ? -errno : 0;
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    watcher->netlink = xcalloc(1, sizeof(*watcher->netlink));
    watcher->netlink->fd = fd;
    watcher->netlink->io = io;
    return 0;
}

void watch_netlink_close(struct watcher *watcher)
{
    if (watcher->netlink == NULL)
        return;
    loop_io_free(watcher->netlink->io);
    /* Older kernels count those who listen, and make events for as long as there is one. */
    send_op(watcher->netlink->fd, PROC_CN_MCAST_IGNORE);
    close(watcher->netlink->fd);
    free(watcher->netlink);
    watcher->netlink = NULL;
}

/* ---- the way ---- */

void watch_netlink_add(struct watch *watch)
{
    /* What waits in the socket is of the past, perhaps of an earlier owner of the number, unless it tells the end. */
    drain(watch->watcher);
    if (!identity_has_ended(watch->pidfd, watch->pid, watch->start_ticks))
        memset(&watch->event, 0, sizeof(watch->event));
    watch_check_soon(watch);
}

static void netlink_remove(struct watch *watch)
{
    (void)watch;
}

const struct watch_way watch_way_netlink = {
    .name = "netlink",
    .add = watch_netlink_add,
    .remove = netlink_remove,
    .status = watch_netlink_status,
};
