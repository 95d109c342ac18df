/* SPDX-License-Identifier: MIT */
/*
 * From what supd says of services to their logs: which files there are, and of output that goes elsewhere what to do to
 * see it.
 */
#ifndef SUPD_SUPCTL_LOG_LIST_H
#define SUPD_SUPCTL_LOG_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "supctl/log_source.h"

struct log_list {
    struct log_source **sources;
    size_t n;
};

/* Only their standard error, or all that they say? */
enum log_streams { LOG_STREAMS_ALL, LOG_STREAMS_ERR };

/* A note of a service whose output is in no file. */
typedef void log_list_note_fn(const char *note);

/* SUPD_PID: of the supd that said it, 0 if that is not known.  Takes the source of each file of SERVICES into LIST. */
void log_list_fill(struct log_list *list, const json_t *services, enum log_streams streams, int supd_pid,
                   log_list_note_fn *note);

/*
 * The words of the note on SERVICE, to be freed: where its output goes, if STREAMS is, and how to read it there.
 */
char *log_list_note(const json_t *service, enum log_streams streams, int supd_pid);

/*
 * Follows what SERVICES say now: logs that were there before go on, at another path if that changed; those of services
 * that are gone are freed; from *FIRST_NEW on stand those that are new, still to be opened.
 */
void log_list_refresh(struct log_list *list, const json_t *services, enum log_streams streams, size_t *first_new);

void log_list_remove(struct log_list *list, size_t i);
void log_list_clear(struct log_list *list);

#endif
