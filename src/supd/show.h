/* SPDX-License-Identifier: MIT */
/*
 * Services as the contract shows them: what core/proto.h writes, gathered from all that have a part of it.
 */
#ifndef SUPD_SUPD_SHOW_H
#define SUPD_SUPD_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/proto.h"
#include "supd/supervisor.h"

/* An array of services in the making, a piece at a time. */
struct show_list;

/*
 * Of SERVICES, N of them: objects, or, where N_FIELDS is not 0, arrays of what FIELDS say.  Both are copied.
 */
struct show_list *show_list_new(struct service *const *services, size_t n, const enum proto_key *fields,
                                size_t n_fields);
/* Adds some of it to OUT.  True: it is whole. */
bool show_list_step(struct show_list *list, struct json_out *out);
/* It is about to be freed, and is shown as it is now. */
void show_list_service_gone(struct show_list *list, const struct service *service);
void show_list_free(struct show_list *list);

/* One of them, an object. */
json_t *show_service(const struct service *service);

/* {"name", "ok", "message", "service"} */
json_t *show_outcome(const struct service *service, bool ok, const char *message);

#endif
