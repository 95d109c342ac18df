/* SPDX-License-Identifier: MIT */
/*
 * Where the cgroup v2 hierarchy is seen, and what is between the two names that a cgroup has: the kernel's own
 * ("/system.slice/supd.service", as in /proc/PID/cgroup), and that of its directory below the mount.
 */
#ifndef SUPD_OS_CGROUP_PLACE_H
#define SUPD_OS_CGROUP_PLACE_H

#include <stdbool.h>

struct cgroup_place {
    char *proc;  /* where procfs is */
    char *mount; /* where the hierarchy is mounted; NULL: nowhere */
    char *root;  /* which of its cgroups, by the kernel's name, is seen there */
};

/*
 * Finds by PROC (/proc, but for tests) a mount that shows our own cgroup, and returns the directory of that, to be freed;
 * NULL: there is none, with WHY.  PLACE is set up in any case, to be cleared.
 */
char *cgroup_place_find(struct cgroup_place *place, const char *proc, const char **why);
void cgroup_place_clear(struct cgroup_place *place);

/* The kernel's name of the cgroup that process WHO (a pid, or "self") is in, to be freed; NULL: there is none. */
char *cgroup_name_of(const struct cgroup_place *place, const char *who);

/* Is the cgroup NAME, as the kernel calls it, BASE or below? */
bool cgroup_name_is_below(const char *name, const char *base);

/* The directory of the cgroup NAME, to be freed; NULL where the mount does not show it. */
char *cgroup_directory_of(const struct cgroup_place *place, const char *name);

/* Has the cgroup at the directory PATH this file, or cgroup below it? */
bool cgroup_has_file(const char *path, const char *file);

#endif
