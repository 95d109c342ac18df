/* SPDX-License-Identifier: MIT */
/*
 * What supd writes to the state file, and what happens when it cannot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "supd/events.h"
#include "supd/kept.h"
#include "supd/supervisor.h"

/* How often a record that could not be written is tried again. */
#define RETRY_INTERVAL USEC_PER_SEC
/* How long new starts are held back for the children before their exec to get there, so that the file can be rewritten. */
#define REWRITE_HOLD USEC_PER_SEC
/* How often the rewriting is tried again where it fails. */
#define REWRITE_PAUSE (10 * USEC_PER_SEC)

/* Records that are gathered to be written in one piece, at most. */
#define GATHERED_MAX 128

struct gathering {
    struct buf records;
    size_t n;
    struct service *services[GATHERED_MAX]; /* whose they are; marked as unrecorded */
};

static void put_all(void *ctx, struct statefile *file)
{
    struct supervisor *sup = ctx;
    uint8_t record[RECORD_MAX];

    statefile_put(file, record, record_encode_header(record, &sup->epoch));
    if (sup->shutdown_recorded)
        statefile_put(file, record, record_encode_shutdown(record));
    for (size_t i = 0; i < sup->n_scales; i++)
        statefile_put(file, record, record_encode_scale(record, &sup->scales[i]));
    if (sup->essential.name[0])
        statefile_put(file, record, record_encode_essential(record, &sup->essential));
    events_put_waiting(sup, file);
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        const struct kept_fd *kept;

        statefile_put(file, record, record_encode_service(record, s->spec->name, s->svc));
        for (size_t i = 0; (kept = kept_at(s, i)) != NULL; i++)
            statefile_put(file, record, record_encode_kept(record, s->spec->name, kept));
    }
    events_put_seen(sup, file);
    /* Without its epoch a file cannot be believed: a second header, so that damage to one does not cost all the rest. */
    statefile_put(file, record, record_encode_header(record, &sup->epoch));
}

int persist_begin(struct supervisor *sup)
{
    sup->state = statefile_new(sup->runtime_dir);
    return statefile_rewrite(sup->state, put_all, sup);
}

/* Where /proc could not be read when a child got to its exec, a new file would not tell its process. */
static bool children_are_known(const struct supervisor *sup)
{
    for (const struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if ((svc_has_process(s->svc) && s->svc->proc.start_ticks == 0) ||
            (svc_has_control(s->svc) && svc_rare(s->svc)->control.start_ticks == 0) ||
            (svc_has_check(s->svc) && svc_rare(s->svc)->check.start_ticks == 0))
            return false;
    }
    return true;
}

int persist_again(struct supervisor *sup)
{
    if (!children_are_known(sup))
        return -ENODATA;
    return statefile_rewrite(sup->state, put_all, sup);
}

static void rewrite(struct supervisor *sup)
{
    int rc = persist_again(sup);

    sup->rewrite_wanted = false;
    if (rc == 0)
        return;
    sup->rewrite_not_before = clock_now().mono + REWRITE_PAUSE;
    log_warning("%s/state cannot be written anew, it goes on growing: %s", sup->runtime_dir,
                rc == -ENODATA ? "/proc did not tell when a process began" : strerror(-rc));
}

/* Starts the rewriting of a file that has grown, now or after those before their exec. */
static void consider_rewrite(struct supervisor *sup)
{
    if (sup->rewrite_wanted || !statefile_wants_rewrite(sup->state))
        return;
    int64_t now = clock_now().mono;
    if (now < sup->rewrite_not_before)
        return;
    if (sup->pre_exec == 0) {
        rewrite(sup);
        return;
    }
    if (now < sup->rewrite_hold_until + 10 * REWRITE_HOLD)
        return; /* somebody hangs before his exec: do not hold the others back all the time */
    sup->rewrite_wanted = true;
    sup->rewrite_hold_until = now + REWRITE_HOLD;
}

bool persist_allows_fork(struct supervisor *sup)
{
    if (!sup->rewrite_wanted)
        return true;
    if (sup->pre_exec == 0) {
        rewrite(sup);
        return true;
    }
    if (clock_now().mono < sup->rewrite_hold_until)
        return false;
    sup->rewrite_wanted = false;
    return true;
}

void persist_after_exec(struct supervisor *sup)
{
    if (sup->rewrite_wanted && sup->pre_exec == 0)
        rewrite(sup);
}

/* LEN bytes of whole records. */
static int write_records(struct supervisor *sup, const void *record, size_t len)
{
    int rc = statefile_append(sup->state, record, len);

    if (rc < 0 && !sup->state_failing)
        log_error("cannot record in %s/state: %s; it is tried again every second", sup->runtime_dir, strerror(-rc));
    if (rc == 0 && sup->state_failing)
        log_info("%s/state can be written again", sup->runtime_dir);
    sup->state_failing = rc < 0;
    return rc;
}

