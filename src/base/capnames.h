/* SPDX-License-Identifier: MIT */
/*
 * Names of capabilities, capabilities(7).
 */
#ifndef SUPD_BASE_CAPNAMES_H
#define SUPD_BASE_CAPNAMES_H

/* "CAP_NET_RAW", "net_raw" -> number, or -1. */
int capability_from_name(const char *name);

/* 13 -> "CAP_NET_RAW"; NULL for a number that has no name here. */
const char *capability_to_name(int number);

/* The known name nearest to a mistyped one, or NULL (base/suggest.h). */
const char *capability_suggest(const char *word);

#endif
