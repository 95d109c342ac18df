/* SPDX-License-Identifier: MIT */
/*
 * One service in full, a line for each thing that is to be said of it.
 */
#ifndef SUPD_SUPCTL_VIEW_H
#define SUPD_SUPCTL_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "supctl/table.h"

/* Does the view of SERVICE tell its last words? */
bool view_tells_last_words(const json_t *service);

/* SERVICE is an object of service.list, NOW seconds since 1970.  Nothing is cut; of STYLE its colour counts. */
void view_print(const json_t *service, double now, const struct table_style *style, FILE *out);

#endif
