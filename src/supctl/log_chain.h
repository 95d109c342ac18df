/* SPDX-License-Identifier: MIT */
/*
 * A log with what it was rotated to, as one: opened from the youngest file back to as old a one as is needed, and then
 * read from there on.  The files are held open, so that a rotation in between neither hides nor repeats any.
 */
#ifndef SUPD_SUPCTL_LOG_CHAIN_H
#define SUPD_SUPCTL_LOG_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "supctl/log_file.h"
#include "supctl/log_scan.h"

struct log_chain {
    struct log_file **files; /* the youngest first */
    char **names;
    size_t n;
    size_t number; /* of the next older file */
    bool complete; /* there is none */
    size_t at;     /* the file that is read; n: none */
};

/* Opens PATH, or where that is missing what it was rotated to last.  0 or an errno, ENOENT: there is nothing. */
int log_chain_open(struct log_chain *chain, const char *path);

/* Does a line near its end begin with a time?  *EMPTY: there is no line at all. */
bool log_chain_is_timed(struct log_chain *chain, const char *path, bool *empty);

/*
 * Finds the first line that FILTER wants, and goes there.  *TIME is that line's, or of the one before it that has one;
 * NEEDS_TIME: it is asked for.
 */
void log_chain_find(struct log_chain *chain, const char *path, const struct log_filter *filter, bool needs_time,
                    int64_t *time);

/* Opens what was written to PATH since it was FORMER, and goes to its beginning.  0 or an errno. */
int log_chain_open_after(struct log_chain *chain, const char *path, const struct log_file *former);

/* The file that is read; NULL: none. */
struct log_file *log_chain_file(const struct log_chain *chain);

/* Goes on to the next younger file, which there is. */
void log_chain_advance(struct log_chain *chain);

/* Takes the youngest file, which is then the caller's, out; the others are closed.  NULL where there is none. */
struct log_file *log_chain_steal(struct log_chain *chain);

void log_chain_close(struct log_chain *chain);

#endif
