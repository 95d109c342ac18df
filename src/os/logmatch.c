/* SPDX-License-Identifier: MIT */
#include "os/logmatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/logfifo.h"

#define PAUSE_FIRST_NS 100000
#define PAUSE_LAST_NS 5000000

/* All of it, or why not. */
static int write_at(int fd, const void *data, size_t len, off_t at)
{
    ssize_t n = pwrite(fd, data, len, at);

    if (n == (ssize_t)len)
        return 0;
    return n < 0 ? -errno : -ENOSPC;
}

/* With room for the whole head, which suplog maps. */
static int make(const char *path, const struct log_match *match)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = -posix_fallocate(fd, 0, LOG_MATCH_HEAD_SIZE);
    if (rc == 0)
        rc = write_at(fd, match, sizeof *match, 0);
    if (rc == 0)
        return fd;
    close(fd);
    unlink(path);
    return rc;
}

int logmatch_new(const char *path, const struct log_match *match)
{
    char *fresh = xasprintf("%s.new", path);
    int fd = make(fresh, match);

    if (fd >= 0 && rename(fresh, path) < 0) {
        int rc = -errno;

        close(fd);
        unlink(fresh);
        fd = rc;
    }
    free(fresh);
    return fd;
}

/* Out of FIFO nobody takes anything now. */
static int measure(int fd, int fifo)
{
    const uint64_t old = logfifo_left(fifo);
    const uint32_t measured = 1;
    int rc = write_at(fd, &old, sizeof old, offsetof(struct log_match, old));

    return rc == 0 ? write_at(fd, &measured, sizeof measured, offsetof(struct log_match, measured)) : rc;
}

static bool is_measured(int fd)
{
    uint32_t measured = 0;

    return pread(fd, &measured, sizeof measured, offsetof(struct log_match, measured)) == sizeof measured &&
           measured != 0;
}

/* Under the lock no suplog takes anything, and none can begin to. */
static int measure_locked(int fd, int fifo, int lock)
{
    int rc = is_measured(fd) ? 0 : measure(fd, fifo);

    flock(lock, LOCK_UN);
    return rc;
}

int logmatch_await(int fd, int fifo, const char *lock_path)
{
    int64_t deadline = clock_now().mono + LOGMATCH_PATIENCE_SEC * USEC_PER_SEC;
    struct timespec pause = {.tv_nsec = PAUSE_FIRST_NS};
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = 0;

    if (lock < 0)
        return -errno;
    while (!is_measured(fd)) {
        if (flock(lock, LOCK_SH | LOCK_NB) == 0) {
            rc = measure_locked(fd, fifo, lock);
            break;
        }
        if (clock_now().mono >= deadline) {
            rc = -ETIMEDOUT;
            break;
        }
        nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec * 2 < PAUSE_LAST_NS ? pause.tv_nsec * 2 : PAUSE_LAST_NS;
    }
    close(lock);
    return rc;
}

int logmatch_found(const char *path, uint32_t life)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct log_match match;

    if (fd < 0)
        return -errno;
    ssize_t n = pread(fd, &match, sizeof match, 0);
    int rc = n < 0 ? -errno : 0;
    close(fd);
    if (rc < 0)
        return rc;
    if (n != (ssize_t)sizeof match || !log_match_makes_sense(&match) || match.life != life)
        return -ESTALE;
    return match.found != 0;
}
