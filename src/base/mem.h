/* SPDX-License-Identifier: MIT */
/*
 * Memory that cannot fail.
 *
 * supd is crash-only: the state file makes its death at any instruction
 * harmless, so a failed allocation ends the process with one line on stderr
 * instead of threading an error path nobody can test through every caller.
 * None of these functions returns NULL.  What they return is freed with free(3).
 */
#ifndef SUPD_BASE_MEM_H
#define SUPD_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* PTR, which a library has allocated: NULL means that it had no memory. */
void *mem_checked(void *ptr);

/* malloc(3) of SIZE bytes, at least one. */
void *xmalloc(size_t size);

/* calloc(3): NMEMB zeroed elements of SIZE bytes each. */
void *xcalloc(size_t nmemb, size_t size);

/* reallocarray(3): PTR resized to NMEMB elements of SIZE bytes. */
void *xreallocarray(void *ptr, size_t nmemb, size_t size);

/* realloc(3) of PTR to SIZE bytes, at least one. */
void *xrealloc(void *ptr, size_t size);

/* strdup(3); a NULL argument gives NULL, so that unset stays unset. */
char *xstrdup(const char *s);

/* strndup(3). */
char *xstrndup(const char *s, size_t n);

/* asprintf(3) that returns the string. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* vasprintf(3) that returns the string. */
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* What was freed goes back to the system: to be called when much was, for each fork copies the tables of what we have. */
void mem_trim(void);

#endif
