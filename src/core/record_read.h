/* SPDX-License-Identifier: MIT */
/*
 * Reading single records of the state file, for replay.c.  A value that does not
 * fit marks the reader as bad, and what is read of it after that is worth nothing.
 */
#ifndef SUPD_CORE_RECORD_READ_H
#define SUPD_CORE_RECORD_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"
#include "core/record_format.h"

/* A cursor that stays put and remembers once something did not fit. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t version;
    bool bad;
};

/* What a SPAWN record says. */
struct spawn {
    char name[NAME_MAX_SIZE];
    struct svc_proc proc;
    enum svc_role role;
    uint64_t life;
    uint64_t restarts;
    uint32_t row;
    bool desired_up;
    struct timestamp started;
    uint32_t number;
    enum service_type type;
    unsigned todo;
};

/* BYTES of them, little-endian. */
uint64_t record_get_le(const uint8_t *at, size_t bytes);

uint64_t record_get(struct reader *r, size_t bytes);
/* BUF gets the string, which must fit into SIZE bytes. */
void record_get_str(struct reader *r, char *buf, size_t size);
/* NAME has room for NAME_MAX_SIZE bytes; an empty one is bad. */
bool record_get_name(struct reader *r, char *name);

/* A SPAWN record; false: it is bad, or no child has completed it. */
bool record_read_spawn(struct reader *r, struct spawn *spawn);
/* EVENT and EVENTS, behind the name of the rule. */
void record_read_event(struct reader *r, struct event_note *note);
void record_read_events(struct reader *r, struct event_cursor *cursor);
/* A SERVICE record, behind its name. */
void record_read_service(struct reader *r, struct svc *svc);

/* ---- replay_event.c ---- */

/* Takes in an EVENT, an EVENTS record. */
void replay_event(struct replay *replay, struct reader *r);
void replay_events(struct replay *replay, struct reader *r);
/* A record of the service NAME tells of every change that a note read before is about. */
void replay_changes_told(struct replay *replay, const char *name);
/* The rule NAME, or NULL: all of them, are no more. */
void replay_forget_events(struct replay *replay, const char *name);

#endif
