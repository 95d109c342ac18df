/* SPDX-License-Identifier: MIT */
/*
 * The queues of core/event.h: which notes are let in, which is handed over, and what the state file says of both.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/event.h"

void event_queue_clear(struct event_queue *queue)
{
    free(queue->items);
    free(queue->seen);
    *queue = (struct event_queue){0};
}

static void push(struct event_note **notes, size_t *n, const struct event_note *note)
{
    /* Full at each power of two, and at 0. */
    if ((*n & (*n - 1)) == 0)
        *notes = xreallocarray(*notes, *n > 0 ? 2 * *n : 1, sizeof(**notes));
    (*notes)[(*n)++] = *note;
}

static void drop(struct event_note *notes, size_t *n, size_t i)
{
    (*n)--;
    memmove(&notes[i], &notes[i + 1], (*n - i) * sizeof(*notes));
}

/* ---- in ---- */

/* Is there room in the present period, or in a new one that begins with this note? */
static bool is_within_rate(struct event_queue *queue, const struct event_rule *rule, int64_t now)
{
    struct event_cursor *cursor = &queue->cursor;

    if (rule->rate_count == 0)
        return true;
    if (cursor->since == 0 || now - cursor->since >= rule->rate_period) {
        cursor->since = now;
        cursor->used = 0;
    }
    if (cursor->used >= rule->rate_count)
        return false;
    cursor->used++;
    return true;
}

static bool was_seen(struct event_queue *queue, const struct event_note *note)
{
    for (size_t i = 0; i < queue->n_seen; i++) {
        const struct event_note *seen = &queue->seen[i];

        if (seen->life == note->life && seen->kind == note->kind && strcmp(seen->service, note->service) == 0) {
            event_queue_forget_seen(queue, i);
            return true;
        }
    }
    return false;
}

bool event_queue_add(struct event_queue *queue, const struct event_rule *rule, struct event_note *note, int64_t now)
{
    if (was_seen(queue, note))
        return false;
    note->number = ++queue->cursor.last;
    note->is_left_out = queue->n >= EVENT_QUEUE_MAX || !is_within_rate(queue, rule, now);
    note->since = queue->cursor.since;
    note->used = queue->cursor.used;
    if (note->is_left_out)
        queue->cursor.left_out++;
    else
        push(&queue->items, &queue->n, note);
    return true;
}

int64_t event_queue_due(const struct event_queue *queue, const struct event_rule *rule)
{
    if (queue->cursor.left_out == 0)
        return 0;
    return queue->cursor.since + (rule->rate_count > 0 ? rule->rate_period : 0);
}

bool event_queue_tell_left_out(struct event_queue *queue, struct event_note *note, int64_t at, int64_t now)
{
    struct event_cursor *cursor = &queue->cursor;

    if (cursor->left_out == 0 || queue->n >= EVENT_QUEUE_MAX)
        return false;
    *note =
        (struct event_note){.number = ++cursor->last, .kind = EVENT_LEFT_OUT, .at = at, .left_out = cursor->left_out};
    cursor->left_out = 0;
    /* What it stands for was too much: it is the first of the new period. */
    cursor->since = note->since = now;
    cursor->used = note->used = 1;
    push(&queue->items, &queue->n, note);
    return true;
}

/* ---- out ---- */

const struct event_note *event_queue_head(const struct event_queue *queue)
{
    return queue->n > 0 ? &queue->items[0] : NULL;
}

bool event_queue_take(struct event_queue *queue, uint64_t life)
{
    struct event_cursor *cursor = &queue->cursor;
    uint64_t number = queue->items[0].number;

    if (cursor->taken == number && cursor->life == life)
        return false;
    cursor->taken = number;
    cursor->life = life;
    return true;
}

void event_queue_done(struct event_queue *queue, uint64_t life)
{
    /* Also a later life: one that came to no process is followed by another for the same note. */
    while (life >= queue->cursor.life && queue->n > 0 && queue->items[0].number <= queue->cursor.taken)
        drop(queue->items, &queue->n, 0);
}

/* ---- from the state file ---- */

/* What could not be written at once may stand behind later ones, or twice. */
static void put_in_order(struct event_queue *queue, const struct event_note *note)
{
    size_t i = queue->n;

    while (i > 0 && queue->items[i - 1].number > note->number)
        i--;
    if (i > 0 && queue->items[i - 1].number == note->number)
        return;
    push(&queue->items, &queue->n, note);
    memmove(&queue->items[i + 1], &queue->items[i], (queue->n - 1 - i) * sizeof(*note));
    queue->items[i] = *note;
}

void event_queue_replay_note(struct event_queue *queue, const struct event_note *note)
{
    struct event_cursor *cursor = &queue->cursor;

    if (note->kind != EVENT_LEFT_OUT)
        push(&queue->seen, &queue->n_seen, note);
    if (!note->is_left_out)
        put_in_order(queue, note);
    if (note->number <= cursor->last)
        return; /* the cursor before it knows it */
    cursor->last = note->number;
    cursor->since = note->since;
    cursor->used = note->used;
    if (note->is_left_out)
        cursor->left_out++;
    if (note->kind == EVENT_LEFT_OUT)
        cursor->left_out -= note->left_out < cursor->left_out ? note->left_out : cursor->left_out;
}

void event_queue_replay_cursor(struct event_queue *queue, const struct event_cursor *cursor)
{
    queue->cursor = *cursor;
}

static bool is_over(const struct svc *own)
{
    return own->state == SVC_STOPPED || own->state == SVC_EXITED || own->state == SVC_FAILED;
}

void event_queue_settle(struct event_queue *queue, const struct svc *own)
{
    const struct event_cursor *cursor = &queue->cursor;
    bool taken_is_done = own != NULL && own->life >= cursor->life && is_over(own);
    size_t kept = 0;

    for (size_t i = 0; i < queue->n; i++) {
        uint64_t number = queue->items[i].number;

        if (number < cursor->taken || (number == cursor->taken && taken_is_done))
            continue;
        queue->items[kept++] = queue->items[i];
    }
    queue->n = kept;
}

bool event_may_come_again(const struct event_note *note, const struct svc *svc)
{
    if (svc->life != note->life)
        return false;
    if (note->kind == EVENT_UNHEALTHY)
        return svc_rare(svc)->health.state != HEALTH_UNHEALTHY;
    if (note->kind == EVENT_HEALTHY)
        return svc_rare(svc)->health.state != HEALTH_HEALTHY;
    return svc->state != note->state;
}

void event_queue_forget_seen(struct event_queue *queue, size_t i)
{
    drop(queue->seen, &queue->n_seen, i);
}

void event_queue_forget_seen_of(struct event_queue *queue, const char *service)
{
    for (size_t i = queue->n_seen; i-- > 0;) {
        if (strcmp(queue->seen[i].service, service) == 0)
            event_queue_forget_seen(queue, i);
    }
}
