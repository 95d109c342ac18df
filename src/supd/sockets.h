/* SPDX-License-Identifier: MIT */
/*
 * The sockets of a service (key `listen`): opened once, and open for as long as the service is wanted, so that what
 * comes in while it is restarted waits there.  They are taken down when it is stopped or given up.
 *
 * Over our death they are kept by the fd store (systemd, or supd --init); without one they are copied back from the
 * process of the service.  Nothing is recorded of them: each is known by its address.
 *
 * All take a service without sockets.
 */
#ifndef SUPD_SUPD_SOCKETS_H
#define SUPD_SUPD_SOCKETS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/spawn.h"
#include "supd/supervisor.h"

/* To be called when service->spec is another: keeps what is open and of use, takes down the rest, opens nothing. */
void sockets_configure(struct service *service);

/* Opens those that are wanted and not open, where that is possible; what is in the way is logged once. */
void sockets_open_missing(struct service *service);

/* After a new supd has restored the service: takes back those that the supd before had open. */
void sockets_recover(struct service *service);

/* To be called after each change of the service: they follow its state. */
void sockets_follow(struct service *service);

/*
 * For a start: all are open, and as a new process expects them, and REQUEST names them (what it points to stays the
 * service's).  False with ERR written: "listen tcp:127.0.0.1:80: Address already in use".
 */
bool sockets_ready(struct service *service, struct spawn_request *request, char *err, size_t err_size);

/* What the next binary is given in a live upgrade: objects with "listen", "fd" and "stored"; NULL: nothing is open. */
json_t *sockets_save(const struct service *service);

/* The member "sockets" of a service in an answer. */
json_t *sockets_status(const struct service *service);

/* Closes them and leaves everything else as it is, for the next supd. */
void sockets_free(struct service *service);

#endif
