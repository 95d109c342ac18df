/* SPDX-License-Identifier: MIT */
/*
 * Opening the directory that a log file is in, without being led astray: where everybody may write, a symbolic link is
 * not followed, for suplog runs as root and writes where it is told.
 */
#ifndef SUPD_SUPLOG_DIRECTORY_H
#define SUPD_SUPLOG_DIRECTORY_H

#include <stdbool.h>

/*
 * Opens the directory of PATH (absolute), making it and those above it where they are missing (0755).  *SHARED is set
 * when everybody may write in it.  A descriptor to be closed, or -errno.
 */
int directory_open(const char *path, bool *shared);

#endif
