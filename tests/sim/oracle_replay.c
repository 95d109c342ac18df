/* SPDX-License-Identifier: MIT */
/*
 * What a successor reads in the state file, held against what was recorded and what lives.
 */
#include <inttypes.h>
#include <string.h>

#include "sim.h"

static void check_control(const struct world *w, int i, const struct svc *durable, const struct svc *read)
{
    sim_require(w, read->rare.controls >= durable->rare.controls, "%s: control processes are counted back",
                sim_names[i]);
    if (durable->rare.control.role == ROLE_SERVICE || read->rare.control.number != durable->rare.control.number)
        return;
    sim_require(w,
                read->rare.control.role == durable->rare.control.role &&
                    read->rare.control.ended == durable->rare.control.ended,
                "%s: another control process than was recorded", sim_names[i]);
}

/* What on-failure runs is due until it has begun. */
static void check_check(const struct world *w, int i, const struct svc *durable, const struct svc *read)
{
    sim_require(w, read->rare.checks >= durable->rare.checks, "%s: checks are counted back", sim_names[i]);
    sim_require(w, !durable->alarm || read->alarm || read->rare.check.role == ROLE_UNHEALTHY,
                "%s: what on-failure says is forgotten", sim_names[i]);
    sim_require(w, durable->alarm || !read->alarm, "%s: on-failure is due, and nobody said so", sim_names[i]);
}

/* What the children's own records know better is not compared. */
static void check_durable(const struct world *w, int i, const struct svc_image *image)
{
    uint8_t a[RECORD_MAX];
    uint8_t b[RECORD_MAX];
    struct svc want = w->oracles[i].durable;

    check_control(w, i, &want, &image->svc);
    check_check(w, i, &want, &image->svc);
    if (image->svc.rare.controls > want.rare.controls) {
        /* There is one that supd could not record. */
        want.state = image->svc.state;
        want.stop_phase = image->svc.stop_phase;
        want.stop_cause = image->svc.stop_cause;
    }
    if (image->svc.rare.watchdog == SVC_WATCHDOG_UNKNOWN)
        want.rare.watchdog = SVC_WATCHDOG_UNKNOWN;
    want.proc = image->svc.proc;
    want.group = image->svc.group;
    want.group_start = image->svc.group_start;
    want.todo = image->svc.todo;
    want.began = image->svc.began;
    want.rare.control = image->svc.rare.control;
    want.rare.controls = image->svc.rare.controls;
    want.rare.check = image->svc.rare.check;
    want.rare.checks = image->svc.rare.checks;
    want.alarm = image->svc.alarm;
    size_t len = record_encode_service(a, sim_names[i], &want);
    sim_require(w, len == record_encode_service(b, sim_names[i], &image->svc) && memcmp(a, b, len) == 0,
                "%s: the file does not give back what was recorded", sim_names[i]);
}

static void check_image(struct world *w, int i, const struct svc_image *image)
{
    struct oracle *o = &w->oracles[i];

    sim_require(w, image || (!o->in_file && o->life == 0), "%s: not in the file any more", sim_names[i]);
    if (!image)
        return;
    sim_require(w, image->svc.life >= o->life && image->svc.restarts >= o->restarts, "%s: the counters went back",
                sim_names[i]);
    const struct life *life = oracle_life(o, image->svc.life);
    sim_require(w, !image->has_process || (life->life == image->svc.life && life->uid != 0 && life->recorded),
                "%s: a process that never was", sim_names[i]);
    sim_require(w, !image->has_process || image->svc.proc.start_ticks != 0, "%s: a pid without its start time",
                sim_names[i]);
    const struct svc_control *control = &image->svc.rare.control;
    sim_require(w,
                !image->has_control || (life->life == image->svc.life && (life->ran >> control->role & 1) != 0 &&
                                        control->start_ticks != 0),
                "%s: a control process that never was", sim_names[i]);
    const struct svc_check *check = &image->svc.rare.check;
    sim_require(w,
                !image->has_check ||
                    (life->life == image->svc.life && (life->ran >> check->role & 1) != 0 && check->start_ticks != 0),
                "%s: a check that never was", sim_names[i]);
    if (o->in_file && image->svc.life == o->durable.life)
        check_durable(w, i, image);
}

/* Is this living process, which has recorded itself or was, told by what was read? */
static bool is_told(const struct proc *p, const struct svc_image *image)
{
    if (!image || image->svc.life != p->life)
        return false;
    if (p->kind == KIND_CHECK)
        return image->has_check && image->svc.rare.check.pid == p->pid && image->svc.rare.check.start_ticks == p->start;
    if (p->kind == KIND_CONTROL)
        return image->has_control && image->svc.rare.control.pid == p->pid &&
               image->svc.rare.control.start_ticks == p->start;
    return image->has_process && image->svc.proc.pid == p->pid && image->svc.proc.start_ticks == p->start;
}

void oracle_replay(struct world *w, const struct replay *replay)
{
    for (int i = 0; i < SERVICES; i++)
        check_image(w, i, replay_find(replay, sim_names[i]));
    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->kind == KIND_STRANGER || !kernel_alive(p))
            continue;
        const struct life *life = oracle_life(&w->oracles[p->service], p->life);
        bool is_main = p->kind == KIND_MAIN || (life->uid == p->uid && life->recorded);
        bool is_recorded = is_main || p->kind == KIND_CONTROL || p->kind == KIND_CHECK;
        sim_require(w, !is_recorded || is_told(p, replay_find(replay, sim_names[p->service])),
                    "%s: process %d lives and is forgotten", sim_names[p->service], pid);
    }
}
