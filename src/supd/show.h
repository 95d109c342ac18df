/* SPDX-License-Identifier: MIT */
/*
 * Services as the contract shows them: what core/proto.h writes, gathered from all that have a part of it.
 */
#ifndef SUPD_SUPD_SHOW_H
#define SUPD_SUPD_SHOW_H

#include <jansson.h>
#include <stddef.h>

#include "core/proto.h"
#include "supd/supervisor.h"

/* An array of these N services: objects, or, where FIELDS (N_FIELDS of them) is not NULL, arrays of what stands there. */
void show_list(struct json_out *out, struct service *const *services, size_t n, const enum proto_key *fields,
               size_t n_fields);

/* One of them, an object. */
json_t *show_service(const struct service *service);

/* {"name", "ok", "message", "service"} */
json_t *show_outcome(const struct service *service, bool ok, const char *message);

#endif
