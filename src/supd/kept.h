/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that a service leaves with us (key `fd-store`; FDSTORE of sd_notify(3)): kept for as long as it is wanted,
 * and given to each of its starts behind its sockets.
 *
 * How each is called, and in which slot it is, is recorded.  Over our death it is kept by the fd store (systemd, or supd
 * --init), under a short name that follows from the service and the slot; without one it is copied back from the main
 * process, if that has it open still and it is no eventfd or the like, of which one cannot be told from another.
 *
 * All take a service that has left nothing.
 */
#ifndef SUPD_SUPD_KEPT_H
#define SUPD_SUPD_KEPT_H

#include <jansson.h>
#include <stddef.h>

#include "core/notify_msg.h"
#include "core/record.h"
#include "os/spawn.h"
#include "supd/supervisor.h"

/* FDSTORE=1: keeps N descriptors, which are ours from now on; those that are too many are closed. */
void kept_add(struct service *service, const struct notify_msg *msg, const int *fds, size_t n);
/* FDSTOREREMOVE=1: lets go of all of that name. */
void kept_remove(struct service *service, const char *name);

/* To be called after each change of the service: it keeps nothing once it is stopped or given up. */
void kept_follow(struct service *service);

/* For a start: behind what REQUEST names already; what it points to stays the service's. */
void kept_ready(struct service *service, struct spawn_request *request);

/* After a new supd has restored the service from IMAGE, NULL: there was none. */
void kept_recover(struct service *service, const struct svc_image *image);

/* For the state file: the I-th that is kept; NULL: there are no more. */
const struct kept_fd *kept_at(const struct service *service, size_t i);

/* Adds to ARRAY what the next binary is given in a live upgrade, objects as those of sockets_save(). */
void kept_save(const struct service *service, json_t *array);

/* The member "fd-store" of a service in an answer: their names. */
json_t *kept_status(const struct service *service);

/* Closes them and leaves everything else as it is, for the next supd. */
void kept_free(struct service *service);

#endif
