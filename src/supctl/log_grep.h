/* SPDX-License-Identifier: MIT */
/*
 * The expression of --grep, an extended one of POSIX.
 */
#ifndef SUPD_SUPCTL_LOG_GREP_H
#define SUPD_SUPCTL_LOG_GREP_H

#include <regex.h>

/* Makes TEXT to *GREP.  NULL; else what is wrong with it, and where, to be freed. */
char *log_grep_compile(const char *text, regex_t *grep);

#endif
