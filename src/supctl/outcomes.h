/* SPDX-License-Identifier: MIT */
/*
 * Outcomes of commands, as supd gives them: what became of each service, for people or as JSON.
 */
#ifndef SUPD_SUPCTL_OUTCOMES_H
#define SUPD_SUPCTL_OUTCOMES_H

#include <jansson.h>
#include <stdbool.h>

/* One line; a failure goes to stderr.  False when the service did not do what was asked for. */
bool outcome_tell(const json_t *outcome);

/* The same for an array of them; false when one of them did not. */
bool outcomes_tell(const json_t *outcomes);

/* Did all do what was asked for?  Nothing is printed. */
bool outcomes_good(const json_t *outcomes);

#endif
