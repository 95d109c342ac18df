/* SPDX-License-Identifier: MIT */
#include "os/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/rundir.h"

#define SIZE_MAX_READ ((size_t)1 << 30)
#define REWRITE_SLACK ((off_t)256 * 1024)
/* Blocks kept in reserve behind the end, so that a file system that fills up does not stop records at once. */
#define RESERVE ((off_t)128 * 1024)

struct statefile {
    char *path;
    int fd;
    off_t size_when_new;
    off_t reserved; /* up to this offset room was asked for */
    /* While rewriting: */
    uint8_t *pending;
    size_t pending_len;
    size_t pending_room;
};

static char *state_path(const char *dir, const char *suffix)
{
    return xasprintf("%s/state%s", dir, suffix);
}

int statefile_read(const char *dir, uint8_t **data, size_t *len)
{
    char *path = state_path(dir, "");
    char *text = NULL;
    int rc = rundir_read_file(path, SIZE_MAX_READ, &text, len);

    *data = (uint8_t *)text;
    if (rc == -ENOENT) {
        *len = 0;
        rc = 0;
    }
    free(path);
    return rc;
}

void statefile_set_aside(const char *dir)
{
    char *from = state_path(dir, "");
    char *to = state_path(dir, ".bad");

    rename(from, to);
    free(from);
    free(to);
}

int statefile_remove(const char *dir)
{
    char *path = state_path(dir, "");
    int rc = unlink(path) < 0 && errno != ENOENT ? -errno : 0;

    free(path);
    return rc;
}

struct statefile *statefile_new(const char *dir)
{
    struct statefile *file = xcalloc(1, sizeof *file);

    file->path = state_path(dir, "");
    file->fd = -1;
    return file;
}

void statefile_free(struct statefile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file);
}

/* Asks for room behind SIZE.  A file system that cannot, or has none, says so when it matters. */
static void reserve(struct statefile *file, off_t size)
{
    if (size + RESERVE / 2 < file->reserved)
        return;
    if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, size, RESERVE) < 0)
        file->reserved = size + RESERVE / 4; /* not again with every record */
    else
        file->reserved = size + RESERVE;
}

void statefile_put(struct statefile *file, const uint8_t *record, size_t len)
{
    if (file->pending_room - file->pending_len < len) {
        file->pending_room = 2 * file->pending_room + len + 4096;
        file->pending = xreallocarray(file->pending, file->pending_room, 1);
    }
    memcpy(file->pending + file->pending_len, record, len);
    file->pending_len += len;
}

static int write_pending(int fd, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        at += (size_t)n;
    }
    return 0;
}

int statefile_rewrite(struct statefile *file, void (*put_all)(void *ctx, struct statefile *file), void *ctx)
{
    char *fresh = xasprintf("%s.new", file->path);
    int rc = -1;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    put_all(ctx, file);
    rc = write_pending(fd, file->pending, file->pending_len);
    if (rc == 0 && rename(fresh, file->path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(fresh);
        close(fd);
        goto out;
    }
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    file->size_when_new = (off_t)file->pending_len;
    file->reserved = 0;
    reserve(file, file->size_when_new);
out:
    free(file->pending);
    file->pending = NULL;
    file->pending_len = file->pending_room = 0;
    free(fresh);
    return rc;
}

int statefile_append(struct statefile *file, const uint8_t *record, size_t len)
{
    ssize_t n;

    do
        n = write(file->fd, record, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -ENOSPC;
}

int statefile_fd(const struct statefile *file)
{
    return file->fd;
}

bool statefile_wants_rewrite(struct statefile *file)
{
    struct stat st;

    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return false;
    reserve(file, st.st_size);
    return st.st_size > 4 * file->size_when_new + REWRITE_SLACK;
}
