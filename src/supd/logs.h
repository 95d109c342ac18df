/* SPDX-License-Identifier: MIT */
/*
 * The logs of services that suplog(8) writes: a FIFO for each, in RUNTIME/log, and suplog itself.
 *
 * The FIFO is the promise.  It is made before the process that writes into it, held open by us, by suplog and by the
 * process, kept by the fd store over our death and handed on in a live upgrade; so what was written stays in it until
 * some suplog moves it on, whoever died meanwhile.  What is to become of it stands in RUNTIME/log/streams, written anew
 * as a whole in the turn of the loop in which anything of it has changed.  A service that is no more leaves its entry
 * there until its FIFO is empty.
 *
 * suplog is a service beside the others, "supd:log", so all that is true of the processes of services (recorded by
 * themselves, taken back, started again) is true of it, too.  It is in no list, by no name to be had, takes no start slot,
 * runs while there is a FIFO, and is ended last.
 */
#ifndef SUPD_SUPD_LOGS_H
#define SUPD_SUPD_LOGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/spawn.h"
#include "supd/supervisor.h"

/* Reads what an earlier supd has written to RUNTIME/log. */
void logs_open(struct supervisor *sup);
/* Lets go of everything and leaves it as it is, for the next supd. */
void logs_close(struct supervisor *sup);

/* Before it is put into the queue of those that are to be forked: suplog is before it, if it is to have a FIFO. */
void logs_expect(struct service *service);
/* Before a fork for ROLE: the FIFOs are there, and REQUEST names them.  False with ERR written. */
bool logs_prepare(struct service *service, enum svc_role role, struct spawn_request *request, char *err,
                  size_t err_size);
/* The specification is another: what is applied to FIFOs that stay is. */
void logs_configure(struct service *service);
/* To be called after each change of the service: its pid is known to suplog. */
void logs_follow(struct service *service);
/* It is to be freed: what is in its FIFOs is still written. */
void logs_forget(struct service *service);

/* Makes the service that suplog is, if that is what NAME, found in the state file, is called. */
bool logs_add_suplog(struct supervisor *sup, const char *name);
/* After a new supd has restored the service: takes its FIFOs back. */
void logs_recover(struct service *service);
/* All services are restored: FIFOs that are nobody's go once they are empty. */
void logs_resume(struct supervisor *sup);
/* Adds to ARRAY what the next binary is given in a live upgrade, objects as those of sockets_save(). */
void logs_save(const struct service *service, json_t *array);

/* For one that waits for a line in its output: 1: it was seen.  0: not yet.  -errno: that is not to be learnt. */
int logs_match_look(const struct service *service);

/* Has it files that suplog writes? */
bool logs_rotates(const struct service *service);
/* Has them rotated now.  False with ERR written when it has none. */
bool logs_rotate(struct service *service, char *err, size_t err_size);
/* How many bytes that it has written are still in its FIFOs. */
size_t logs_pending(const struct service *service);
/* Has all files opened anew. */
void logs_reopen(struct supervisor *sup);

/* Where suplog is, to be freed: beside BINARY, which is supd's own, else where programs are installed. */
char *logs_suplog_path(const char *binary);
/* The service that suplog is; NULL: none. */
struct service *logs_suplog(const struct supervisor *sup);
bool logs_is_suplog(const struct service *service);

/* supd is ending, and no service but suplog is left: lets that write what is there, and end.  True once it has. */
bool logs_ended(struct supervisor *sup);
/* How many of sup->n_busy are suplog: 0 or 1. */
size_t logs_busy(const struct supervisor *sup);

#endif
