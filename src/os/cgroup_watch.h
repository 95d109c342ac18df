/* SPDX-License-Identifier: MIT */
/*
 * Being told when a file of a cgroup has changed (cgroup.events, memory.events): one inotify(7) descriptor for all.
 * A watch needs no descriptor of its own and ends with the directory.
 */
#ifndef SUPD_OS_CGROUP_WATCH_H
#define SUPD_OS_CGROUP_WATCH_H

#include <stddef.h>

/* A descriptor (nonblocking, close-on-exec), readable when there is news; or -errno. */
int cgroup_watch_open(void);

/* A number for the watch, as cgroup_watch_read() tells it, or -errno. */
int cgroup_watch_add(int fd, const char *path, const char *file);
void cgroup_watch_remove(int fd, int watch);

/* The watches whose files have changed, at most MAX of them (one may stand there twice); 0: no more news. */
size_t cgroup_watch_read(int fd, int *watches, size_t max);

#endif
