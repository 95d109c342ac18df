/* SPDX-License-Identifier: MIT */
#include "os/cgroup_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"

int cgroup_watch_open(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    return fd == -1 ? -errno : fd;
}

int cgroup_watch_add(int fd, const char *path, const char *file)
{
    char *name = xasprintf("%s/%s", path, file);
    int watch = inotify_add_watch(fd, name, IN_MODIFY);
    int error = errno;

    free(name);
    return watch == -1 ? -error : watch;
}

void cgroup_watch_remove(int fd, int watch)
{
    inotify_rm_watch(fd, watch);
}

size_t cgroup_watch_read(int fd, int *watches, size_t max)
{
    struct inotify_event event; /* of a file that is watched itself: no name follows */
    size_t n = 0;

    while (n < max && read(fd, &event, sizeof event) == (ssize_t)sizeof event) {
        if (event.mask & IN_MODIFY)
            watches[n++] = event.wd;
    }
    return n;
}
