/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/slab_block.h"
#include "base/units.h"

#define IO_RETRY (100 * USEC_PER_MSEC)

struct loop {
    struct event_base *base;
    bool stopped;
};

struct loop_timer {
    struct event event;
    loop_timer_fn fn;
    void *ctx;
};

struct loop_io {
    struct event event;
    struct event retry; /* set while the kernel has no room for one more descriptor to be watched */
    loop_io_fn fn;
    void *ctx;
};

struct loop_signal {
    struct event event;
    loop_signal_fn fn;
    void *ctx;
};

static struct slab slab_of_timers = SLAB_OF(struct loop_timer);
static struct slab slab_of_ios = SLAB_OF(struct loop_io);

static void forward_log(int severity, const char *msg)
{
    switch (severity) {
    case EVENT_LOG_DEBUG:
        log_debug("libevent: %s", msg);
        break;
    case EVENT_LOG_MSG:
        log_info("libevent: %s", msg);
        break;
    case EVENT_LOG_WARN:
        log_warning("libevent: %s", msg);
        break;
    default:
        log_error("libevent: %s", msg);
        break;
    }
}

struct loop *loop_new(void)
{
    event_set_log_callback(forward_log);
    /* Without memory libevent would lose an event and go on. */
    event_set_mem_functions(slab_block_new, slab_block_resize, slab_block_free);

    struct event_config *config = event_config_new();
    if (config == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    /* Delays are counted from the call, not from the start of the turn, and by the clock that clock_now() reads:
     * libevent's default is a coarse clock, on which a timer fires some milliseconds before its time. */
    event_config_set_flag(config,
                          EVENT_BASE_FLAG_NO_CACHE_TIME | EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_IGNORE_ENV);
    errno = 0;
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (base == NULL) {
        if (errno == 0)
            errno = ENOSYS;
        return NULL;
    }

    struct loop *loop = xcalloc(1, sizeof(*loop));
    loop->base = base;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    event_base_free(loop->base);
    free(loop);
}

int loop_run(struct loop *loop)
{
    /* A stop that was asked for before the loop ran is obeyed too; libevent would forget it. */
    while (!loop->stopped) {
        if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) == -1)
            return -1;
    }
    loop->stopped = false;
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    event_base_loopbreak(loop->base);
}

void loop_drain(struct loop *loop)
{
    /* A signal comes through a pipe: once the pipe is seen, its callback is called; the second turn is for what came late. */
    for (int i = 0; i < 2; i++)
        event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

/* Fails only without memory; and a timer or a signal that is lost silently is worse than a death. */
static void must_add(struct event *event, const struct timeval *timeout)
{
    if (event_add(event, timeout) == 0)
        return;
    log_error("libevent: an event cannot be added: %s", strerror(errno));
    abort();
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *timer = arg;

    (void)fd;
    (void)what;
    timer->fn(timer->ctx);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn fn, void *ctx)
{
    struct loop_timer *timer = slab_new(&slab_of_timers);

    timer->fn = fn;
    timer->ctx = ctx;
    evtimer_assign(&timer->event, loop->base, on_timer, timer);
    return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay)
{
    if (delay < 0)
        delay = 0;

    struct timeval tv = {.tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC};
    must_add(&timer->event, &tv);
}

void loop_timer_soon(struct loop_timer *timer)
{
    event_del(&timer->event);
    event_active(&timer->event, EV_TIMEOUT, 1);
}

void loop_timer_clear(struct loop_timer *timer)
{
    event_del(&timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    event_del(&timer->event);
    slab_free(&slab_of_timers, timer);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct loop_io *io = arg;

    (void)fd;
    (void)what;
    io->fn(io->ctx);
}

static void io_try_later(struct loop_io *io)
{
    static const struct timeval pause = {.tv_usec = IO_RETRY};

    must_add(&io->retry, &pause);
}

/* Nothing was lost meanwhile: what can be read or written still can. */
static void on_io_retry(evutil_socket_t fd, short what, void *arg)
{
    struct loop_io *io = arg;

    (void)fd;
    (void)what;
    if (event_add(&io->event, NULL) < 0)
        io_try_later(io);
}

struct loop_io *loop_io_new(struct loop *loop, int fd, enum loop_io_kind kind, loop_io_fn fn, void *ctx)
{
    struct loop_io *io = slab_new(&slab_of_ios);
    short what = kind == LOOP_READ ? EV_READ : EV_WRITE;

    io->fn = fn;
    io->ctx = ctx;
    event_assign(&io->event, loop->base, fd, (short)(what | EV_PERSIST), on_io, io);
    evtimer_assign(&io->retry, loop->base, on_io_retry, io);
    if (event_add(&io->event, NULL) == 0)
        return io;

    int saved = errno;
    if (saved == ENOMEM || saved == ENOSPC) {
        log_warning("descriptor %d cannot be watched, trying again: %s", fd, strerror(saved));
        io_try_later(io);
        return io;
    }
    log_error("descriptor %d cannot be watched: %s", fd, strerror(saved));
    slab_free(&slab_of_ios, io);
    errno = saved;
    return NULL;
}

void loop_io_free(struct loop_io *io)
{
    if (io == NULL)
        return;
    event_del(&io->event);
    event_del(&io->retry);
    slab_free(&slab_of_ios, io);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct loop_signal *sig = arg;

    (void)what;
    sig->fn(sig->ctx, (int)signo);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_fn fn, void *ctx)
{
    struct loop_signal *sig = xcalloc(1, sizeof(*sig));
    sigset_t set;

    sig->fn = fn;
    sig->ctx = ctx;
    evsignal_assign(&sig->event, loop->base, signo, on_signal, sig);
    must_add(&sig->event, NULL);

    /* Whoever started us may have left it blocked. */
    sigemptyset(&set);
    sigaddset(&set, signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return sig;
}

void loop_signal_free(struct loop_signal *sig)
{
    if (sig == NULL)
        return;
    event_del(&sig->event);
    free(sig);
}
