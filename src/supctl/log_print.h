/* SPDX-License-Identifier: MIT */
/*
 * How the lines of logs are shown.
 */
#ifndef SUPD_SUPCTL_LOG_PRINT_H
#define SUPD_SUPCTL_LOG_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "supctl/log_source.h"

struct log_printer {
    bool json;
    bool marks;    /* each line begins with the label of its log ... */
    size_t width;  /* ... in so many columns */
    bool terminal; /* what could do something to one is made visible */
    bool colour;
    bool in_line; /* what was printed last has no end yet */
    struct buf text;
    struct buf spare;
};

/* Prints the piece that is the head of SOURCE, the NUMBER-th of all, to stdout. */
void log_print(struct log_printer *printer, const struct log_source *source, size_t number);

/* What turns the colour of the NUMBER-th log on. */
const char *log_print_colour(size_t number);

void log_printer_clear(struct log_printer *printer);

#endif
