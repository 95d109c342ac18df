/* SPDX-License-Identifier: MIT */
#include "supctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "supctl/text.h"

#define GAP 2          /* blanks between columns */
#define LAST_LEAST 24  /* columns that the first one leaves to the last, where that has so much to say, ... */
#define FIRST_LEAST 16 /* ... down to this width of its own */

struct row {
    enum table_colour colour;
    const char **cells; /* and their text behind them, in one allocation */
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    size_t *widths; /* of all columns but the last */
    struct row *rows;
    size_t n_rows;
    size_t size;
};

struct table *table_new(const struct table_column *columns, size_t n)
{
    struct table *table = xcalloc(1, sizeof *table);

    table->columns = columns;
    table->n_columns = n;
    table->widths = xcalloc(n, sizeof *table->widths);
    for (size_t i = 0; i < n; i++)
        table->widths[i] = text_width(columns[i].heading);
    return table;
}

void table_free(struct table *table)
{
    for (size_t r = 0; r < table->n_rows; r++)
        free(table->rows[r].cells);
    free(table->rows);
    free(table->widths);
    free(table);
}

static const char **copy_cells(const char *const *cells, size_t n)
{
    size_t size = n * sizeof *cells;

    for (size_t i = 0; i < n; i++)
        size += strlen(cells[i]) + 1;
    const char **copies = xmalloc(size);
    char *text = (char *)(copies + n);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(cells[i]) + 1;
        copies[i] = memcpy(text, cells[i], len);
        text += len;
    }
    return copies;
}

void table_add(struct table *table, enum table_colour colour, const char *const *cells)
{
    if (table->n_rows == table->size) {
        table->size = table->size > 0 ? table->size * 2 : 16;
        table->rows = xreallocarray(table->rows, table->size, sizeof *table->rows);
    }
    table->rows[table->n_rows++] = (struct row){colour, copy_cells(cells, table->n_columns)};
    for (size_t i = 0; i < table->n_columns; i++) {
        size_t width = text_width(cells[i]);
        if (width > table->widths[i])
            table->widths[i] = width;
    }
}

const char *table_colour_code(enum table_colour colour)
{
    static const char *const codes[] = {
        [TABLE_PLAIN] = "",
        [TABLE_GREEN] = "\033[32m",
        [TABLE_YELLOW] = "\033[33m",
        [TABLE_RED] = "\033[31m",
    };

    return codes[colour];
}

static bool is_left_out(const struct table_column *column, const struct table_style *style)
{
    return column->wide && style->width > 0 && style->width < TABLE_WIDE;
}

static void put_blanks(size_t n, FILE *out)
{
    static const char blanks[] = "                                ";

    for (; n >= sizeof blanks; n -= sizeof blanks - 1)
        fwrite(blanks, 1, sizeof blanks - 1, out);
    fwrite(blanks, 1, n, out);
}

static const char *ellipsis(const struct table_style *style)
{
    return style->utf8 ? "…" : "..";
}

/* The last column: what fits, and no blanks behind it. */
static void put_last(const char *text, size_t used, const struct table_style *style, FILE *out)
{
    if (style->width == 0) {
        fputs(text, out);
        return;
    }
    char *fits = text_cut(text, style->width > used ? style->width - used : 0, ellipsis(style));
    fputs(fits, out);
    free(fits);
}

/* One long name must not push what is said of all off the terminal. */
static size_t first_width(const struct table *table, const struct table_style *style)
{
    size_t last = table->n_columns - 1;
    size_t needed = table->widths[last] < LAST_LEAST ? table->widths[last] : LAST_LEAST;
    size_t whole = table->widths[0];
    size_t least = whole < FIRST_LEAST ? whole : FIRST_LEAST;

    for (size_t i = 0; i < last; i++) {
        if (!is_left_out(&table->columns[i], style))
            needed += table->widths[i] + GAP;
    }
    if (style->width == 0 || needed <= style->width)
        return whole;
    size_t over = needed - style->width;
    return whole > least + over ? whole - over : least;
}

static void put_cell(const struct table_column *column, size_t width, const char *text, enum table_colour colour,
                     FILE *out)
{
    size_t blanks = width - text_width(text);
    const char *code = column->colour ? table_colour_code(colour) : "";

    if (column->right)
        put_blanks(blanks, out);
    fputs(code, out);
    fputs(text, out);
    if (*code)
        fputs("\033[0m", out);
    if (!column->right)
        put_blanks(blanks, out);
}

static void put_row(const struct table *table, const char *const *cells, enum table_colour colour,
                    const struct table_style *style, FILE *out)
{
    size_t used = 0;
    size_t n = table->n_columns;
    size_t first = first_width(table, style);

    /* Nothing hangs behind the last cell that holds something. */
    while (n > 0 && cells[n - 1][0] == '\0')
        n--;
    for (size_t i = 0; i < n; i++) {
        if (is_left_out(&table->columns[i], style))
            continue;
        if (i > 0)
            put_blanks(GAP, out);
        size_t width = i == 0 ? first : table->widths[i];
        char *fits = i == 0 && style->width > 0 ? text_cut(cells[i], width, ellipsis(style)) : NULL;
        if (i == table->n_columns - 1)
            put_last(cells[i], used, style, out);
        else
            put_cell(&table->columns[i], width, fits ? fits : cells[i], style->colour ? colour : TABLE_PLAIN, out);
        free(fits);
        used += width + GAP;
    }
    putc('\n', out);
}

void table_print(const struct table *table, const struct table_style *style, FILE *out)
{
    const char **headings = xcalloc(table->n_columns, sizeof *headings);

    for (size_t i = 0; i < table->n_columns; i++)
        headings[i] = table->columns[i].heading;
    put_row(table, headings, TABLE_PLAIN, style, out);
    free(headings);
    for (size_t r = 0; r < table->n_rows; r++)
        put_row(table, table->rows[r].cells, table->rows[r].colour, style, out);
}

/* $COLUMNS is somebody's wish and goes first, as in other programs. */
static size_t terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (columns) {
        long n = strtol(columns, NULL, 10);
        if (n > 0 && n < 100000)
            return (size_t)n;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* From the names of the locale alone: setlocale(3) would read files for it. */
bool table_locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

struct table_style table_style_of_stdout(void)
{
    struct table_style style = {0};
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (!isatty(STDOUT_FILENO))
        return style;
    style.width = terminal_width();
    style.colour = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    style.utf8 = table_locale_is_utf8();
    return style;
}
