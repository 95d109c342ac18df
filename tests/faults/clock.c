/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: the time of day is wrong by as many seconds as $CLOCK_FILE tells, an int64_t that may change at any
 * time.  The clocks that only run forward are as they are, or stand still where $CLOCK_STILL is set.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t offset(void)
{
    static const volatile int64_t *seconds;

    if (!seconds) {
        const char *path = getenv("CLOCK_FILE");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
            return 0;
        void *map = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (map == MAP_FAILED)
            return 0;
        seconds = map;
    }
    return *seconds;
}

static int stands_still(clockid_t clock)
{
    return clock == CLOCK_MONOTONIC && getenv("CLOCK_STILL") != NULL;
}

typedef int (*clock_fn)(clockid_t clock, struct timespec *now);

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static clock_fn real;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, now);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    if (stands_still(clock))
        *now = (struct timespec){.tv_sec = 1000};
    return rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    *now = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *now)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (now)
        *now = ts.tv_sec;
    return ts.tv_sec;
}
