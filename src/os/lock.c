/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"

#define CHILD_GRACE (2 * USEC_PER_SEC) /* a half-started child may still reach its exec */
#define KILL_GRACE (5 * USEC_PER_SEC)  /* after that it is killed; this long it may take to go */
#define POLL_INTERVAL 10               /* ms */

/* Does descriptor FD of process PID hold the flock?  /proc/PID/fdinfo/FD lists the locks of that open file. */
static bool fd_holds_flock(pid_t pid, const char *fd)
{
    char path[64];
    char line[256];
    bool holds = false;

    snprintf(path, sizeof path, "/proc/%d/fdinfo/%.20s", pid, fd);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!holds && fgets(line, sizeof line, f))
        holds = strncmp(line, "lock:", 5) == 0 && strstr(line, " FLOCK ");
    fclose(f);
    return holds;
}

/* Without asking a file server that may be dead: what the kernel knows is enough. */
static bool is_lock_file(int dirfd, const char *fd, const struct stat *lock)
{
    struct statx stx;

    return statx(dirfd, fd, AT_STATX_DONT_SYNC, STATX_INO, &stx) == 0 && stx.stx_ino == lock->st_ino &&
           makedev(stx.stx_dev_major, stx.stx_dev_minor) == lock->st_dev;
}

static bool holds_flock(pid_t pid, const struct stat *lock)
{
    char path[64];
    bool holds = false;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (struct dirent *entry; !holds && (entry = readdir(dir));) {
        holds = entry->d_name[0] != '.' && is_lock_file(dirfd(dir), entry->d_name, lock) &&
                fd_holds_flock(pid, entry->d_name);
    }
    closedir(dir);
    return holds;
}

static bool kill_holder(void *ctx, pid_t pid)
{
    const struct stat *lock = ctx;

    if (pid == getpid() || !holds_flock(pid, lock))
        return true;
    int pidfd = identity_pidfd(pid);
    if (pidfd < 0)
        return true;
    /* Opened first, verified after: the number may have changed hands meanwhile. */
    if (holds_flock(pid, lock)) {
        log_warning("killing process %d: a child of a dead supd that never reached its program", pid);
        identity_signal(pidfd, SIGKILL);
    }
    close(pidfd);
    return true;
}

/* Waits until no half-started child holds the flock.  0 or -errno. */
static int wait_for_children(int fd, void (*waiting)(void *), void *ctx)
{
    int64_t begin = clock_now().mono;
    int64_t told = begin;
    struct stat st;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int64_t now = clock_now().mono;

        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return -errno;
        if (now - begin > CHILD_GRACE + KILL_GRACE)
            return -EWOULDBLOCK;
        if (now - begin > CHILD_GRACE && fstat(fd, &st) == 0)
            procfs_each(kill_holder, &st);
        if (waiting && now - told > 100 * USEC_PER_MSEC) {
            waiting(ctx);
            told = now;
        }
        poll(NULL, 0, POLL_INTERVAL);
    }
    return 0;
}

/* The instance id of an earlier supd, kept; else a new one. */
static void read_instance(struct lock *lock)
{
    char text[256];
    uint8_t raw[16];
    ssize_t n = pread(lock->fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%*d %*u %32[0-9a-f]", lock->instance) == 1 && strlen(lock->instance) == LOCK_INSTANCE_SIZE - 1)
        return;
    lock->fresh = true;
    if (getrandom(raw, sizeof raw, GRND_NONBLOCK) != (ssize_t)sizeof raw) {
        /* Only early at boot, where waiting may be for ever; the pid and the time are unique enough there. */
        struct timestamp now = clock_now();

        memcpy(raw, &now.wall, sizeof now.wall);
        memcpy(raw + sizeof now.wall, &now.mono, sizeof now.mono);
    }
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(lock->instance + 2 * i, 3, "%02x", raw[i]);
}

static int write_owner(const struct lock *lock)
{
    char text[128];
    uint64_t start = 0;

    procfs_self_start_ticks(&start);
    int len = snprintf(text, sizeof text, "%d %" PRIu64 " %s\n", getpid(), start, lock->instance);
    if (pwrite(lock->fd, text, (size_t)len, 0) != len)
        return errno ? -errno : -ENOSPC;
    return ftruncate(lock->fd, len) < 0 ? -errno : 0;
}

enum lock_result lock_take(const char *dir, struct lock *lock, pid_t *owner, void (*waiting)(void *), void *ctx,
                           char *err, size_t err_size)
{
    char *path = xasprintf("%s/lock", dir);
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum lock_result result = LOCK_ERROR;

    memset(lock, 0, sizeof *lock);
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock->fd < 0) {
        snprintf(err, err_size, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }

    while (fcntl(lock->fd, F_SETLK, &record) < 0) {
        if (errno != EAGAIN && errno != EACCES) {
            snprintf(err, err_size, "cannot lock %s: %s", path, strerror(errno));
            goto out;
        }
        struct flock who = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(lock->fd, F_GETLK, &who) < 0 || who.l_type == F_UNLCK)
            continue; /* it went just now */
        *owner = who.l_pid > 0 ? who.l_pid : 0;
        result = LOCK_OWNED;
        goto out;
    }

    int rc = wait_for_children(lock->fd, waiting, ctx);
    if (rc == 0) {
        read_instance(lock);
        rc = write_owner(lock);
    }
    if (rc < 0) {
        if (rc == -EWOULDBLOCK)
            snprintf(err, err_size, "%s is held by a process that cannot be killed: see fuser -v %s", path, path);
        else
            snprintf(err, err_size, "cannot lock %s: %s", path, strerror(-rc));
        goto out;
    }
    result = LOCK_TAKEN;
out:
    if (result != LOCK_TAKEN && lock->fd >= 0) {
        close(lock->fd);
        lock->fd = -1;
    }
    free(path);
    return result;
}

bool lock_inherit(struct lock *lock, int fd, char *err, size_t err_size)
{
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    memset(lock, 0, sizeof *lock);
    lock->fd = fd;
    /* Both are held already, so neither waits: they are asked for to be sure. */
    if (fcntl(fd, F_SETLK, &record) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        snprintf(err, err_size, "the inherited lock is not held: %s", strerror(errno));
        return false;
    }
    read_instance(lock);
    return true;
}

void lock_release(struct lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}
