/* SPDX-License-Identifier: MIT */
/*
 * The state directory: what is to be remembered from one boot to the next.  It is made when there is something to be
 * written; most supds never need it.
 */
#ifndef SUPD_OS_VARDIR_H
#define SUPD_OS_VARDIR_H

#include <stdbool.h>
#include <stddef.h>

#define VARDIR_FILE_MAX ((size_t)16 * 1024 * 1024)

/*
 * The default: LOCALSTATEDIR/lib/supd as root, else $XDG_STATE_HOME/supd or ~/.local/state/supd.  A string to be freed,
 * or NULL with ERR written where neither XDG_STATE_HOME nor HOME is set.
 */
char *vardir_default(char *err, size_t err_size);

/*
 * Makes PATH (0755, those above it 0755 as root and else 0700) where missing, and writes LEN bytes to the file NAME in
 * it; returns once they are on the disk, so it may block.  False with ERR written.
 */
bool vardir_write(const char *path, const char *name, const char *data, size_t len, char *err, size_t err_size);

#endif
