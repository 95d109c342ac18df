/* SPDX-License-Identifier: MIT */
/*
 * The PID state file, RUNTIME/state: appending, reading, and writing it anew.
 * What the bytes mean is core/record.h's.
 *
 * It is never synced to a disk: it must survive the death of supd, not of the
 * machine, whose processes end with it.
 */
#ifndef SUPD_OS_STATEFILE_H
#define SUPD_OS_STATEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct statefile;

/*
 * Reads DIR/state whole into *DATA (to be freed; NULL when there is no file).  0 or -errno.
 */
int statefile_read(const char *dir, uint8_t **data, size_t *len);

/* Renames DIR/state to DIR/state.bad. */
void statefile_set_aside(const char *dir);

/* Unlinks DIR/state: a clean stop leaves nothing to be taken back.  0 or -errno. */
int statefile_remove(const char *dir);

/* A state file that is not there yet: statefile_rewrite() makes it. */
struct statefile *statefile_new(const char *dir);
void statefile_free(struct statefile *file);

/*
 * Writes a new file of the records that PUT_ALL hands to statefile_put(), and renames it
 * over the old one.  The caller sees to it that no child stands between fork and
 * exec, whose record would go to the old file.  0 or -errno; then the old file stays in use.
 */
int statefile_rewrite(struct statefile *file, void (*put_all)(void *ctx, struct statefile *file), void *ctx);
void statefile_put(struct statefile *file, const uint8_t *record, size_t len);

/* Appends one record with one write(2).  0 or -errno (a short write is -ENOSPC). */
int statefile_append(struct statefile *file, const uint8_t *record, size_t len);

/* The descriptor for a child to append its own record; O_APPEND, close-on-exec. */
int statefile_fd(const struct statefile *file);

/* Is it time to write it anew?  True when it has grown to several times what it was after the last time. */
bool statefile_wants_rewrite(struct statefile *file);

#endif
