/* SPDX-License-Identifier: MIT */
/*
 * The driver: what may happen next, coming to rest, and the command line.
 *
 *   sim                         the walk of `make check`, in TAP
 *   sim --seed N [--steps M] [--trace]   one world, again
 *   sim --minutes N             new worlds until the time is over
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "sim.h"

#define WORLD_STEPS 10000
#define FIXED_SEEDS 16
#define NEW_SEEDS 4
#define SETTLE_EVERY 500
#define SETTLE_STEPS 4000

const char *const sim_names[SERVICES] = {"a", "b", "c", "d"};

/* ---- chance and words ---- */

unsigned sim_draw(struct world *w, unsigned limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)((w->random >> 11) % limit);
}

bool sim_one_in(struct world *w, unsigned n)
{
    return sim_draw(w, n) == 0;
}

void sim_trace(const struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (!w->trace)
        return;
    printf("# %u ", w->step);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void show_service(const struct world *w, int i)
{
    const struct service *s = &w->supd.services[i];
    const struct svc *svc = &s->svc;

    if (!s->used)
        return;
    printf("#   %s: %s, wanted %s, life %" PRIu64 ", pid %d, group %d%s%s%s%s\n", sim_names[i],
           svc_state_name(svc->state), svc->desired_up ? "up" : "down", svc->life, svc->proc.pid, svc->group,
           svc->ended ? ", ended" : "", svc->adopted ? ", adopted" : "", s->removing ? ", removing" : "",
           s->unrecorded ? ", unrecorded" : "");
    if (svc->rare.control.role != ROLE_SERVICE)
        printf("#      %s %u, pid %d%s%s\n", svc_role_name(svc->rare.control.role), svc->rare.control.number,
               svc->rare.control.pid, svc->rare.control.pre_exec ? ", before its exec" : "",
               svc->rare.control.ended ? ", ended" : "");
    if (svc->rare.check.role != ROLE_SERVICE || svc->rare.health.state != HEALTH_NONE)
        printf("#      %s %u, pid %d%s%s, health %d, %u failures%s\n", svc_role_name(svc->rare.check.role),
               svc->rare.check.number, svc->rare.check.pid, svc->rare.check.killed ? ", killed" : "",
               svc->rare.check.ended ? ", ended" : "", (int)svc->rare.health.state, svc->rare.health.failures,
               svc->alarm ? ", alarm" : "");
    printf("#      %s, phase %d, cause %d, result %d, todo %x, queued %d\n", service_type_name(svc->type),
           (int)svc->stop_phase, (int)svc->stop_cause, (int)svc->result, svc->todo, s->queued);
}

static void show_processes(const struct world *w)
{
    static const char *const kinds[] = {"stranger", "main", "control", "check", "daemon", "member"};
    static const char *const stages[] = {"free", "forked", "recorded", "runs", "zombie"};

    for (int pid = 2; pid < PIDS; pid++) {
        const struct proc *p = &w->procs[pid];

        if (p->stage != PROC_FREE && p->kind != KIND_STRANGER)
            printf("#   process %d: %s of %s, life %" PRIu64 ", role %d, group %d, %s%s%s\n", pid, kinds[p->kind],
                   sim_names[p->service], p->life, (int)p->role, p->group, stages[p->stage],
                   p->let_go ? ", let go" : "", p->frozen ? ", frozen" : "");
    }
}

void sim_require(const struct world *w, bool holds, const char *fmt, ...)
{
    va_list ap;

    if (holds)
        return;
    printf("# step %u: ", w->step);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    for (int i = 0; w->running && i < SERVICES; i++)
        show_service(w, i);
    show_processes(w);
    printf("# again: tests/sim/sim --seed %" PRIu64 " --steps %u --trace\n", w->seed, w->steps);
    printf("not ok - seed %" PRIu64 "\n", w->seed);
    fflush(stdout);
    exit(EXIT_FAILURE);
}

/* ---- a world ---- */

static void make_world(struct world *w, uint64_t seed, unsigned steps, bool trace)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->steps = steps;
    w->trace = trace;
    w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world_configure(w);
}

static void pass(struct world *w, int64_t usec)
{
    w->now.mono += usec;
    w->now.wall += usec;
}

/* ---- what may happen next ---- */

