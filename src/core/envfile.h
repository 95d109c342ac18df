/* SPDX-License-Identifier: MIT */
/*
 * The syntax of an environment file, as EnvironmentFile= of systemd.exec(5):
 * lines KEY=VALUE; empty lines and lines beginning with # or ; are passed over; a
 * backslash at the end of a line continues it; values may be quoted with ' or ",
 * within " a backslash escapes \ " ` $ and newline; nothing is expanded.
 * Pure: text in, vector out.
 */
#ifndef SUPD_CORE_ENVFILE_H
#define SUPD_CORE_ENVFILE_H

#include <stddef.h>

/*
 * Parses LEN bytes at TEXT and sets what it finds in ENV (strv_env_set, so a
 * later one wins); returns the vector.  On an error *ERR_LINE is the 1-based
 * line and ERR says what is wrong; the vector is still valid; else *ERR_LINE is 0.
 */
char **envfile_parse(char **env, const char *text, size_t len, unsigned *err_line, char *err, size_t err_size);

#endif
