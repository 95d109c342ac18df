/* SPDX-License-Identifier: MIT */
/*
 * The table of `supctl status`: which keys of a service it needs, and its rows, made from the answer as text.  Of a service
 * that runs and of which there is nothing else to say, as of most, no tree is made.
 */
#ifndef SUPD_SUPCTL_ROWS_H
#define SUPD_SUPCTL_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "supctl/table.h"

/* For the parameter `fields` of service.list; a new reference. */
json_t *rows_fields(void);

/*
 * Adds the rows of RESULT, LEN bytes: an array that has for each service one of those values.  *N is how many, and
 * *ALL_RUN whether all are running.  False where it is nothing of the kind.
 */
bool rows_add(struct table *table, const char *result, size_t len, double now, size_t *n, bool *all_run);

/* The same of a service as an object. */
void rows_add_object(struct table *table, const json_t *service, double now);

/* An empty table with their columns. */
struct table *rows_table(void);

#endif
