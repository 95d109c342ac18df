/* SPDX-License-Identifier: MIT */
/*
 * The schedules of services: one timer for each, set to its next run.  What comes of a run that is due is decided by
 * core/service.h; here it is reckoned when that is, anew each time that one was seen to or the clock was set.
 */
#ifndef SUPD_SUPD_SCHEDULES_H
#define SUPD_SUPD_SCHEDULES_H

#include <stdint.h>

struct service;
struct service_schedule;
struct supervisor;
struct svc;

/* Into SVC of a new service, before its first event: what is remembered of it from an earlier boot. */
void schedules_recall(const struct service *service, struct svc *svc);

/* To be called after each change of the service. */
void schedules_follow(struct service *service);

/* When its next run is due, wall us; 0: never, or it has no schedule, or is not wanted. */
int64_t schedules_next_run(const struct service *service);

void schedules_free(struct service *service);
/* Once all services are freed. */
void schedules_close(struct supervisor *sup);

#endif
