/* SPDX-License-Identifier: MIT */
/*
 * Live upgrade: the binary on disk takes the place of the running one, by execve(2), in the same process.  The services
 * stay our children, callers stay connected, the lock stays held.
 *
 * The new binary is tried first, as a helper with --check --resume: it must read the configuration, the state file and
 * what would be handed over to it.  Then new starts are held until no child stands before its exec and no
 * configuration is being read; then the loop is left, and upgrade_attempt() writes the state file anew and executes.
 * Whatever fails before the execve leaves everything as it was.
 */
#ifndef SUPD_SUPD_UPGRADE_H
#define SUPD_SUPD_UPGRADE_H

#include <jansson.h>
#include <stdbool.h>

#include "supd/server.h"
#include "supd/supervisor.h"

/* Begins an upgrade.  REPLY is NULL for one by signal, which is reported in the log. */
void upgrade_request(struct supervisor *sup, struct reply *reply);

/* The answer to who asked for the upgrade that has brought us here. */
json_t *upgrade_result(const struct supervisor *sup);

/* Is no service to be started now? */
bool upgrade_holds_starts(const struct supervisor *sup);

/* A child that is no service has ended: the helper? */
void upgrade_child_ended(struct supervisor *sup, pid_t pid, int wait_status);

/*
 * To be called when the loop was left.  Returns only where no upgrade was made.  True: one was due and the loop is to go
 * on; false: supd ends.
 */
bool upgrade_attempt(struct supervisor *sup);

/* Gives up what is under way.  Does not answer. */
void upgrade_free(struct upgrade *upgrade);

#endif
