/* SPDX-License-Identifier: MIT */
/*
 * The member `pressure` of supd.info, in words.
 */
#ifndef SUPD_SUPCTL_PRESSURE_H
#define SUPD_SUPCTL_PRESSURE_H

#include <jansson.h>

/* "memory some 0.0 %, full 0.0 %; cpu ... of the last 10 s"; "-" where nothing is told.  To be freed. */
char *pressure_words(const json_t *pressure);

#endif
