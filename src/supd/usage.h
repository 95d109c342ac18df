/* SPDX-License-Identifier: MIT */
/*
 * What the processes of a service use: by its cgroup where that tells, else added up from /proc.
 */
#ifndef SUPD_SUPD_USAGE_H
#define SUPD_SUPD_USAGE_H

#include "core/proto.h"
#include "supd/supervisor.h"

/* Not known for a service without a process. */
struct proto_usage usage_of(const struct service *service);

/*
 * Many services are looked at one after another, for one answer: what would be asked for each is asked once.  Meanwhile
 * they may change.
 */
struct usage_look;

/* SERVICES, N of them, are not needed afterwards.  WHOLE: else nothing is to be told but whether they are stopped or paused. */
struct usage_look *usage_look_new(struct service *const *services, size_t n, bool whole);
/* Learns a bit of what it has to know.  True: that is all. */
bool usage_look_prepare(struct usage_look *look);
/* As usage_of() of one of them, once it is prepared. */
struct proto_usage usage_look_at(const struct usage_look *look, const struct service *service);
void usage_look_free(struct usage_look *look);

/* What its main process used of which the exit at AT (wall us) tells. */
void usage_keep(struct service *service, const struct usage *usage, int64_t at);
/* The same of the exit that the service has now; NULL: not known. */
const struct usage *usage_last(const struct service *service);
/* It is asked for no more. */
void usage_forget(struct service *service);

/* "some" and "full" of memory, cpu and io for all services together; null where the kernel does not tell. */
json_t *usage_pressure(const struct supervisor *sup);

#endif
