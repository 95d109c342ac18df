/* SPDX-License-Identifier: MIT */
/*
 * The model of src/supd/reattach.c, reload.c and shutdown.c: what an earlier supd
 * has left, a new configuration, the end.
 */
#include <stdlib.h>
#include <string.h>

#include "core/plan.h"
#include "sim.h"

/* Opened, and the start time compared; what could not be is in no handle. */
struct survey {
    struct handle found[SERVICES][PARTS];
    size_t n;
};

static const struct svc_image *image_of(const struct world *w, int i)
{
    return replay_find(w->replay, sim_names[i]);
}

static void survey(struct world *w, struct survey *found)
{
    for (int i = 0; i < SERVICES; i++) {
        const struct svc_image *image = image_of(w, i);

        if (image && image->has_process) {
            const struct svc_proc *proc = &image->svc.proc;
            found->found[i][PART_MAIN] = kernel_open(w, proc->pid, proc->start_ticks, proc->inode);
        }
        if (image && image->has_control) {
            const struct svc_control *control = &image->svc.rare.control;
            found->found[i][PART_CONTROL] = kernel_open(w, control->pid, control->start_ticks, control->inode);
        }
        if (image && image->has_check) {
            const struct svc_check *check = &image->svc.rare.check;
            found->found[i][PART_CHECK] = kernel_open(w, check->pid, check->start_ticks, check->inode);
        }
        for (enum part part = PART_MAIN; part < PARTS; part++)
            found->n += found->found[i][part].uid != 0;
    }
}

/* Runs but is not in the configuration any more: there to be stopped. */
static void add_orphan(struct world *w, int i)
{
    struct service *s = model_add(w, i, w->orphans[i], 0);

    s->svc.desired_up = false;
    s->removing = true;
}

static void add_services(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        int version = w->conf[i];

        w->in_force[i] = version;
        if (version >= 0)
            model_add(w, i, w->specs[i][version], w->digests[i][version]);
        else if (image_of(w, i))
            add_orphan(w, i);
    }
}

static void restore(struct world *w, const struct survey *found)
{
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];
        const struct svc_image *image = image_of(w, i);

        if (!s->used)
            continue;
        if (image)
            s->svc = image->svc;
        for (enum part part = PART_MAIN; part < PARTS; part++)
            process_of(s, part)->pidfd = found->found[i][part];
        oracle_restored(w, s, image != NULL);
    }
}

static void resume(struct world *w, struct service *s)
{
    uint32_t control = s->svc.rare.control.number;
    uint32_t check = s->svc.rare.check.number;
    bool lost = messages_recover(w, s);

    if (svc_has_process(&s->svc))
        process_tell_fate(w, &s->main);
    /* Unless what became of the main process has ended that too. */
    if (svc_has_control(&s->svc) && s->svc.rare.control.number == control)
        process_tell_fate(w, &s->control);
    if (svc_has_check(&s->svc) && s->svc.rare.check.number == check)
        process_tell_fate(w, &s->check);
    model_event(
        w, s,
        (struct svc_event){.type = SVC_EV_CONFIG, .stop = s->removing ? s->svc.proc.stop : svc_stop_params(s->spec)});
    if (s->removing)
        model_remove(w, s);
    model_event(w, s, (struct svc_event){.type = SVC_EV_BOOT});
    messages_resume(w, s, lost);
}

static void begin(struct world *w)
{
    w->running = true;
    w->incarnation++;
    w->supd = (struct supd){.phase = PHASE_RUN};
    memcpy(w->supd.runs, w->runs, sizeof w->runs);
    w->rng = w->incarnation;
}

/* Of an earlier boot: begin afresh. */
static void judge(struct world *w)
{
    if (!w->replay->has_epoch || epoch_equal(&w->replay->epoch, &w->epoch))
        return;
    replay_free(w->replay);
    w->replay = replay_new(NULL, 0);
}

