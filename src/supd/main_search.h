/* SPDX-License-Identifier: MIT */
/*
 * Main processes that were not forked by us: of a forking service, once its start command has succeeded:
 * read from pid-file and verified to be the service's own, or else guessed, and
 * taken.  It is our child where it was handed to us as the subreaper, else it is
 * watched as an adopted one.  And of any service, one that it names (MAINPID of sd_notify(3)).
 */
#ifndef SUPD_SUPD_MAIN_SEARCH_H
#define SUPD_SUPD_MAIN_SEARCH_H

#include "supd/supervisor.h"

/* Looks now and again until it is found, is known to be missing, or the service is no more on its way up. */
void main_search_begin(struct service *service);
void main_search_free(struct main_search *search); /* NULL is fine */
/* What has kept it from being found so far; NULL: nothing yet, or SEARCH is NULL. */
const char *main_search_trouble(const struct main_search *search);

/*
 * The service, whose main process lives, or has just ended, says that PID is it from now on: verified, taken and recorded.
 * False with WHY written, and nothing has changed.
 */
bool main_search_move(struct service *service, pid_t pid, char *why, size_t why_size);

/* The life of a forking service is over: removes its pid-file where that still names a process that is no more. */
void main_search_remove_pid_file(struct service *service);

#endif
