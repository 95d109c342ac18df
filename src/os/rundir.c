/* SPDX-License-Identifier: MIT */
#include "os/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/memfile.h"

#define WHAT "runtime directory"
#define REMEDY "-r"

char *rundir_default(char *err, size_t err_size)
{
    if (geteuid() == 0)
        return xstrdup("/run/supd");

    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (!xdg || xdg[0] != '/') {
        snprintf(err, err_size, "XDG_RUNTIME_DIR is not set: name a runtime directory with -r DIR");
        return NULL;
    }
    return xasprintf("%s/supd", xdg);
}

bool rundir_own(const char *path, mode_t mode, const char *what, const char *remedy, char *err, size_t err_size)
{
    struct stat st;

    if (mkdir(path, mode) == 0) {
        /* The umask must not decide. */
        if (chmod(path, mode) < 0) {
            snprintf(err, err_size, "%s: chmod: %s", path, strerror(errno));
            return false;
        }
    } else if (errno == ENOENT) {
        snprintf(err, err_size, "cannot make the %s %s: the directory above it is missing: make that first", what,
                 path);
        return false;
    } else if (errno != EEXIST) {
        snprintf(err, err_size, "cannot make the %s %s: %s", what, path, strerror(errno));
        return false;
    }

    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(err, err_size, "cannot use the %s %s: %s", what, path, strerror(errno));
        return false;
    }
    int rc = fstat(fd, &st);
    close(fd);
    if (rc < 0) {
        snprintf(err, err_size, "%s: %s", path, strerror(errno));
        return false;
    }
    if (st.st_uid != geteuid()) {
        snprintf(err, err_size, "the %s %s belongs to uid %u, not to us (uid %u): give another with %s", what, path,
                 st.st_uid, geteuid(), remedy);
        return false;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        snprintf(err, err_size, "the %s %s is writable for its group or others (mode %04o): chmod go-w %s", what, path,
                 st.st_mode & 07777, path);
        return false;
    }
    return true;
}

bool rundir_prepare(const char *path, char *err, size_t err_size)
{
    if (path[0] != '/') {
        snprintf(err, err_size, "the runtime directory %s is not an absolute path: write it from / on", path);
        return false;
    }
    if (!rundir_own(path, 0755, WHAT, REMEDY, err, err_size))
        return false;

    char *logs = xasprintf("%s/log", path);
    char *notify = xasprintf("%s/notify", path);
    bool ok =
        rundir_own(logs, 0700, WHAT, REMEDY, err, err_size) && rundir_own(notify, 0711, WHAT, REMEDY, err, err_size);
    free(logs);
    free(notify);
    return ok;
}

/* Of a directory: the names in it. */
static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int write_file(const char *path, const char *name, const char *data, size_t len, bool sync)
{
    char *final = xasprintf("%s/%s", path, name);
    char *fresh = xasprintf("%s.new", final);
    int rc = -1;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    rc = memfile_write_all(fd, data, len);
    if (rc == 0 && sync && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(fresh, final) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(fresh);
    else if (sync)
        rc = sync_directory(path);
out:
    free(fresh);
    free(final);
    return rc;
}

int rundir_write_file(const char *path, const char *name, const char *data, size_t len)
{
    return write_file(path, name, data, len, false);
}

int rundir_write_synced(const char *path, const char *name, const char *data, size_t len)
{
    return write_file(path, name, data, len, true);
}

int rundir_read_file(const char *path, size_t max, char **data, size_t *len)
{
    size_t size = 0;
    size_t room = 0;
    char *buf = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    for (;;) {
        if (room - size < 2) {
            room = room ? 2 * room : 16384;
            buf = xreallocarray(buf, room, 1);
        }
        ssize_t n = read(fd, buf + size, room - size - 1);
        if (n < 0 && errno == EINTR)
            continue;
        int error = n < 0 ? -errno : 0;
        size += n > 0 ? (size_t)n : 0;
        if (error == 0 && size > max)
            error = -EFBIG;
        if (error < 0) {
            free(buf);
            close(fd);
            return error;
        }
        if (n == 0)
            break;
    }
    close(fd);
    buf[size] = '\0';
    *data = buf;
    *len = size;
    return 0;
}
