/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/persist.c: what is written to the state file, when, and
 * what happens when it cannot be.
 */
#include "sim.h"

#define RETRY_INTERVAL USEC_PER_SEC
#define REWRITE_HOLD USEC_PER_SEC

int persist_rewrite(struct world *w)
{
    struct supd *supd = &w->supd;
    struct svc written[SERVICES];
    uint8_t record[RECORD_MAX];
    struct buf *fresh = &w->scratch;

    supd->rewrite_wanted = false;
    buf_reset(fresh);
    buf_add(fresh, record, record_encode_header(record, &w->epoch));
    if (supd->shutdown_recorded)
        buf_add(fresh, record, record_encode_shutdown(record));
    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &supd->services[i];

        if (!s->used)
            continue;
        written[i] = s->svc;
        buf_add(fresh, record, record_encode_service(record, sim_names[i], &written[i]));
    }
    buf_add(fresh, record, record_encode_header(record, &w->epoch));

    if (kernel_replace(w, fresh) < 0)
        return -1;
    supd->size_when_new = fresh->len;
    for (int i = 0; i < SERVICES; i++) {
        if (supd->services[i].used)
            oracle_snapshot(w, i, &written[i]);
        else
            oracle_forget(w, i);
    }
    return 0;
}

static bool wants_rewrite(const struct world *w)
{
    return w->file.len > 2 * w->supd.size_when_new + w->slack;
}

static void consider_rewrite(struct world *w)
{
    struct supd *supd = &w->supd;

    if (supd->rewrite_wanted || !wants_rewrite(w))
        return;
    if (supd->pre_exec == 0) {
        persist_rewrite(w);
        return;
    }
    if (w->now.mono < supd->rewrite_hold_until + 10 * REWRITE_HOLD)
        return;
    supd->rewrite_wanted = true;
    supd->rewrite_hold_until = w->now.mono + REWRITE_HOLD;
}

bool persist_allows_fork(struct world *w)
{
    struct supd *supd = &w->supd;

    if (!supd->rewrite_wanted)
        return true;
    if (supd->pre_exec == 0) {
        persist_rewrite(w);
        return true;
    }
    if (w->now.mono < supd->rewrite_hold_until)
        return false;
    supd->rewrite_wanted = false;
    return true;
}

void persist_after_exec(struct world *w)
{
    if (w->supd.rewrite_wanted && w->supd.pre_exec == 0)
        persist_rewrite(w);
}

int persist_snapshot(struct world *w, struct service *s, const struct svc *svc)
{
    int i = service_index(w, s);
    uint8_t record[RECORD_MAX];

    consider_rewrite(w);
    if (kernel_append(w, record, record_encode_service(record, sim_names[i], svc)) < 0)
        return -1;
    s->unrecorded = false;
    oracle_snapshot(w, i, svc);
    return 0;
}

void persist_retry(struct world *w)
{
    struct supd *supd = &w->supd;

    supd->retry_at = 0;
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &supd->services[i];

        if (s->used && s->unrecorded && persist_snapshot(w, s, &s->svc) < 0) {
            supd->retry_at = w->now.mono + RETRY_INTERVAL;
            return;
        }
        supd->woken = supd->woken || s->condemned;
    }
}

void persist_fact(struct world *w, struct service *s)
{
    if (persist_snapshot(w, s, &s->svc) == 0)
        return;
    s->unrecorded = true;
    w->supd.retry_at = w->now.mono + RETRY_INTERVAL;
}

int persist_removed(struct world *w, struct service *s)
{
    int i = service_index(w, s);
    uint8_t record[RECORD_MAX];
    int rc = kernel_append(w, record, record_encode_removed(record, sim_names[i]));

    if (rc == 0)
        oracle_forget(w, i);
    else
        w->supd.retry_at = w->now.mono + RETRY_INTERVAL;
    return rc;
}

int persist_shutdown(struct world *w)
{
    uint8_t record[RECORD_MAX];
    int rc = kernel_append(w, record, record_encode_shutdown(record));

    if (rc == 0)
        w->supd.shutdown_recorded = true;
    return rc;
}
