/* SPDX-License-Identifier: MIT */
/*
 * The answers that tell of many services: made a piece at a time, so that nobody who ends meanwhile waits to be started
 * again until the last of 10,000 was read in /proc.  Which services an answer tells of is settled when it is asked for;
 * of one that is removed before its turn it tells what it was then.  The next request of the same connection is looked
 * at when the answer is whole.
 */
#ifndef SUPD_SUPD_LISTS_H
#define SUPD_SUPD_LISTS_H

#include <stddef.h>

#include "core/proto.h"
#include "supd/server.h"
#include "supd/supervisor.h"

/* REPLY, which is used up, is to tell of SERVICES, as show_list_new() does: at once, where that is done soon. */
void lists_answer(struct supervisor *sup, struct reply *reply, struct service *const *services, size_t n,
                  const enum proto_key *fields, size_t n_fields);

/* The service is about to be freed. */
void lists_service_gone(struct service *service);

/* All that are under way are answered now. */
void lists_finish(struct supervisor *sup);

/* None is under way any more. */
void lists_close(struct supervisor *sup);

#endif
