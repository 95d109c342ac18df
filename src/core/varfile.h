/* SPDX-License-Identifier: MIT */
/*
 * A file of the state directory: a number for each of some services, as text.
 *
 *   supd enabled 1            what it is about, and the version of the format
 *   web 0                     name and number, in order of name
 *   end 1 8c1f03aa            how many there are, and the CRC-32 of all lines above
 *
 * So a file that was cut short or damaged is never taken for a whole one.
 * Pure: text in and out.
 */
#ifndef SUPD_CORE_VARFILE_H
#define SUPD_CORE_VARFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct varfile;

/* Without any number.  Freed with varfile_free(), for which NULL is fine. */
struct varfile *varfile_new(void);
struct varfile *varfile_dup(const struct varfile *file);
void varfile_free(struct varfile *file);

/* False, and *VALUE as it was, where NAME has no number. */
bool varfile_get(const struct varfile *file, const char *name, int64_t *value);

/* NAME is copied, and must be one that a service may have. */
void varfile_set(struct varfile *file, const char *name, int64_t value);
void varfile_unset(struct varfile *file, const char *name);

/* The text, to be freed.  ABOUT is one word. */
char *varfile_format(const struct varfile *file, const char *about);

enum varfile_verdict {
    VARFILE_GOOD,
    VARFILE_DAMAGED,
    VARFILE_NEWER, /* of a version of supd that writes another format */
};

/*
 * Reads LEN bytes at TEXT that varfile_format() wrote for ABOUT into *FILE.
 * Where they are not good *FILE is NULL and ERR says why, without naming the file.
 */
enum varfile_verdict varfile_parse(const char *text, size_t len, const char *about, struct varfile **file, char *err,
                                   size_t err_size);

#endif
