/* SPDX-License-Identifier: MIT */
/*
 * Outcomes of commands, as supd gives them: what became of each service, for people or as JSON.
 */
#ifndef SUPD_SUPCTL_OUTCOMES_H
#define SUPD_SUPCTL_OUTCOMES_H

#include <jansson.h>
#include <stdbool.h>

/*
 * One line; a failure goes to stderr, and with it what the service has written since BEGAN, seconds since 1970, when it
 * was told to start; 0: it was not.  False when the service did not do what was asked for.
 */
bool outcome_tell(const json_t *outcome, double began);

/* The same for an array of them; false when one of them did not. */
bool outcomes_tell(const json_t *outcomes, double began);

/* Of those that did not do what was asked for the services, an array to be released. */
json_t *outcomes_failed(const json_t *outcomes);

/* Did all do what was asked for?  Nothing is printed. */
bool outcomes_good(const json_t *outcomes);

#endif