static void command(struct world *w)
{
    static const enum svc_event_type verbs[] = {SVC_EV_START, SVC_EV_STOP, SVC_EV_RESTART, SVC_EV_RESET, SVC_EV_RELOAD};
    struct service *s = &w->supd.services[sim_draw(w, SERVICES)];
    enum svc_event_type verb = verbs[sim_draw(w, 5)];

    if (w->supd.phase != PHASE_RUN || !s->used || (s->removing && verb != SVC_EV_STOP))
        return;
    if (verb == SVC_EV_RELOAD && svc_refuses_reload(&s->svc, s->spec))
        return;
    enum svc_state before = s->svc.state;
    struct svc same = s->svc;
    sim_trace(w, "command %d to %s", (int)verb, sim_names[service_index(w, s)]);
    if (model_command(w, s, verb)) {
        oracle_acknowledged(w, s, verb, before);
        return;
    }
    w->seen.refusals++;
    sim_require(w, memcmp(&same, &s->svc, sizeof same) == 0, "a refused command changed something");
}

static void ask_shutdown(struct world *w)
{
    if (w->supd.phase != PHASE_RUN)
        return;
    sim_trace(w, "shutdown");
    if (sim_one_in(w, 2)) {
        if (persist_shutdown(w) < 0)
            return;
        w->shutdown_acked = true;
    }
    w->supd.terminate_seen = true;
    reattach_shutdown_begin(w);
}

static void hurry(struct world *w)
{
    if (!w->supd.terminate_seen)
        return;
    sim_trace(w, "hurry");
    for (int i = 0; i < SERVICES; i++) {
        if (w->supd.services[i].used)
            model_event(w, &w->supd.services[i], (struct svc_event){.type = SVC_EV_HURRY});
    }
}

static void edit_configuration(struct world *w)
{
    int i = (int)sim_draw(w, SERVICES);

    w->conf[i] = sim_one_in(w, 3) ? -1 : (int)sim_draw(w, SPECS);
    w->reload_due = true;
    sim_trace(w, "the configuration of %s is version %d", sim_names[i], w->conf[i]);
}

/* Something comes in at its socket, whether or not anybody waits for it. */
static void demand(struct world *w)
{
    struct service *s = &w->supd.services[sim_draw(w, SERVICES)];

    if (s->used && s->spec->around->start == START_ON_DEMAND)
        model_event(w, s, (struct svc_event){.type = SVC_EV_DEMAND});
}

/* Of a service that is up: what has no word in the core, which need not know of it. */
static void pause_or_resume(struct world *w)
{
    struct service *s = &w->supd.services[sim_draw(w, SERVICES)];

    if (!s->used || s->svc.state != SVC_RUNNING)
        return;
    w->seen.pauses++;
    kernel_freeze(w, service_index(w, s), sim_one_in(w, 2));
}

/* Of another life, or of another control process of this one. */
static void late_event(struct world *w)
{
    static const enum svc_event_type types[] = {
        SVC_EV_FORKED,         SVC_EV_FORK_FAILED,    SVC_EV_EXECED,       SVC_EV_ADOPTED,     SVC_EV_EXITED,
        SVC_EV_GROUP,          SVC_EV_MAIN_FOUND,     SVC_EV_MAIN_MISSING, SVC_EV_CHECK_DUE,   SVC_EV_CHECKED,
        SVC_EV_CHECK_FORKED,   SVC_EV_CHECK_EXECED,   SVC_EV_CHECK_EXITED, SVC_EV_CHECK_GROUP, SVC_EV_CONTROL_FORKED,
        SVC_EV_CONTROL_EXECED, SVC_EV_CONTROL_EXITED, SVC_EV_CONTROL_GROUP};
    struct service *s = &w->supd.services[sim_draw(w, SERVICES)];
    unsigned which = sim_draw(w, sizeof types / sizeof *types);
    bool control = which >= 10 && sim_one_in(w, 2);

    if (!s->used)
        return;
    model_event(
        w, s,
        (struct svc_event){.type = types[which],
                           .life = control ? s->svc.life : s->svc.life + (sim_one_in(w, 2) ? 1 : (uint64_t)-1),
                           .control = (which < 14 ? s->svc.rare.check.number : s->svc.rare.control.number) + control,
                           .pid = 2 + (int32_t)sim_draw(w, PIDS - 2),
                           .exit = {.how = EXIT_HOW_EXITED},
                           .group_left = sim_draw(w, 2),
                           .text = "late"});
}

static void time_passes(struct world *w)
{
    int64_t next = w->running ? model_next_timer(w) : 0;

    if (next > w->now.mono && sim_one_in(w, 2))
        pass(w, next - w->now.mono - sim_draw(w, 2));
    else
        pass(w, (int64_t)sim_draw(w, sim_one_in(w, 10) ? 15000000 : 50000));
}

