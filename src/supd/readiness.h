/* SPDX-License-Identifier: MIT */
/*
 * Looking whether a service is ready where it does not say so itself (key `ready`): ready = fd:N, port:, path: and log:.
 * Looked is only while it is waited for, soon first and then a few times a second.
 *
 * What is written to the descriptor of fd:N goes to a file in RUNTIME/notify, not to a pipe: so it is there for the next
 * supd too, and nobody gets a SIGPIPE for having written it while none was there.
 */
#ifndef SUPD_SUPD_READINESS_H
#define SUPD_SUPD_READINESS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/service.h"
#include "supd/supervisor.h"

/* Before a fork for ROLE: *FD is what the process is to find as its descriptor, the caller's to close; 0: nothing.
 * False with ERR written. */
bool readiness_prepare(struct service *service, enum svc_role role, int *fd, char *err, size_t err_size);

/* To be called after each change of the service. */
void readiness_follow(struct service *service);

/* Is the file at PATH one that is looked at for the service? */
bool readiness_uses(const struct service *service, const char *path);

/* Ends the looking, which readiness_follow() may begin anew; files stay, for the next supd. */
void readiness_free(struct service *service);

#endif
