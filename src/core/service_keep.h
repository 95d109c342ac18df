/* SPDX-License-Identifier: MIT */
/*
 * States of services as they are kept, of which there are many: the reason, the last member of struct svc, takes as much
 * room as its words need.  Most services have none, or a short one.
 *
 * What is kept may be looked at like any other, and never be assigned or copied whole but by svc_kept().
 */
#ifndef SUPD_CORE_SERVICE_KEEP_H
#define SUPD_CORE_SERVICE_KEEP_H

#include "core/service.h"

/* Keeps SVC in place of what was KEPT before, NULL: nothing.  Where that does not fit it is freed, and another returned. */
const struct svc *svc_keep(const struct svc *kept, const struct svc *svc);

/* KEPT as a whole one. */
struct svc svc_kept(const struct svc *kept);

/* NULL is fine. */
void svc_keep_free(const struct svc *kept);

#endif
