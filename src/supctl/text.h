/* SPDX-License-Identifier: MIT */
/*
 * Words for people: what comes from supd made harmless for a terminal, times, messages on stderr.
 */
#ifndef SUPD_SUPCTL_TEXT_H
#define SUPD_SUPCTL_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "supctl: ...\n" to stderr, after what is already printed.  Cleaned as text_clean() does. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same without "supctl: ". */
void complain_plainly(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * TEXT (UTF-8) with everything that could move a cursor, change a colour or turn the direction of
 * writing replaced: "\x1b", "?" or a space.  To be freed.
 */
char *text_clean(const char *text);

/* Bytes of the character of UTF-8 that TEXT, LEFT bytes, begins with; 0: there is none, or it is none for a terminal. */
size_t text_harmless(const char *text, size_t left);

/* Columns that TEXT takes, one for each character. */
size_t text_width(const char *text);

/* TEXT in at most WIDTH columns, the last of them taken by ELLIPSIS where something was cut.  To be freed. */
char *text_cut(const char *text, size_t width, const char *ellipsis);

/* "3 s ago", "just now": one unit says enough.  Both are seconds since 1970. */
const char *text_ago(double then, double now, char *buf, size_t size);

/* Seconds as duration_human() says them; "0 s" for less than none. */
const char *text_duration(double seconds, char *buf, size_t size);

/* The same for a narrow column: "1h2m", "8m32s", "200ms". */
const char *text_duration_short(double seconds, char *buf, size_t size);

/* "2026-11-21 20:25:24", local time; with milliseconds ".123" if MILLIS. */
const char *text_time(double when, bool millis, char *buf, size_t size);

/* Now, seconds since 1970. */
double text_now(void);

/* The string that OBJECT has under KEY, "" where there is none.  Lives as long as OBJECT does. */
const char *text_member(const json_t *object, const char *key);

/* The integer that OBJECT has under KEY, "-" where there is none.  Returns BUF or a literal. */
const char *text_integer(const json_t *object, const char *key, char *buf, size_t size);

/* How a process ended, from the "exit" of a service: "exit 1", "killed by SEGV", "ended, status unknown". */
const char *text_exit(const json_t *exit, char *buf, size_t size);

/*
 * Writes what is printed so far.  False, and told, when that failed: what could not be
 * written was not said.  A reader that has gone away, as head(1) does, is told nothing of.
 */
bool text_flush(void);

/* Prints VALUE as compact JSON and a newline. */
void text_print_json(const json_t *value);

#endif