static void weather(struct world *w)
{
    switch (sim_draw(w, 8)) {
    case 0:
        w->full = true;
        w->room = sim_draw(w, 600);
        sim_trace(w, "the disk is full but for %zu bytes", w->room);
        break;
    case 1:
        w->forks_fail = true;
        break;
    case 2:
    case 3:
        w->forks_fail = false;
        break;
    default:
        w->full = false;
        break;
    }
}

static void quit(struct world *w)
{
    sim_trace(w, "SIGQUIT: supd leaves");
    w->seen.quits++;
    w->running = false;
    messages_supd_is_gone(w);
}

static void reboot(struct world *w)
{
    sim_trace(w, "reboot");
    w->seen.reboots++;
    w->running = false;
    w->shutdown_acked = false;
    kernel_reboot(w);
    for (int i = 0; i < SERVICES; i++)
        oracle_forget(w, i);
}

/* With the lock, for which the half-started children of a dead supd are waited, and ended. */
static void start_supd(struct world *w)
{
    for (int i = 0; i < 20 && kernel_half_started(w, false); i++)
        kernel_act(w);
    kernel_half_started(w, true);
    sim_trace(w, "supd is started");
    reattach_start(w);
}

static void supd_step(struct world *w)
{
    switch (sim_draw(w, 40)) {
    case 0:
    case 1:
        command(w);
        break;
    case 2:
        late_event(w);
        break;
    case 3:
        w->supd.sigchld = true; /* a signal that tells nothing new */
        break;
    case 4:
        if (w->reload_due && w->supd.phase == PHASE_RUN)
            reattach_reload(w);
        break;
    case 5:
        if (sim_one_in(w, 20))
            ask_shutdown(w);
        else
            hurry(w);
        break;
    case 6:
        if (sim_one_in(w, 20))
            quit(w);
        break;
    case 7:
    case 8:
        demand(w);
        break;
    case 9:
        pause_or_resume(w);
        break;
    default:
        if (!model_turn(w))
            time_passes(w);
        break;
    }
}

/* supd has stopped everything and gone; the next one begins afresh. */
static void end_shutdown(struct world *w)
{
    if (!w->running || !w->supd.done)
        return;
    sim_trace(w, "everything has stopped, supd ends");
    w->seen.shutdowns++;
    w->running = false;
    w->shutdown_acked = false;
    for (int i = 0; i < SERVICES; i++)
        oracle_forget(w, i);
}

static void happen(struct world *w)
{
    switch (sim_draw(w, 10)) {
    case 0:
    case 1:
    case 2:
        kernel_act(w);
        break;
    case 3:
        time_passes(w);
        break;
    case 4:
        if (sim_one_in(w, 20))
            weather(w);
        else if (sim_one_in(w, 10))
            edit_configuration(w);
        else if (sim_one_in(w, 400))
            reboot(w);
        break;
    default:
        if (w->running)
            supd_step(w);
        else if (sim_one_in(w, 2))
            start_supd(w);
        break;
    }
}

/* One step, in which supd may die. */
static void step(struct world *w, void (*fn)(struct world *w))
{
    if (w->crash_in == 0 && sim_one_in(w, 30))
        w->crash_in = 1 + sim_draw(w, 60);
    if (setjmp(w->dies) == 0)
        fn(w);
    else
        w->seen.crashes++;
    end_shutdown(w);
    oracle_step(w);
}

/* ---- coming to rest ---- */

static bool cooperate(struct world *w)
{
    if (kernel_cooperate(w))
        return true;
    if (!w->running) {
        start_supd(w);
        return true;
    }
    if (w->reload_due && w->supd.phase == PHASE_RUN) {
        reattach_reload(w);
        return true;
    }
    if (model_turn(w))
        return true;
    int64_t next = model_next_timer(w);
    if (next == 0)
        return false;
    if (next > w->now.mono)
        pass(w, next - w->now.mono);
    return true;
}

/* From anywhere, with nothing unexpected any more, every service comes to where it is wanted. */
static void settle(struct world *w)
{
    unsigned n = 0;

    sim_trace(w, "everybody comes to rest");
    w->quiet = true;
    w->full = w->forks_fail = false;
    w->crash_in = 0;
    while (cooperate(w)) {
        end_shutdown(w);
        oracle_step(w);
        sim_require(w, ++n < SETTLE_STEPS, "does not come to rest");
    }
    oracle_at_rest(w);
    w->quiet = false;
    w->seen.settled++;
}

