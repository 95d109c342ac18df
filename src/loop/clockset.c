/* SPDX-License-Identifier: MIT */
#include "loop/clockset.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

struct clockset {
    int fd;
    struct loop_io *io;
    void (*fn)(void *ctx);
    void *ctx;
};

/* As late as it goes. */
#define NEVER (sizeof(time_t) > 4 ? (time_t)INT64_C(8000000000) : INT32_MAX)

/* Never due, but ended early when the clock is set. */
static int arm(int fd)
{
    const struct itimerspec never = {.it_value.tv_sec = NEVER};

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static void on_set(void *ctx)
{
    struct clockset *clockset = ctx;
    uint64_t times;

    if (read(clockset->fd, &times, sizeof times) < 0 && errno != ECANCELED)
        return;
    arm(clockset->fd);
    log_debug("the wall clock was set, or the machine has slept");
    clockset->fn(clockset->ctx);
}

struct clockset *clockset_new(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    struct clockset *clockset;

    if (fd < 0)
        return NULL;
    clockset = xcalloc(1, sizeof *clockset);
    *clockset = (struct clockset){.fd = fd, .fn = fn, .ctx = ctx};
    clockset->io = arm(fd) == 0 ? loop_io_new(loop, fd, LOOP_READ, on_set, clockset) : NULL;
    if (clockset->io)
        return clockset;
    int error = errno;
    clockset_free(clockset);
    errno = error;
    return NULL;
}

void clockset_free(struct clockset *clockset)
{
    if (!clockset)
        return;
    loop_io_free(clockset->io);
    close(clockset->fd);
    free(clockset);
}
