/* SPDX-License-Identifier: MIT */
/*
 * The process that reads a configuration for a running supd: files and users may
 * be on a network that hangs.  It never executes anything and dies with supd.
 */
#ifndef SUPD_SUPD_RELOAD_HELPER_H
#define SUPD_SUPD_RELOAD_HELPER_H

#include <jansson.h>

#include "os/config.h"

/* What the helper's answer, all that it writes to its pipe, begins with. */
#define RELOAD_ANSWER_GOOD 'G'   /* then the text of config_dump() */
#define RELOAD_ANSWER_ERRORS 'E' /* then a JSON array of {file, line, message} */

/*
 * Forks the helper for the configuration PATH.  *ANSWER_FD (nonblocking) ends when
 * it has; *PIDFD is negative where the system has none.  Both are the caller's.
 * 0 or -errno.
 */
int reload_helper_start(const char *path, int *answer_fd, int *pidfd);

/* The errors as the contract shows them. */
json_t *reload_errors_to_json(const struct config_errors *errors);

#endif
