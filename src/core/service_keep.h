/* SPDX-License-Identifier: MIT */
/*
 * States of services as they are kept, of which there are many.  The reason, the last member of struct svc, takes as much
 * room as its words need.  Where nothing stands in all of `rare`, that takes no room either: the state is cut, as is that
 * of nearly all that run.
 *
 * What is kept may be looked at like any other, but for `rare`, which svc_rare() shows; it is never to be assigned or copied
 * whole but by svc_kept().
 */
#ifndef SUPD_CORE_SERVICE_KEEP_H
#define SUPD_CORE_SERVICE_KEEP_H

#include "core/service.h"

/*
 * Keeps SVC, a whole one, in place of what was KEPT before, NULL: nothing.  Where that does not fit it is freed, and
 * another returned.
 */
const struct svc *svc_keep(const struct svc *kept, const struct svc *svc);

/* KEPT as a whole one. */
struct svc svc_kept(const struct svc *kept);

/* NULL is fine. */
void svc_keep_free(const struct svc *kept);

#endif
