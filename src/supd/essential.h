/* SPDX-License-Identifier: MIT */
/*
 * Essential services: when one has ended for good, supd stops everything and exits with its status.
 *
 * That is recorded before the end of the service itself, so a supd that dies in between is followed by one that
 * goes on with it, also where nothing is alive any more.
 */
#ifndef SUPD_SUPD_ESSENTIAL_H
#define SUPD_SUPD_ESSENTIAL_H

#include "supd/supervisor.h"

/* SERVICE is about to become NEXT, another state than it has. */
void essential_check(struct service *service, const struct svc *next);

/* What an earlier supd has recorded and not finished; nothing where END is of nobody. */
void essential_resume(struct supervisor *sup, const struct essential_end *end);

/* Has one ended?  Then everything is stopped. */
void essential_act(struct supervisor *sup);

/* What supd exits with after a shutdown. */
int essential_status(const struct supervisor *sup);

#endif
