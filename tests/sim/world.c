/* SPDX-License-Identifier: MIT */
/*
 * A world before anything happens: the kernel it has, and what its services may be configured to be.
 */
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "sim.h"

static int64_t pick(struct world *w, const int64_t *values, size_t n)
{
    return values[sim_draw(w, (unsigned)n)];
}

static void draw_type(struct world *w, struct spec *spec)
{
    static const enum service_type types[] = {TYPE_SIMPLE, TYPE_SIMPLE, TYPE_ONESHOT, TYPE_ONESHOT, TYPE_FORKING};

    spec->type = types[sim_draw(w, 5)];
    spec->remain_after_exit = spec->type == TYPE_ONESHOT && sim_one_in(w, 2);
    /* Its work would never be done. */
    if (spec->type == TYPE_ONESHOT && !spec->remain_after_exit && spec->life->restart == RESTART_ALWAYS)
        spec_own_life(spec)->restart = RESTART_ON_FAILURE;
    /* A daemon that dies before it has written its number is waited for as long as a start may take. */
    if (spec->type == TYPE_FORKING && spec->life->start_timeout > 0 && sim_one_in(w, 2))
        spec_own_place(spec)->pid_file = xstrdup("/run/pid");
}

static void draw_schedule(struct world *w, struct spec *spec)
{
    static const char *const schedules[] = {"every 3s", "every 1m", "* * * * *"};

    if (spec->type != TYPE_ONESHOT || spec->remain_after_exit || spec->around->listen || sim_one_in(w, 4))
        return;
    spec_own_around(spec)->schedule = strv_push(NULL, xstrdup(schedules[sim_draw(w, 3)]));
    spec_own_around(spec)->persistent = sim_one_in(w, 2);
}

/* A '-': its failure does not matter. */
static void draw_hook(struct world *w, char ***hook)
{
    if (sim_one_in(w, 2))
        *hook = strv_push(NULL, xstrdup(sim_one_in(w, 3) ? "-/hook" : "/hook"));
}

static void draw_check(struct world *w, struct spec *spec, bool may_be_ready)
{
    static const int64_t times[] = {USEC_PER_SEC / 100, USEC_PER_SEC, 5 * USEC_PER_SEC};
    struct spec_check *check = spec_own_check(spec);

    if (sim_one_in(w, 3))
        check->tcp = xstrdup("unix:@socket");
    else
        check->command = strv_push(NULL, xstrdup("/check"));
    check->interval = pick(w, times, 3);
    check->timeout = pick(w, times, 3);
    check->start_period = sim_one_in(w, 2) ? 0 : pick(w, times, 3);
    check->failures = 1 + sim_draw(w, 3);
    check->successes = 1 + sim_draw(w, 2);
    check->on_failure.kind = (enum on_failure)sim_draw(w, ON_FAILURE_COMMAND + 1);
    if (check->on_failure.kind == ON_FAILURE_COMMAND)
        check->on_failure.command = strv_push(NULL, xstrdup("/alert"));
    if (spec->type == TYPE_SIMPLE && may_be_ready && sim_one_in(w, 2))
        spec_own_life(spec)->ready.kind = READY_CHECK;
}

static struct spec *draw_spec(struct world *w, int i, int version)
{
    static const int64_t delays[] = {0, USEC_PER_SEC / 10, USEC_PER_SEC, 5 * USEC_PER_SEC};
    static const int64_t timeouts[] = {0, USEC_PER_SEC, 10 * USEC_PER_SEC};
    struct spec *spec = spec_new(sim_names[i]);

    spec->command = strv_push(spec->command, xasprintf("/program/%d", version / 2));
    spec->enabled = !sim_one_in(w, 4);
    spec_own_life(spec)->restart =
        sim_one_in(w, 2) ? RESTART_ALWAYS : (enum restart_policy)sim_draw(w, RESTART_ALWAYS + 1);
    spec_own_life(spec)->restart_reset = (10 + version) * USEC_PER_SEC; /* so that no two are the same */
    spec_own_life(spec)->restart_delay = pick(w, delays, 4);
    spec_own_life(spec)->restart_limit = sim_one_in(w, 3) ? 1 + sim_draw(w, 5) : 0;
    spec_own_life(spec)->start_timeout = pick(w, timeouts, 3);
    spec_own_life(spec)->stop_timeout = pick(w, timeouts, 3);
    spec_own_life(spec)->stop_signal = sim_one_in(w, 2) ? SIGTERM : SIGINT;
    spec_own_life(spec)->kill_mode = (enum kill_mode)sim_draw(w, KILL_MODE_N);
    if (sim_one_in(w, 4)) {
        spec_own_around(spec)->start = START_ON_DEMAND;
        spec_own_around(spec)->listen = strv_push(spec_own_around(spec)->listen, xstrdup("unix:@socket"));
    }
    draw_type(w, spec);
    /* Whoever is to say it is not asked instead, or the other way round, by a configuration that comes meanwhile. */
    if (spec->type == TYPE_SIMPLE && i % 2 == 0 && sim_one_in(w, 2))
        spec_own_life(spec)->ready.kind = READY_NOTIFY;
    if (spec->type == TYPE_SIMPLE && sim_one_in(w, 3))
        spec_own_life(spec)->watchdog = sim_one_in(w, 2) ? USEC_PER_SEC : 10 * USEC_PER_SEC;
    if (spec->type != TYPE_ONESHOT && sim_one_in(w, 2))
        draw_check(w, spec, i % 2 == 1);
    draw_schedule(w, spec);
    if (sim_one_in(w, 2)) {
        draw_hook(w, &spec_own_around(spec)->pre_start);
        draw_hook(w, &spec_own_around(spec)->post_start);
        draw_hook(w, &spec_own_around(spec)->reload_command);
        draw_hook(w, &spec_own_around(spec)->stop_command);
        draw_hook(w, &spec_own_around(spec)->post_stop);
    }
    if (!spec->around->reload_command && sim_one_in(w, 2))
        spec_own_life(spec)->reload_signal = SIGHUP;
    return spec;
}

void world_configure(struct world *w)
{
    w->now = (struct timestamp){.mono = 100 * USEC_PER_SEC, .wall = 1000 * USEC_PER_SEC};
    w->tells_exits = sim_one_in(w, 2);
    w->reads_zeros = sim_one_in(w, 2);
    w->group_pidfd = sim_one_in(w, 2);
    w->keeps_sockets = sim_one_in(w, 2);
    w->slack = 1000 + sim_draw(w, 20000);
    strcpy(w->epoch.boot_id, "model");
    for (int i = 0; i < SERVICES; i++) {
        for (int v = 0; v < SPECS; v++) {
            w->specs[i][v] = draw_spec(w, i, v);
            w->digests[i][v] = spec_process_digest(w->specs[i][v]);
        }
        w->orphans[i] = spec_new(sim_names[i]);
        w->orphans[i]->command = strv_push(w->orphans[i]->command, xstrdup("(removed)"));
        w->conf[i] = (int)sim_draw(w, SPECS);
    }
}

void world_free(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        for (int v = 0; v < SPECS; v++)
            spec_free(w->specs[i][v]);
        spec_free(w->orphans[i]);
    }
    replay_free(w->replay);
    buf_free(&w->scratch);
    buf_free(&w->file);
}
