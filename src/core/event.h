/* SPDX-License-Identifier: MIT */
/*
 * News of services that commands are run for: on-event "NAME" { ... } of supd.conf(5).
 *
 * A rule says which news of which services it is about, and how many are to be told in a period.  Each rule has a
 * queue of its own, in which the news wait for their turn, one command after another.  What is beyond the rate, or
 * finds the queue full, is left out and counted, and one more command tells the number when the period is over.
 *
 * A note is recorded before the record of the change that it tells of (EVENT), and so is what the next run is about
 * before it begins (EVENTS).  The next supd therefore knows each note that was not handed over, and one that it comes to
 * a second time, because the change itself was not recorded any more, is known by service, life and kind.
 *
 * Pure: no clock, no system call.
 */
#ifndef SUPD_CORE_EVENT_H
#define SUPD_CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/health.h"
#include "core/service.h"
#include "core/spec.h"
#include "core/usage.h"

/* Before the name of the section: what its process is called where services are told by name. */
#define EVENT_NAME_PREFIX "event:"
/* Notes that may wait in one queue. */
#define EVENT_QUEUE_MAX 64
#define EVENT_NAME_SIZE (SPEC_NAME_MAX + 8)

/* What has happened; of several at once a rule tells the first that it asks for.  Recorded, so the numbers stay. */
enum event_kind {
    EVENT_OOM = 0,       /* its end was the OOM killer's doing */
    EVENT_WATCHDOG = 1,  /* its watchdog ended it */
    EVENT_FAILED = 2,    /* it is failed */
    EVENT_RESTARTED = 3, /* it has ended by itself, and is started again, now or later */
    EVENT_EXITED = 4,    /* it is exited */
    EVENT_STOPPED = 5,   /* it is stopped */
    EVENT_STARTED = 6,   /* it is running */
    EVENT_UNHEALTHY = 7, /* its checks have found it unhealthy */
    EVENT_HEALTHY = 8,   /* ... or healthy, for the first time in a life or again */
    EVENT_LEFT_OUT = 9,  /* so many others were left out; always told */
    EVENT_N_KINDS
};

struct event_rule {
    unsigned kinds;      /* bit N: enum event_kind N */
    char **services;     /* globs; NULL: every service */
    uint32_t rate_count; /* so many in a period; 0: any number */
    int64_t rate_period; /* us */
};

/* One piece of news. */
struct event_note {
    uint64_t number; /* in its queue, from 1 */
    enum event_kind kind;
    char service[EVENT_NAME_SIZE]; /* "" for EVENT_LEFT_OUT */
    uint64_t life;
    enum svc_state from;
    enum svc_state state;
    uint64_t restarts;
    struct exit_info exit; /* the last one; how = NONE before the first */
    struct usage usage;    /* of what has so ended; not recorded */
    int64_t at;            /* wall us */
    uint64_t left_out;     /* EVENT_LEFT_OUT: so many */
    bool is_left_out;      /* it was itself left out: counted, never told */
    int64_t since;         /* as the cursor was when it had been counted */
    uint32_t used;
    char reason[SVC_REASON_MAX];
};

/* What a queue is beside its notes.  All zero at first. */
struct event_cursor {
    uint64_t last;     /* number of the last note that was made */
    uint64_t taken;    /* number of the one that was handed over last, or is about to be */
    uint64_t life;     /* of the process that it is handed to */
    int64_t since;     /* mono us: when the present period began */
    uint32_t used;     /* notes of it that were let in */
    uint64_t left_out; /* not told so far */
};

struct event_queue {
    struct event_cursor cursor;
    struct event_note *items; /* those that wait, and the one that runs, in order of their numbers */
    size_t n;
    struct event_note *seen; /* recorded by an earlier supd, which perhaps did not record the change any more */
    size_t n_seen;
};

/* ---- rules ---- */

