/* SPDX-License-Identifier: MIT */
/*
 * Replaying what the state file says of the queues of rules, core/event.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/record_read.h"

/* Made if it is the first that is read of the rule NAME. */
static struct event_queue *queue_of(struct replay *replay, const char *name)
{
    size_t i = 0;

    while (i < replay->n_events && strcmp(replay->events[i].name, name) != 0)
        i++;
    if (i == replay->n_events) {
        replay->events = xreallocarray(replay->events, ++replay->n_events, sizeof *replay->events);
        replay->events[i] = (struct event_image){0};
        strcpy(replay->events[i].name, name); /* record_get_name() bounded it by the same size */
    }
    return &replay->events[i].queue;
}

void replay_event(struct replay *replay, struct reader *r)
{
    char name[NAME_MAX_SIZE];
    struct event_note note;

    record_get_name(r, name);
    record_read_event(r, &note);
    if (!r->bad)
        event_queue_replay_note(queue_of(replay, name), &note);
}

void replay_events(struct replay *replay, struct reader *r)
{
    char name[NAME_MAX_SIZE];
    struct event_cursor cursor;

    record_get_name(r, name);
    record_read_events(r, &cursor);
    if (!r->bad)
        event_queue_replay_cursor(queue_of(replay, name), &cursor);
}

void replay_changes_told(struct replay *replay, const char *name)
{
    for (size_t i = 0; i < replay->n_events; i++)
        event_queue_forget_seen_of(&replay->events[i].queue, name);
}

void replay_forget_events(struct replay *replay, const char *name)
{
    for (size_t i = replay->n_events; i-- > 0;) {
        if (name && strcmp(replay->events[i].name, name) != 0)
            continue;
        event_queue_clear(&replay->events[i].queue);
        replay->events[i] = replay->events[--replay->n_events];
    }
}
