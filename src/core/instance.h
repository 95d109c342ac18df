/* SPDX-License-Identifier: MIT */
/*
 * Instances: `instances = N` makes N services NAME@1 ... NAME@N of one section.
 *
 * Owns their names, their order, and what %i, %n and %% stand for in their values.
 * Everybody else sees services like any other, each with a spec of its own.
 *
 * Pure.
 */
#ifndef SUPD_CORE_INSTANCE_H
#define SUPD_CORE_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/spec.h"

#define INSTANCES_MAX 10000
#define INSTANCE_NAME_SIZE (SPEC_NAME_MAX + sizeof("@10000")) /* of the longest name of a service, its NUL included */

/* The name of instance NUMBER of NAME; to be freed. */
char *instance_name(const char *name, unsigned number);

/* Is it the name of an instance? */
bool instance_is(const char *name);

/* Length of the part of NAME that all its instances share; of the whole name where it is none. */
size_t instance_base_len(const char *name);

/* The number of the instance NAME of the section SECTION; 0: it is none of its. */
unsigned instance_of(const char *name, const char *section);

/* NAME, or NAME@K with K from 1 to INSTANCES_MAX, without leading zeros: what a service that runs may be called. */
bool instance_name_valid(const char *name);

/* The order in which services are shown, as strcmp(): by name, instances by number. */
int instance_compare(const char *a, const char *b);

/*
 * TEXT with %i (the number), %n (the whole name) and %% (a %) of the instance NAME put in; to be freed.  NULL with ERR
 * (ERR_SIZE bytes) written where something else follows a %.
 */
char *instance_expand(const char *text, const char *name, char *err, size_t err_size);

/* VALUES, a vector, each so expanded; a vector to be freed, or NULL with ERR written. */
char **instance_expand_all(char *const *values, const char *name, char *err, size_t err_size);

/* The same for every value of SPEC that is expanded (KEY_F_EXPANDS), by its name.  On error some are expanded. */
bool instance_expand_spec(struct spec *spec, char *err, size_t err_size);

/* Could not both be started, since both listen at one address?  Then ERR says at which. */
bool instance_clash(const struct spec *a, const struct spec *b, char *err, size_t err_size);

#endif
