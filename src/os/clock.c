/* SPDX-License-Identifier: MIT */
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
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

/* By the system call itself: a child of fork(2) has the C library's way to the vDSO to map first, which takes longer. */
uint64_t clock_boot_ticks(void)
{
    static int64_t ticks_per_second;
    struct {
        long sec;
        long nsec;
    } now = {0};

    if (ticks_per_second == 0)
        ticks_per_second = sysconf(_SC_CLK_TCK);
    syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
    return clock_machine_ticks((uint64_t)(now.sec * ticks_per_second + now.nsec / (1000000000 / ticks_per_second)));
}

uint64_t clock_machine_ticks(uint64_t ticks)
{
    return ticks - (uint64_t)added.boot_ticks;
}
