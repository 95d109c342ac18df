/* SPDX-License-Identifier: MIT */
/*
 * A table for a terminal, or for the next program in a pipe.  Columns are as wide
 * as their longest cell; the last one, which holds words, is cut where the width
 * of a terminal ends, and the first one where it would leave the last no room.
 * Into a pipe nothing is cut.
 */
#ifndef SUPD_SUPCTL_TABLE_H
#define SUPD_SUPCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_colour { TABLE_PLAIN, TABLE_GREEN, TABLE_YELLOW, TABLE_RED };

struct table_column {
    const char *heading;
    bool right;  /* numbers stand at the right */
    bool colour; /* takes the colour of its row */
    bool wide;   /* left out on a terminal of less than TABLE_WIDE columns */
};

#define TABLE_WIDE 100

/* What the output can do. */
struct table_style {
    size_t width; /* columns of the terminal; 0: nothing is cut */
    bool colour;
    bool utf8;
};

struct table;

/* COLUMNS, N of them, must outlive the table. */
struct table *table_new(const struct table_column *columns, size_t n);
void table_free(struct table *table);

/* A row of as many cells as there are columns.  The cells' text must be clean (text.h) and is copied. */
void table_add(struct table *table, enum table_colour colour, const char *const *cells);

void table_print(const struct table *table, const struct table_style *style, FILE *out);

/* What turns the colour on, "" for TABLE_PLAIN; "\033[0m" ends it. */
const char *table_colour_code(enum table_colour colour);

/* The style for stdout: its width and colours, $COLUMNS, $NO_COLOR, $TERM, the locale's character set. */
struct table_style table_style_of_stdout(void);

/* Do the variables of the locale (LC_ALL, LC_CTYPE, LANG) name UTF-8?  The style says so of a terminal only. */
bool table_locale_is_utf8(void);

#endif
