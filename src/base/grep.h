/* SPDX-License-Identifier: MIT */
/*
 * Lines that match an extended regular expression of POSIX.
 */
#ifndef SUPD_BASE_GREP_H
#define SUPD_BASE_GREP_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

/* Makes TEXT to *GREP.  NULL; else what is wrong with it, and where, to be freed. */
char *grep_compile(const char *text, regex_t *grep);

/*
 * Does the line TEXT, LEN bytes without its end, match?  A NUL does not end it, but somewhere behind it there has to
 * be one.  UNFINISHED: more may come, so nothing is taken for its end.
 */
bool grep_matches(const regex_t *grep, const char *text, size_t len, bool unfinished);

#endif
