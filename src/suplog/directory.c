/* SPDX-License-Identifier: MIT */
#include "suplog/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define DIRECTORY_MODE 0755

/* NAME in DIR, made where it is missing.  A descriptor or -errno. */
static int open_below(int dir, const char *name, bool shared)
{
    int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (shared ? O_NOFOLLOW : 0);
    int fd = openat(dir, name, flags);

    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(dir, name, DIRECTORY_MODE) < 0 && errno != EEXIST)
            return -errno;
        fd = openat(dir, name, flags);
    }
    /* O_DIRECTORY with O_NOFOLLOW says ENOTDIR of a link. */
    struct stat st;
    if (fd < 0 && shared && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return -ELOOP;
    return fd < 0 ? -errno : fd;
}

static int is_shared(int dir, bool *shared)
{
    struct stat st;

    if (fstat(dir, &st) < 0)
        return -errno;
    *shared = (st.st_mode & S_IWOTH) != 0;
    return 0;
}

int directory_open(const char *path, bool *shared)
{
    char *copy = xstrdup(path);
    char *last = strrchr(copy, '/');
    int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = dir < 0 ? -errno : is_shared(dir, shared);
    char *rest = NULL;

    *last = '\0';
    for (char *name = strtok_r(copy, "/", &rest); name && rc == 0; name = strtok_r(NULL, "/", &rest)) {
        int below = open_below(dir, name, *shared);

        close(dir);
        dir = below;
        rc = below < 0 ? below : is_shared(below, shared);
    }
    free(copy);
    if (rc < 0 && dir >= 0)
        close(dir);
    return rc < 0 ? rc : dir;
}
