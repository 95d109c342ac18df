/* SPDX-License-Identifier: MIT */
/*
 * The files that a log was rotated to: PATH.1 is the youngest, each plain or with ".gz", as suplog(8) and logrotate(8)
 * name them.
 */
#ifndef SUPD_SUPCTL_LOG_NAMES_H
#define SUPD_SUPCTL_LOG_NAMES_H

#include <stddef.h>

#include "supctl/log_file.h"

/*
 * Opens PATH (NUMBER 0), or what it was rotated to.  NULL with *ERROR set, as log_file_open(); ENOENT: there is none.
 * *NAME, where it is not NULL, is what was opened, or could not be, to be freed.
 */
struct log_file *log_names_open(const char *path, size_t number, int *error, char **name);

/*
 * Of the file that PATH once was: how many files were rotated away after it, so that it and those with the numbers up to
 * that, going down, and then PATH hold what was written since.
 */
size_t log_names_after(const char *path, const struct log_file *once);

#endif
