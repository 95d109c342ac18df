/* SPDX-License-Identifier: MIT */
/*
 * What is to be said of a service beside its state, in the last column of the
 * table: why it is so, how its process ended, when the next start is due.
 */
#ifndef SUPD_SUPCTL_WORDS_H
#define SUPD_SUPCTL_WORDS_H

#include <jansson.h>

#include "supctl/table.h"

/* SERVICE is an object of service.list, NOW seconds since 1970.  Clean; empty where there is nothing to say; to be freed. */
char *words_of_service(const json_t *service, double now);

/* What its state looks like on a terminal. */
enum table_colour words_colour(const json_t *service);

#endif
