/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of commands.c and command_*.c share: a request, its parameters, the services it names.  For them alone.
 */
#ifndef SUPD_SUPD_COMMAND_CALL_H
#define SUPD_SUPD_COMMAND_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supd/server.h"
#include "supd/supervisor.h"

/* One request on its way through a verb. */
struct call {
    struct supervisor *sup;
    const json_t *params;
    bool admin;          /* may the caller change something? */
    struct reply *reply; /* NULL once it was answered or handed on */
};

/* ---- command_call.c ---- */

/* Answers with an error. */
void call_refuse(struct call *call, enum proto_error code, const char *text);
void call_refuse_param(struct call *call, const char *key, const char *want);

/* Each of these answers, and returns false, where a parameter is wrong. */

/* Only the KNOWN ones (ended by NULL) may be there. */
bool call_known_params(struct call *call, const char *const *known);
bool call_bool_param(struct call *call, const char *key, bool *value);
/* Seconds -> us; 0 where it is not given. */
bool call_timeout_param(struct call *call, int64_t *usec);
/* A borrowed array of strings; NULL where it is not given. */
bool call_names_param(struct call *call, bool required, json_t **names);

/* The services that a request is about, in order of name, each once.  .items is to be freed. */
struct selection {
    struct service **items;
    size_t n;
};

/* Answers and returns false where a name or glob matches nothing.  NAMES NULL: all. */
bool call_select(struct call *call, json_t *names, struct selection *selection);

/* ---- command_enable.c ---- */

void command_service_enable(struct call *call);
void command_service_disable(struct call *call);

#endif
