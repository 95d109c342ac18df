/* SPDX-License-Identifier: MIT */
/* What becomes of services, in words: to the log, and to those who listen on the control socket. */
#ifndef SUPD_SUPD_ANNOUNCE_H
#define SUPD_SUPD_ANNOUNCE_H

#include "supd/supervisor.h"

/* SERVICE was in state FROM before. */
void announce_state(struct service *service, enum svc_state from);

/* Its health is another than before. */
void announce_health(struct service *service);

#endif