static void show_seen(const struct world *w)
{
    printf("# seed %" PRIu64 ", %u steps: %u forks, %u crashes, %u quits, %u shutdowns, %u reboots, %u pids used "
           "again, %u rewrites, %u torn records, %u refusals, %u mistaken, %u times at rest\n",
           w->seed, w->steps, w->seen.forks, w->seen.crashes, w->seen.quits, w->seen.shutdowns, w->seen.reboots,
           w->seen.reuses, w->seen.rewrites, w->seen.torn, w->seen.refusals, w->seen.mistaken, w->seen.settled);
    printf("#   control processes:");
    for (int role = ROLE_PRE_START; role < ROLE_N; role++)
        printf(" %u %s,", w->seen.controls[role], svc_role_name((enum svc_role)role));
    printf(" %u taken back; main processes: %u found, %u missing; %u reload-signals, %u pauses\n"
           "#   %u times ready, %u unheard, %u watchdogs; %u results of checks, %u too slow, %u times unhealthy, "
           "%u healthy again, %u alarms\n",
           w->seen.adopted_controls, w->seen.mains_found, w->seen.mains_missing, w->seen.reloads, w->seen.pauses,
           w->seen.readies, w->seen.unheard, w->seen.watchdogs, w->seen.checks, w->seen.overdue, w->seen.unhealthy,
           w->seen.recovered, w->seen.alarms);
    printf("#   runs by schedule: %u, %u passed over, %u made up\n", w->seen.runs, w->seen.passed_over,
           w->seen.made_up);
}

static void play(uint64_t seed, unsigned steps, bool trace, bool show)
{
    struct world *w = xcalloc(1, sizeof *w);

    make_world(w, seed, steps, trace);
    for (w->step = 0; w->step < steps; w->step++) {
        step(w, happen);
        if ((w->step + 1) % SETTLE_EVERY == 0)
            settle(w);
    }
    if (show)
        show_seen(w);
    /* A walk that never met them would prove nothing. */
    sim_require(w, steps < WORLD_STEPS || (w->seen.crashes > 0 && w->seen.forks > 0 && w->seen.settled > 0),
                "nothing happened");
    world_free(w);
    free(w);
}

/* ---- the command line ---- */

static uint64_t new_seed(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* TEST_SLOWER: where tests run so many times slower, so many times less is done. */
static unsigned world_steps(void)
{
    const char *slower = getenv("TEST_SLOWER");

    return slower && atoi(slower) > 1 ? WORLD_STEPS / (unsigned)atoi(slower) : WORLD_STEPS;
}

static int play_check(void)
{
    unsigned steps = world_steps();
    uint64_t fresh = new_seed();

    for (unsigned i = 0; i < FIXED_SEEDS + NEW_SEEDS; i++) {
        uint64_t seed = i < FIXED_SEEDS ? i + 1 : fresh + i;

        play(seed, steps, false, true);
        printf("ok %u - seed %" PRIu64 "\n", i + 1, seed);
        fflush(stdout);
    }
    printf("1..%d\n", FIXED_SEEDS + NEW_SEEDS);
    return EXIT_SUCCESS;
}

static int play_minutes(double minutes)
{
    uint64_t seed = new_seed();
    time_t begin = time(NULL);
    unsigned long worlds = 0;

    printf("worlds of %d steps from seed %" PRIu64 " on, for %g minutes\n", WORLD_STEPS, seed, minutes);
    fflush(stdout);
    while (difftime(time(NULL), begin) < minutes * 60) {
        play(seed++, WORLD_STEPS, false, false);
        worlds++;
    }
    printf("%lu worlds, %lu steps: every promise was kept\n", worlds, worlds * WORLD_STEPS);
    return EXIT_SUCCESS;
}

static int usage(void)
{
    fputs("usage: sim [--seed N [--steps N] [--trace] | --minutes N]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t seed = 0;
    unsigned steps = WORLD_STEPS;
    bool trace = false;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        if (!value)
            return usage();
        i++;
        if (strcmp(argv[i - 1], "--minutes") == 0)
            return play_minutes(atof(value));
        if (strcmp(argv[i - 1], "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--steps") == 0)
            steps = (unsigned)strtoul(value, NULL, 10);
        else
            return usage();
    }
    if (argc == 1)
        return play_check();
    play(seed, steps, trace, true);
    return EXIT_SUCCESS;
}
