/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a line in the output of a service (ready = log:REGEX): a file of RUNTIME/log for each stream of a life that
 * is to become ready so, through which supd, the process before its exec and suplog speak with each other.
 *
 * It is made before the fork and put in place of the one of the life before, so what is found in it can be of no other
 * life, whoever writes late.  It outlives all of them: each may die at any instruction and have a successor that goes on.
 *
 * Places are counted in bytes that go through the FIFO, from its front in the moment in which it was measured.  What was
 * in it then is text of earlier lives, and that is over: nobody but suplog takes bytes out, and the process that is to
 * write has not begun.  So suplog measures, between two takes, or somebody at a time at which there can be no suplog.
 *
 *          0                        .old      .looked          .kept     .taken
 *          | text of earlier lives  | lines    | begin of a line |          behind it nothing is known
 *
 * Looked at is first, then taken: .taken is never beyond the later of .looked and .kept.  The beginning of a line whose
 * end has not come yet is kept in the file, behind the head, before it is taken.  Each step forward is one store.
 */
#ifndef SUPD_CORE_LOG_MATCH_H
#define SUPD_CORE_LOG_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/grep.h"

#define LOG_MATCH_SUFFIX ".match"            /* in place of that of the FIFO */
#define LOG_MATCH_PATTERN_MAX 1024           /* bytes, with its NUL */
#define LOG_MATCH_HEAD_SIZE 4096             /* behind it stands what is kept of a line */
#define LOG_MATCH_MAGIC UINT32_C(0x7250554d) /* another one for another layout */

/* As it stands at the beginning of the file. */
struct log_match {
    uint32_t magic;
    uint32_t life; /* of the service */
    uint64_t fifo; /* inode of the FIFO */
    uint64_t id;   /* no other file for that FIFO has had it */
    uint32_t measured;
    uint32_t found; /* a line that matches was seen */
    uint64_t old;   /* see above; not known before .measured */
    uint64_t looked;
    uint64_t kept;
    uint64_t taken;
    char pattern[LOG_MATCH_PATTERN_MAX];
};

/* The name of the file for the FIFO called FIFO, to be freed; and the other way round, NULL where NAME is none. */
char *log_match_name(const char *fifo);
char *log_match_fifo(const char *name);

/* Fills MATCH; false when PATTERN does not fit. */
bool log_match_init(struct log_match *match, uint32_t life, uint64_t fifo, uint64_t id, const char *pattern);

/* Is it what log_match_init() has made of it, or what has become of that? */
bool log_match_makes_sense(const struct log_match *match);

/* Where the first line begins that has not been looked at as a whole. */
uint64_t log_match_line(const struct log_match *match);

/* How many bytes of that line are kept. */
size_t log_match_n_kept(const struct log_match *match);

/* How many bytes may be taken now. */
uint64_t log_match_free(const struct log_match *match);

/*
 * Looks at the whole lines at the beginning of TEXT, LEN bytes with a NUL behind them; a line of LOG_LINE_MAX bytes is one
 * though its end has not come.  How many bytes those are; *FOUND: one of them matches, and no other was looked at.
 */
size_t log_match_look(const regex_t *grep, const char *text, size_t len, bool *found);

#endif
