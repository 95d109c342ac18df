/* SPDX-License-Identifier: MIT */
/*
 * Commands that are run for news of services, on-event "NAME" { ... }; what is told to whom is decided in core/event.h.
 *
 * The command of a rule is a service beside the others, "event:NAME": a oneshot that is started for one note at a time,
 * so what is true of the processes of services (recorded by themselves, taken back, ended at their timeout with all that
 * came of them) is true of it, too.  It is in no list, by no name to be had, makes no news itself and takes no start slot.
 */
#ifndef SUPD_SUPD_EVENTS_H
#define SUPD_SUPD_EVENTS_H

#include <jansson.h>

#include "supd/supervisor.h"

struct event_handler;

/* The service is new: makes what it needs where it is a rule's. */
void events_configure(struct service *service);
/* It is to be freed. */
void events_forget(struct service *service);
/* Lets go of what they share. */
void events_close(struct supervisor *sup);

/* A service that was FROM, with HEALTH, has become what it is now, and that is not recorded yet: records the news. */
void events_note(struct service *service, enum svc_state from, enum health_state health);
/* The same of a rule's own: perhaps the next note has its turn. */
void events_follow(struct service *service);

/* What was recorded of the queues; before the state file is written anew. */
void events_restore(struct supervisor *sup, struct replay *replay);
/* All services have been told what became of their processes: what waits may go on. */
void events_resume(struct supervisor *sup);
/* Writes all queues into a new state file: what waits, whose changes the records of services that follow tell of; ... */
void events_put_waiting(const struct supervisor *sup, struct statefile *file);
/* ... and, behind those, what an earlier supd has told of and perhaps not recorded. */
void events_put_seen(const struct supervisor *sup, struct statefile *file);
/* Records again what could not be recorded.  0 or -errno. */
int events_record_missing(struct supervisor *sup);

/* The note that is, or is to be, told; NULL: none, or SERVICE is no rule's. */
const struct event_note *events_head(const struct service *service);

/* supd is ending and perhaps no other service is left: are there still notes to be told?  Not for long. */
bool events_hold_shutdown(struct supervisor *sup);

/* All rules, for supd.info: name, what waits, what was left out, the pid. */
json_t *events_status(const struct supervisor *sup);

/* ---- events_process.c ---- */

/*
 * What the process is given that is about to be forked: *STDIN_FD a descriptor with the note as JSON, the caller's.  True
 * and nothing done where SERVICE is no rule's; false with ERR when that cannot be made.
 */
bool events_prepare(struct service *service, int *stdin_fd, char *err, size_t err_size);
/* Variables beside it, a vector to be freed; NULL: SERVICE is no rule's. */
char **events_variables(const struct service *service);

#endif
