/* SPDX-License-Identifier: MIT */
/*
 * What `supctl top` shows: services by what they use.  CPU is a share of one processor's time between two looks.
 */
#ifndef SUPD_SUPCTL_TOP_H
#define SUPD_SUPCTL_TOP_H

#include <jansson.h>
#include <stddef.h>

#include "supctl/table.h"

enum top_order { TOP_BY_CPU, TOP_BY_MEMORY, TOP_BY_NAME };

struct top;

struct top *top_new(void);
void top_free(struct top *top);

/* Takes in what service.list said (SERVICES is kept, as a reference of its own) at AT, seconds of a clock that does not jump. */
void top_look(struct top *top, json_t *services, double at);

/* The first MAX services in that order; NOW seconds since 1970.  Before the second look no share of CPU is known. */
struct table *top_table(struct top *top, enum top_order order, size_t max, double now);

/* "12 services, 10 running, 1 failed; 12.3 % CPU, 1.2G memory", to be freed. */
char *top_summary(const struct top *top);

#endif
