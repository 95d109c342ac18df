/* SPDX-License-Identifier: MIT */
#include "os/logfifo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "core/log_stream.h"

#define FIFO_MODE 0622
#define PIDS_SIZE (LOG_SLOTS * sizeof(int32_t))

static bool is_ours(const struct stat *st)
{
    return S_ISFIFO(st->st_mode) && st->st_uid == geteuid();
}

/* Made under another name first: with its own it has its mode, whatever the umask says. */
static int make_fifo(const char *path)
{
    char *fresh = xasprintf("%s.new", path);

    unlink(fresh);
    int rc = mkfifo(fresh, 0600) < 0 || chmod(fresh, FIFO_MODE) < 0 || rename(fresh, path) < 0 ? -errno : 0;
    if (rc < 0)
        unlink(fresh);
    free(fresh);
    return rc;
}

static int open_fifo(const char *path)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && is_ours(&st))
        return fd;
    close(fd);
    return -EEXIST;
}

int logfifo_open(const char *path, bool make)
{
    int fd = open_fifo(path);

    if (fd != -ENOENT || !make)
        return fd;
    int rc = make_fifo(path);
    return rc < 0 ? rc : open_fifo(path);
}

bool logfifo_is(int fd, const char *path)
{
    struct stat open_one;
    struct stat named;

    return fstat(fd, &open_one) == 0 && lstat(path, &named) == 0 && is_ours(&named) &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

void logfifo_enlarge(int fd)
{
    if (fcntl(fd, F_GETPIPE_SZ) < LOGFIFO_SIZE)
        fcntl(fd, F_SETPIPE_SZ, LOGFIFO_SIZE); /* EPERM: it holds less */
}

size_t logfifo_left(int fd)
{
    int left = 0;

    return ioctl(fd, FIONREAD, &left) == 0 && left > 0 ? (size_t)left : 0;
}

void logfifo_each(const char *dir, const char *suffix, void (*fn)(void *ctx, const char *name), void *ctx)
{
    DIR *stream = opendir(dir);

    for (const struct dirent *entry = stream ? readdir(stream) : NULL; entry; entry = readdir(stream)) {
        size_t len = strlen(entry->d_name);
        size_t end = strlen(suffix);

        if (len > end && strcmp(entry->d_name + len - end, suffix) == 0)
            fn(ctx, entry->d_name);
    }
    if (stream)
        closedir(stream);
}

int32_t *logfifo_map_pids(const char *dir)
{
    char *path = xasprintf("%s/%s", dir, LOG_PIDS_FILE);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    void *map = MAP_FAILED;

    free(path);
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)PIDS_SIZE) == 0)
        map = mmap(NULL, PIDS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    return map == MAP_FAILED ? NULL : map;
}

void logfifo_unmap_pids(int32_t *pids)
{
    if (pids)
        munmap(pids, PIDS_SIZE);
}