static int append(struct supervisor *sup, const uint8_t *record, size_t len)
{
    persist_flush(sup); /* what came before it */
    return write_records(sup, record, len);
}

int persist_snapshot(struct service *service, const struct svc *svc)
{
    uint8_t record[RECORD_MAX];

    /* Before, not after: SVC may be what the service is about to become, which a new file would not tell. */
    consider_rewrite(service->sup);
    int rc = append(service->sup, record, record_encode_service(record, service->spec->name, svc));
    if (rc == 0)
        service->unrecorded = false;
    return rc;
}

static void on_retry(void *ctx)
{
    struct supervisor *sup = ctx;

    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (s->unrecorded && persist_snapshot(s, s->svc) < 0) {
            loop_timer_set(sup->retry_timer, RETRY_INTERVAL);
            return;
        }
    }
    if (events_record_missing(sup) < 0) {
        loop_timer_set(sup->retry_timer, RETRY_INTERVAL);
        return;
    }
    if (!TAILQ_EMPTY(&sup->condemned))
        queue_wake(sup);
}

void persist_last(struct supervisor *sup)
{
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (s->unrecorded && persist_snapshot(s, s->svc) < 0)
            log_error("%s: what became of it could not be recorded", s->spec->name);
    }
    if (events_record_missing(sup) < 0)
        log_error("news of services could not be recorded");
}

static void try_again(struct supervisor *sup)
{
    if (!sup->retry_timer)
        sup->retry_timer = loop_timer_new(sup->loop, on_retry, sup);
    loop_timer_set(sup->retry_timer, RETRY_INTERVAL);
}

static void gather(struct service *service)
{
    struct supervisor *sup = service->sup;
    struct gathering *all = sup->gathering;
    uint8_t record[RECORD_MAX];

    buf_add(&all->records, record, record_encode_service(record, service->spec->name, service->svc));
    all->services[all->n++] = service;
    service->unrecorded = true;
    if (all->n == GATHERED_MAX)
        persist_flush(sup);
}

void persist_gather(struct supervisor *sup)
{
    sup->gathering = xcalloc(1, sizeof *sup->gathering);
}

void persist_flush(struct supervisor *sup)
{
    struct gathering *all = sup->gathering;

    if (!all || all->n == 0)
        return;
    bool written = write_records(sup, all->records.data, all->records.len) == 0;
    for (size_t i = 0; written && i < all->n; i++)
        all->services[i]->unrecorded = false;
    if (!written)
        try_again(sup);
    all->n = 0;
    buf_reset(&all->records);
    consider_rewrite(sup);
}

void persist_gathered(struct supervisor *sup)
{
    persist_flush(sup);
    buf_free(&sup->gathering->records);
    free(sup->gathering);
    sup->gathering = NULL;
}

void persist_fact(struct service *service)
{
    struct supervisor *sup = service->sup;

    if (sup->gathering) {
        gather(service);
        return;
    }
    if (persist_snapshot(service, service->svc) == 0)
        return;
    service->unrecorded = true;
    try_again(sup);
}

int persist_removed(struct supervisor *sup, const char *name)
{
    uint8_t record[RECORD_MAX];
    int rc = append(sup, record, record_encode_removed(record, name));

    if (rc < 0)
        try_again(sup);
    return rc;
}

/* The file is not rewritten here: the new one would tell of the change, and not yet of the news of it. */
int persist_event(struct service *service, const struct event_note *note)
{
    struct supervisor *sup = service->sup;
    uint8_t record[RECORD_MAX];
    int rc = append(sup, record, record_encode_event(record, service->spec->name, note));

    if (rc < 0)
        try_again(sup);
    return rc;
}

int persist_events(struct service *service, const struct event_cursor *cursor)
{
    uint8_t record[RECORD_MAX];

    return append(service->sup, record, record_encode_events(record, service->spec->name, cursor));
}

int persist_shutdown(struct supervisor *sup)
{
    uint8_t record[RECORD_MAX];
    int rc = append(sup, record, record_encode_shutdown(record));

    if (rc == 0)
        sup->shutdown_recorded = true;
    return rc;
}

int persist_scale(struct supervisor *sup, const struct scale *scale)
{
    uint8_t record[RECORD_MAX];

    return append(sup, record, record_encode_scale(record, scale));
}

void persist_kept(struct service *service, const struct kept_fd *kept)
{
    uint8_t record[RECORD_MAX];

    append(service->sup, record, record_encode_kept(record, service->spec->name, kept));
}

void persist_essential(struct supervisor *sup)
{
    uint8_t record[RECORD_MAX];

    /* Where it cannot be written we end all the same. */
    append(sup, record, record_encode_essential(record, &sup->essential));
}
