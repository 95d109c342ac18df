/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the control socket, docs/protocol.md: a table of methods.
 */
#ifndef SUPD_SUPD_COMMANDS_H
#define SUPD_SUPD_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>

#include "supd/server.h"
#include "supd/supervisor.h"

/* Carries out METHOD and answers REPLY, now or later.  ADMIN: the caller may change things. */
void command_run(struct supervisor *sup, const char *method, const json_t *params, bool admin, struct reply *reply);

#endif
