/* SPDX-License-Identifier: MIT */
/*
 * What a service has just written is on its way to its log for a moment.
 */
#ifndef SUPD_SUPCTL_LOG_SETTLE_H
#define SUPD_SUPCTL_LOG_SETTLE_H

#include <jansson.h>

#include "supctl/client.h"

/*
 * Waits until nothing that SERVICES, an array of objects as supd gives them, have written is still on its way; not for
 * long, for there may be no end of it, or no room.
 */
void log_settle(struct client *client, const json_t *services);

#endif
