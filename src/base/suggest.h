/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean ...?": the known word nearest to a mistyped one.
 */
#ifndef SUPD_BASE_SUGGEST_H
#define SUPD_BASE_SUGGEST_H

#include <stddef.h>

/*
 * Returns the one of the N strings in KNOWN with the smallest edit distance
 * (insert, delete, replace, swap of neighbours; Damerau-Levenshtein, case
 * ignored) to WORD, or NULL when none is near: the distance must be at most
 * a third of the longer word's length, rounded up, and less than WORD's length.
 */
const char *suggest_nearest(const char *word, const char *const *known, size_t n);

#endif
