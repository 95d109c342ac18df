/* SPDX-License-Identifier: MIT */
/*
 * Which file system a path lies on, told from the text of /proc/self/mountinfo alone: asking the file system itself may
 * hang where it does.  A symbolic link can make this wrong; then the two devices share a thread, and nothing worse.
 */
#ifndef SUPD_SUPLOG_MOUNTS_H
#define SUPD_SUPLOG_MOUNTS_H

/* The mount point of PATH by MOUNTINFO (proc(5)), to be freed; "/" where none is found. */
char *mount_point_of(const char *mountinfo, const char *path);

#endif