struct event_rule *event_rule_new(void);
struct event_rule *event_rule_dup(const struct event_rule *rule); /* NULL for NULL */
void event_rule_free(struct event_rule *rule);                    /* NULL is fine */

#define EVENT_RULE_KEYS 4
/* Keys of a section beside those of its process; ended by NULL. */
extern const char *const event_rule_keys[];
/* Keys of services that go with such a section; ended by NULL. */
extern const char *const event_process_keys[];

/*
 * Sets KEY, one of event_rule_keys, of SPEC, which has a rule, from N strings.  False with ERR: what is wrong and what
 * would be right, without the place, and nothing is changed.
 */
bool event_rule_set(struct spec *spec, const char *key, char *const *values, size_t n, bool is_list, char *err,
                    size_t err_size);
/* The value as event_rule_set() reads it back, a vector to be freed; NULL: unset. */
char **event_rule_get(const struct spec *spec, const char *key, bool *is_list);
/* Is KEY the same in both?  Where only one has a rule it is not. */
bool event_rule_key_equal(const struct spec *a, const struct spec *b, const char *key);

/* Makes SPEC what the section TITLE begins with: a oneshot that is never started by itself, with a rule. */
void event_spec_prepare(struct spec *spec, const char *title);
/* Is all there that a section needs?  As event_rule_set() on error. */
bool event_rule_validate(const struct spec *spec, char *err, size_t err_size);

/* oom, watchdog, failed, ...: as the key `events` and SUPD_EVENT have it. */
const char *event_kind_name(enum event_kind kind);

/* ---- what has happened ---- */

/*
 * The kinds, as bits, of what has happened to a service of SPEC that was FROM, with HEALTH, and is NOW; 0: nothing that
 * is news.
 */
unsigned event_kinds_of(enum svc_state from, enum health_state health, const struct svc *now, const struct spec *spec);

/* The kind that RULE tells of KINDS about SERVICE; EVENT_N_KINDS: none. */
enum event_kind event_rule_match(const struct event_rule *rule, unsigned kinds, const char *service);

/* ---- queues ---- */

void event_queue_clear(struct event_queue *queue);

/*
 * Puts NOTE, whose number and is_left_out are set, into the queue or counts it as left out.  Returns false, and nothing is
 * changed, where an earlier supd has recorded the same.  NOW: mono us.
 */
bool event_queue_add(struct event_queue *queue, const struct event_rule *rule, struct event_note *note, int64_t now);

/* When the number of those left out is due to be told, mono us; 0: there is none. */
int64_t event_queue_due(const struct event_queue *queue, const struct event_rule *rule);
/* That time has come: NOTE is what tells it, and is in the queue.  AT: wall us.  False where there is no room. */
bool event_queue_tell_left_out(struct event_queue *queue, struct event_note *note, int64_t at, int64_t now);

/* The note that is, or is to be, handed over; NULL: none. */
const struct event_note *event_queue_head(const struct event_queue *queue);
/* The head is about to be handed to the process of LIFE.  False where that was decided already. */
bool event_queue_take(struct event_queue *queue, uint64_t life);
/* A process of LIFE has ended: what was handed to it is done. */
void event_queue_done(struct event_queue *queue, uint64_t life);

/* A record of the state file, in the order of the file. */
void event_queue_replay_note(struct event_queue *queue, const struct event_note *note);
void event_queue_replay_cursor(struct event_queue *queue, const struct event_cursor *cursor);
/* All is read.  OWN is the process of the queue; NULL: nothing is known of one. */
void event_queue_settle(struct event_queue *queue, const struct svc *own);
/* May the change that NOTE, one of those seen, tells of still come, where the state file says SVC of its service? */
bool event_may_come_again(const struct event_note *note, const struct svc *svc);

/* The change that the I-th note of those seen tells of is recorded, or cannot come any more. */
void event_queue_forget_seen(struct event_queue *queue, size_t i);
/* The same of all that are about SERVICE. */
void event_queue_forget_seen_of(struct event_queue *queue, const char *service);

#endif
