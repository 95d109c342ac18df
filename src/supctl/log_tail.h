/* SPDX-License-Identifier: MIT */
/*
 * The last words of a service that has failed.
 */
#ifndef SUPD_SUPCTL_LOG_TAIL_H
#define SUPD_SUPCTL_LOG_TAIL_H

#include <jansson.h>
#include <stdio.h>

#define LOG_TAIL_LINES 10

/*
 * Prints the last lines of the log at PATH to OUT, made harmless, each behind so many blanks and cut to fit into WIDTH
 * columns (0: a generous number).  Nothing where it cannot be read or is empty.
 */
void log_tail_print(const char *path, int blanks, size_t width, FILE *out);

/*
 * Tells on stderr what SERVICE has written since BEGAN, seconds since 1970, to the log of its errors, or where that has
 * nothing to that of its output: the last lines.  What is older is nothing that could explain what happened since.
 */
void log_tail_tell(const json_t *service, double began);

#endif
