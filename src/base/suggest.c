/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"

#include <string.h>

#define MAX_WORD 64 /* nobody mistypes a longer one */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Damerau-Levenshtein with each pair of neighbours swapped once; rows of the matrix are kept for as long as needed. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][MAX_WORD + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        const size_t *before_last = rows[(i + 1) % 3];
        const size_t *last = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = lower(a[i - 1]);
            char y = lower(b[j - 1]);
            size_t best = last[j - 1] + (x != y);

            best = min_size(best, min_size(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                best = min_size(best, before_last[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *suggest_nearest(const char *word, const char *const *known, size_t n)
{
    size_t len = strlen(word);
    const char *nearest = NULL;
    size_t nearest_distance = len;

    if (len > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t known_len = strlen(known[i]);
        if (known_len > MAX_WORD)
            continue;

        size_t longer = len > known_len ? len : known_len;
        size_t d = distance(word, len, known[i], known_len);
        if (d < nearest_distance && d <= (longer + 2) / 3) {
            nearest = known[i];
            nearest_distance = d;
        }
    }
    return nearest;
}
