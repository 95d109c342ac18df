/* SPDX-License-Identifier: MIT */
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* What our time namespace adds to the clocks of the machine. */
static struct {
    int64_t mono;       /* us */
    int64_t boot;       /* us */
    int64_t boot_ticks; /* as /proc/PID/stat counts */
} added;

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

int clock_init(void)
{
    char text[256];
    long long mono, mono_ns, boot, boot_ns;
    int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* a kernel without time namespaces */
    ssize_t n = read(fd, text, sizeof text - 1);
    int err = errno;
    close(fd);
    if (n < 0)
        return -err;
    text[n] = '\0';
    if (sscanf(text, "monotonic %lld %lld boottime %lld %lld", &mono, &mono_ns, &boot, &boot_ns) != 4)
        return -EPROTO;
    added.mono = mono * USEC_PER_SEC + mono_ns / 1000;
    added.boot = boot * USEC_PER_SEC + boot_ns / 1000;
    added.boot_ticks = added.boot / (USEC_PER_SEC / sysconf(_SC_CLK_TCK));
    return 0;
}

int64_t clock_machine_mono(int64_t mono)
{
    return mono - added.mono;
}

struct timestamp clock_now(void)
{
    return (struct timestamp){.mono = clock_machine_mono(read_clock(CLOCK_MONOTONIC)),
                              .wall = read_clock(CLOCK_REALTIME)};
}

int64_t clock_since_boot(void)
{
    return read_clock(CLOCK_BOOTTIME) - added.boot;
}

uint64_t clock_machine_ticks(uint64_t ticks)
{
    return ticks - (uint64_t)added.boot_ticks;
}
