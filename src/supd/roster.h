/* SPDX-License-Identifier: MIT */
/*
 * Services that come and go while supd runs: by a new configuration, or by another number of instances.
 */
#ifndef SUPD_SUPD_ROSTER_H
#define SUPD_SUPD_ROSTER_H

#include "supd/waiters.h"

/*
 * The service of SPEC, which is taken over, is there from now on, and is started if it is to be; one of its name that is
 * on its way out stays.  services_sort() is the caller's.
 */
struct service *roster_add(struct supervisor *sup, struct spec *spec);

/* It is stopped and then forgotten.  WHY as of service_remove().  WAITER, which may be NULL, waits for that. */
void roster_remove(struct service *service, const char *why, struct waiter *waiter);

#endif
