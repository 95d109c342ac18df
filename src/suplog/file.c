/* SPDX-License-Identifier: MIT */
#include "suplog/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "suplog/compress.h"
#include "suplog/directory.h"
#include "suplog/rotated.h"

#define LOOK_INTERVAL USEC_PER_SEC
#define ROTATION_PAUSE (60 * USEC_PER_SEC)

void log_file_configure(struct log_file *file, const struct log_stream *stream)
{
    file->mode = stream->mode;
    file->uid = stream->uid;
    file->gid = stream->gid;
    file->max_size = stream->max_size;
    file->max_age = stream->max_age;
    file->keep = stream->keep;
    file->compress = stream->compress;
}

struct log_file *log_file_new(const struct log_stream *stream)
{
    struct log_file *file = xcalloc(1, sizeof *file);

    file->path = xstrdup(stream->path);
    file->name = strrchr(file->path, '/') + 1;
    file->dir = file->fd = -1;
    log_file_configure(file, stream);
    return file;
}

void log_file_close(struct log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->dir >= 0)
        close(file->dir);
    file->dir = file->fd = -1;
}

void log_file_free(struct log_file *file)
{
    log_file_close(file);
    free(file->path);
    free(file);
}

static int64_t birth_time(int fd, const struct timestamp *now)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 || !(stx.stx_mask & STATX_BTIME))
        return now->wall;
    return (int64_t)stx.stx_btime.tv_sec * USEC_PER_SEC + stx.stx_btime.tv_nsec / 1000;
}

/* A new file gets its rights before anything is in it. */
static int give_rights(const struct log_file *file)
{
    uid_t uid = file->uid == LOG_ID_NONE ? (uid_t)-1 : file->uid;
    gid_t gid = file->gid == LOG_ID_NONE ? (gid_t)-1 : file->gid;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(file->fd, uid, gid) < 0)
        return -errno;
    return fchmod(file->fd, file->mode) < 0 ? -errno : 0;
}

/* As the name is in DIR.  Where everybody may write, neither a link is followed nor a file written that has other names. */
static int open_name(struct log_file *file)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (file->shared ? O_NOFOLLOW : 0);
    struct stat st;

    file->linked = false;
    file->fd = openat(file->dir, file->name, flags | O_CREAT | O_EXCL, file->mode & 0777);
    if (file->fd >= 0)
        return give_rights(file);
    if (errno != EEXIST)
        return -errno;
    file->linked = fstatat(file->dir, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    file->fd = openat(file->dir, file->name, flags);
    if (file->fd < 0 && (errno == EACCES || errno == ENXIO)) /* what may only be written, as some terminals and pipes */
        file->fd = openat(file->dir, file->name, (flags & ~O_ACCMODE) | O_WRONLY);
    return file->fd < 0 ? -errno : 0;
}

/* Our own, which is supd's: opened by its name it would have another place to write at than supd has; a socket has no such. */
static int own_stream(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    return strcmp(path, "/dev/stderr") == 0 ? STDERR_FILENO : -1;
}

static int open_own(struct log_file *file, int fd, const struct timestamp *now)
{
    struct stat st;

    file->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return -errno;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->regular = false;
    file->looked = now->mono;
    file->fresh = true;
    return 0;
}

static int open_file(struct log_file *file, const struct timestamp *now)
{
    int own = own_stream(file->path);
    struct stat st;

    log_file_close(file);
    file->shared = false;
    if (own >= 0)
        return open_own(file, own, now);
    file->dir = directory_open(file->path, &file->shared);
    if (file->dir < 0)
        return file->dir;
    int rc = open_name(file);
    if (rc == 0 && fstat(file->fd, &st) < 0)
        rc = -errno;
    if (rc == 0 && file->shared && S_ISREG(st.st_mode) && st.st_nlink > 1)
        rc = -EMLINK;
    if (rc < 0) {
        log_file_close(file);
        return rc;
    }
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->regular = S_ISREG(st.st_mode);
    file->size = (uint64_t)st.st_size;
    file->born = birth_time(file->fd, now);
    file->looked = now->mono;
    file->fresh = true;
    return 0;
}

/* Does the name not belong to the file that is open any more? */
static bool has_moved(struct log_file *file, int64_t now)
{
    struct stat st;

    file->looked = now;
    return stat(file->path, &st) < 0 || st.st_dev != file->dev || st.st_ino != file->ino;
}

static bool is_to_be_looked_at(const struct log_file *file, int64_t now)
{
    return now - file->looked >= LOOK_INTERVAL;
}

int log_file_ready(struct log_file *file, const struct timestamp *now, bool *opened)
{
    struct stat st;

    *opened = false;
    if (file->fd < 0 || (is_to_be_looked_at(file, now->mono) && has_moved(file, now->mono))) {
        int rc = open_file(file, now);
        *opened = rc == 0;
        return rc;
    }
    if (!file->regular)
        return 0;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    file->size = (uint64_t)st.st_size;
    return 0;
}

bool log_file_is_older(const struct log_file *file, uint32_t seconds)
{
    return file->regular && file->born < (int64_t)seconds * USEC_PER_SEC;
}

const char *log_file_error(const struct log_file *file, int error)
{
    if (file->shared && error == ELOOP)
        return "a symbolic link where everybody may write is not followed: give the path that it leads to, or "
               "let nobody else write there";
    if (file->shared && error == EMLINK)
        return "a file with another name (a hard link) is not written where everybody may write: remove the "
               "other name, or let nobody else write there";
    return strerror(error);
}

bool log_file_is_due(const struct log_file *file, const struct timestamp *now)
{
    if (!file->regular || file->size == 0)
        return false;
    if (file->rotation_failed && now->mono - file->rotation_failed < ROTATION_PAUSE)
        return false;
    return file->rotation_wanted || (!file->linked && file->max_size > 0 && file->size >= file->max_size) ||
           (!file->linked && file->max_age > 0 && now->wall - file->born >= file->max_age);
}

uint64_t log_file_room(const struct log_file *file)
{
    bool limited = file->max_size > 0 && !file->linked && file->size < file->max_size;

    return limited ? file->max_size - file->size : 0;
}

size_t log_file_line_room(const struct log_file *file, size_t len)
{
    uint64_t most = file->max_size + LOG_LINE_MAX;

    if (file->max_size == 0)
        return len;
    if (file->size >= most)
        return 0;
    return most - file->size < len ? (size_t)(most - file->size) : len;
}

bool log_file_at_line_start(const struct log_file *file)
{
    char last;

    if (!file->regular || file->size == 0)
        return true;
    return pread(file->fd, &last, 1, (off_t)file->size - 1) != 1 || last == '\n';
}

int log_file_rotate(struct log_file *file, struct compressor *compressor, const struct timestamp *now)
{
    struct rotated names = {file->dir, file->name, file->keep};

    file->rotation_wanted = false;
    file->wanted_since = 0;
    if (has_moved(file, now->mono)) {
        log_file_close(file);
        return 0;
    }
    compressor_lock(compressor);
    int rc = file->linked ? -ELOOP : rotated_shift(&names);
    compressor_unlock(compressor);
    file->rotation_failed = rc < 0 ? now->mono : 0;
    if (rc < 0)
        return rc;
    if (file->compress)
        compressor_add(compressor, file->path, file->keep);
    log_file_close(file);
    return 0;
}

static int write_at(int fd, const char *data, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int log_file_append(struct log_file *file, const char *data, size_t len)
{
    int rc = write_at(file->fd, data, len, file->size);

    if (rc == 0)
        file->size += len;
    else if (ftruncate(file->fd, (off_t)file->size) < 0)
        return -errno;
    return rc;
}
