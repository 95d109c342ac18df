/* SPDX-License-Identifier: MIT */
/*
 * What services tell of themselves, sd_notify(3): a socket for each service that may (keys `ready`, `notify-access`),
 * in RUNTIME/notify, under the same name from start to start.  It is open from the first start until the service is
 * stopped or given up, and nothing of it is left.
 *
 * Over our death it is kept by the fd store (systemd, or supd --init), with what is sent meanwhile.  Without one it is
 * gone, so that no service waits for a dead supd to read; what is said then is lost, and SVC_EV_UNHEARD tells so.
 *
 * All take a service that has none.
 */
#ifndef SUPD_SUPD_MESSAGES_H
#define SUPD_SUPD_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/service.h"
#include "supd/supervisor.h"

/* Before a fork for ROLE: the socket is open, and for a main process empty.  False with ERR written. */
bool messages_prepare(struct service *service, enum svc_role role, char *err, size_t err_size);
/* "NOTIFY_SOCKET=...", to be freed; NULL: a process of that role gets none. */
char *messages_variable(const struct service *service, enum svc_role role);

/* To be called after each change of the service: the socket follows its state. */
void messages_follow(struct service *service);
/* Reads what has come, before the end of who may have sent it is told. */
void messages_read(struct service *service);

/* After a new supd has restored the service: takes its socket back, or opens it anew. */
void messages_recover(struct service *service);
/* What became of its processes was told: now that of its messages. */
void messages_resume(struct service *service);
/* All services are restored: files that are nobody's go. */
void messages_clean(struct supervisor *sup);

/* What the next binary is given in a live upgrade, an object as those of sockets_save(); NULL: nothing. */
json_t *messages_save(const struct service *service);

/* What it said last by STATUS; NULL: nothing. */
const char *messages_status(const struct service *service);

/* Closes it and leaves everything else as it is, for the next supd. */
void messages_free(struct service *service);

#endif
