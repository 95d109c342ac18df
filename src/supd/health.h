/* SPDX-License-Identifier: MIT */
/*
 * The checks of services (section check { }): when which is looked at, and so many at a time as check-slots allows.
 * What the results mean is decided in core/service_health.c.
 *
 * A service that is found running is looked at first somewhere in its first interval, so that those of a supd that was
 * started again are not all looked at together.
 */
#ifndef SUPD_SUPD_HEALTH_H
#define SUPD_SUPD_HEALTH_H

#include <jansson.h>

#include "core/service.h"
#include "supd/supervisor.h"

/* To be called after each change of the service. */
void health_follow(struct service *service);

/* The process of a check has ended, CHECK, as it was before.  TEXT: why it failed before its exec; NULL: it ran. */
void health_process_ended(struct service *service, const struct svc_check *check, const struct exit_info *exit,
                          const char *text);
/* There was none. */
void health_process_failed(struct service *service, const char *text);

/* What came of the check before, in words; NULL: nothing is known. */
const char *health_words(const struct service *service);

/* Ends the looking, which health_follow() may begin anew. */
void health_free(struct service *service);

#endif
