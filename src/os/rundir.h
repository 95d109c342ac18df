/* SPDX-License-Identifier: MIT */
/*
 * The runtime directory: the lock, the state file, config.good, the control
 * socket, log/ and notify/ live in it.  Who can write there can make us kill, so it must be ours alone.
 */
#ifndef SUPD_OS_RUNDIR_H
#define SUPD_OS_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The default: /run/supd as root, else $XDG_RUNTIME_DIR/supd.  A string to be
 * freed, or NULL with ERR written when XDG_RUNTIME_DIR is not set.
 */
char *rundir_default(char *err, size_t err_size);

/*
 * Makes PATH (0755), PATH/log (0700) and PATH/notify (0711) where missing.  Refuses, with ERR
 * written, what is not a directory, not owned by us, or writable for group or others.
 */
bool rundir_prepare(const char *path, char *err, size_t err_size);

/*
 * Makes PATH with MODE where it is missing.  Refuses, with ERR written, what is not a directory, not owned by us, or
 * writable for group or others.  WHAT it is and the REMEDY that gives another are for the words.
 */
bool rundir_own(const char *path, mode_t mode, const char *what, const char *remedy, char *err, size_t err_size);

/* Writes LEN bytes to PATH/NAME (0600) by writing a new file and renaming it.  0 or -errno. */
int rundir_write_file(const char *path, const char *name, const char *data, size_t len);
/* The same, and once it returns 0 it outlives the death of the machine: it waits for the disk. */
int rundir_write_synced(const char *path, const char *name, const char *data, size_t len);

/* Reads PATH whole into a buffer to be freed, NUL-terminated beyond *LEN.  0 or -errno; -EFBIG past MAX bytes. */
int rundir_read_file(const char *path, size_t max, char **data, size_t *len);

#endif
