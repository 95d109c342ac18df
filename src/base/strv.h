/* SPDX-License-Identifier: MIT */
/*
 * Vectors of strings, ended by NULL, as argv and environ are.
 * A vector owns its strings; NULL is the empty vector everywhere here.
 */
#ifndef SUPD_BASE_STRV_H
#define SUPD_BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>

/* Number of strings, without the NULL. */
size_t strv_len(char *const *v);

/* A deep copy; NULL for NULL. */
char **strv_dup(char *const *v);

/* Frees the strings and the vector. */
void strv_free(char **v);

/* Appends S, whose ownership passes to the vector, and returns the vector, which may have moved. */
char **strv_push(char **v, char *s);

/* Same strings in the same order. */
bool strv_equal(char *const *a, char *const *b);

/* Is S one of the strings? */
bool strv_contains(char *const *v, const char *s);

/*
 * V is a vector of KEY=VALUE.  Sets ASSIGNMENT (copied) in place of an earlier
 * one with the same KEY, else appends it; returns the vector.
 */
char **strv_env_set(char **v, const char *assignment);

/* The value of KEY in a vector of KEY=VALUE, or NULL. */
const char *strv_env_get(char *const *v, const char *key);

#endif