void reattach_start(struct world *w)
{
    struct survey found = {0};

    begin(w);
    replay_free(w->replay);
    w->replay = replay_new((const uint8_t *)w->file.data, w->file.len);
    judge(w);
    oracle_replay(w, w->replay);
    survey(w, &found);
    bool finish_shutdown = w->replay->shutdown && found.n > 0;
    sim_require(w, !w->shutdown_acked || finish_shutdown || found.n == 0, "the acknowledged shutdown is forgotten");
    w->shutdown_acked = finish_shutdown;
    sim_trace(w, "  a new supd: %zu images, %zu alive%s", w->replay->n, found.n,
              finish_shutdown ? ", goes on with the shutdown" : "");

    w->supd.shutdown_recorded = finish_shutdown;
    add_services(w);
    restore(w, &found);
    if (persist_rewrite(w) < 0) {
        sim_trace(w, "  it cannot write its file, and ends");
        w->running = false;
        messages_supd_is_gone(w);
        return;
    }
    for (int i = 0; i < SERVICES; i++) {
        if (w->supd.services[i].used)
            resume(w, &w->supd.services[i]);
    }
    w->supd.sigchld = true;
    if (finish_shutdown)
        reattach_shutdown_begin(w);
}

/* ---- a new configuration ---- */

/* In order of name, as the names are. */
static struct spec_list list_of(struct world *w, const int *versions)
{
    struct spec_list list = {0};

    for (int i = 0; i < SERVICES; i++) {
        if (versions[i] >= 0)
            spec_list_push(&list, w->specs[i][versions[i]]);
    }
    return list;
}

static void apply_add(struct world *w, int i)
{
    const struct spec *spec = w->specs[i][w->conf[i]];
    uint64_t digest = w->digests[i][w->conf[i]];
    struct service *s = &w->supd.services[i];

    if (!s->used) {
        model_add(w, i, spec, digest);
        oracle_restored(w, s, false);
        model_event(w, s, (struct svc_event){.type = SVC_EV_BOOT});
        return;
    }
    s->removing = false;
    model_set_spec(w, s, spec, digest);
    if (spec->enabled)
        model_command(w, s, SVC_EV_START);
}

static int index_of(const char *name)
{
    for (int i = 0; i < SERVICES; i++) {
        if (strcmp(sim_names[i], name) == 0)
            return i;
    }
    return -1;
}

static void apply_step(struct world *w, const struct plan_step *step)
{
    int i = index_of(step->name);
    struct service *s = &w->supd.services[i];

    sim_trace(w, "  %s: %s", step->name, plan_action_name(step->action));
    w->in_force[i] = w->conf[i];
    switch (step->action) {
    case PLAN_ADD:
        apply_add(w, i);
        break;
    case PLAN_REMOVE:
        model_remove(w, s);
        break;
    case PLAN_CHANGE:
        model_set_spec(w, s, w->specs[i][w->conf[i]], w->digests[i][w->conf[i]]);
        break;
    }
}

static void restart_stale(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        struct service *s = &w->supd.services[i];

        if (s->used && !s->removing && svc_has_process(&s->svc) && s->svc.proc.digest != s->digest)
            model_command(w, s, SVC_EV_RESTART);
    }
}

void reattach_reload(struct world *w)
{
    struct spec_list from = list_of(w, w->in_force);
    struct spec_list to = list_of(w, w->conf);
    struct plan_step steps[SERVICES];
    struct plan *plan = plan_new(&from, &to);
    size_t n = plan->n;

    /* Copied, since a crash on the way must lose nothing. */
    for (size_t i = 0; i < n; i++)
        steps[i] = plan->steps[i];
    plan_free(plan);
    free(from.items);
    free(to.items);
    w->reload_due = false;
    for (size_t i = 0; i < n; i++)
        apply_step(w, &steps[i]);
    for (int i = 0; i < SERVICES; i++)
        sim_require(w, w->in_force[i] == w->conf[i], "the plan has forgotten %s", sim_names[i]);
    if (!w->quiet && sim_one_in(w, 2))
        restart_stale(w);
}

/* ---- the end ---- */

void reattach_shutdown_begin(struct world *w)
{
    if (w->supd.phase != PHASE_RUN)
        return;
    for (int i = 0; i < SERVICES; i++) {
        if (w->supd.services[i].used)
            model_event(w, &w->supd.services[i], (struct svc_event){.type = SVC_EV_SHUTDOWN});
    }
    w->supd.phase = PHASE_STOPPING;
    w->supd.woken = true;
}
