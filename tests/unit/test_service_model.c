/* SPDX-License-Identifier: MIT */
/*
 * The state machine of a service, driven at random through a small model of the
 * kernel and of the state file: children that hang, fail, fork and outlive their
 * leader, events that come late, commands at any time, and a supd that dies and
 * comes back at any step.  The promises are checked after every step.
 * MODEL_SEED=N in the environment plays one seed again.  Where the tests run slower, TEST_SLOWER times, it takes
 * so many steps less.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "check_main.h"
#include "core/record.h"

#define NAME "svc"
#define STEPS 200000
#define SETTLE_EVERY 400
#define SETTLE_STEPS 300
#define FILE_MAX ((size_t)32 * 1024)

/* What truly is, whatever supd knows of it. */
struct kernel {
    bool alive;
    bool recorded; /* the child has appended its SPAWN record */
    bool execed;
    bool exec_told; /* supd has seen the report pipe close */
    bool doomed;    /* SIGKILL was sent, it hangs in the kernel for a moment */
    bool ended;     /* ended, and supd has not been told */
    bool failed;    /* that end came before the exec, with a report */
    struct exit_info exit;
    int32_t pid;
    uint64_t life;
    unsigned group; /* living members beside the leader */
};

/* One world. */
struct model {
    uint64_t seed;
    uint64_t random;
    unsigned step;
    struct spec *spec;
    struct timestamp now;
    uint64_t rng;

    struct svc svc;
    bool queued;
    bool check_due;
    bool watching;
    struct kernel k;
    struct buf file;
    uint8_t spawn[RECORD_MAX]; /* the record that the child is to complete */
    size_t spawn_len;
    bool any_record;
    struct svc durable; /* what was recorded last */
    unsigned crashes, starts;
};

static const struct epoch epoch = {.boot_id = "model", .pidns = 1, .init_start = 1};

static void require(const struct model *m, bool holds, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void require(const struct model *m, bool holds, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    if (holds)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ck_abort_msg("MODEL_SEED=%" PRIu64 ", step %u: %s (state %s, desired %s, ended %d, group %d; kernel: alive %d, "
                 "execed %d, group %u)",
                 m->seed, m->step, text, svc_state_name(m->svc.state), m->svc.desired_up ? "up" : "down", m->svc.ended,
                 m->svc.group, m->k.alive, m->k.execed, m->k.group);
}

static unsigned draw(struct model *m, unsigned limit)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)((m->random >> 11) % limit);
}

static bool one_in(struct model *m, unsigned n)
{
    return draw(m, n) == 0;
}

static void pass(struct model *m, int64_t usec)
{
    m->now.mono += usec;
    m->now.wall += usec;
}

/* ---- the kernel ---- */

static void end_main(struct model *m, struct exit_info exit)
{
    m->k.alive = false;
    m->k.doomed = false;
    m->k.ended = true;
    m->k.exit = exit;
    m->k.exit.source = EXIT_SOURCE_WAIT;
}

static struct exit_info code(int32_t value)
{
    return (struct exit_info){.how = EXIT_HOW_EXITED, .code = value};
}

static struct exit_info by_signal(int32_t signo)
{
    return (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = signo};
}

static void signal_main(struct model *m, int32_t signo)
{
    if (!m->k.alive)
        return;
    if (signo == SIGKILL && one_in(m, 4))
        m->k.doomed = true;
    else if (signo == SIGKILL)
        end_main(m, by_signal(SIGKILL));
    else if (m->k.execed && one_in(m, 2))
        end_main(m, one_in(m, 2) ? by_signal(signo) : code(0));
}

static void signal_group(struct model *m, int32_t signo)
{
    signal_main(m, signo);
    if (m->svc.pre_exec)
        return;
    for (unsigned left = m->k.group; left > 0; left--) {
        if (!one_in(m, signo == SIGKILL ? 8 : 2))
            m->k.group--;
    }
}

static void fork_child(struct model *m);

/* ---- supd ---- */

static void add_record(struct model *m, const uint8_t *record, size_t len)
{
    buf_add(&m->file, record, len);
    m->any_record = true;
}

static void record_service(struct model *m)
{
    uint8_t record[RECORD_MAX];

    add_record(m, record, record_encode_service(record, NAME, &m->svc));
    m->durable = m->svc;
}

/* A new file of one snapshot; only while no child stands before its exec. */
static void rewrite(struct model *m)
{
    uint8_t record[RECORD_MAX];
    struct svc svc = m->svc;

    if (svc_has_process(&svc) && svc.proc.start_ticks == 0)
        svc.proc.start_ticks = (uint64_t)svc.proc.pid + 1;
    buf_reset(&m->file);
    add_record(m, record, record_encode_header(record, &epoch));
    add_record(m, record, record_encode_service(record, NAME, &svc));
    m->durable = svc;
}

static bool needs_record(const struct svc_event *event, enum svc_action_type type)
{
    switch (type) {
    case ACT_QUEUE:
        return event->type != SVC_EV_DEADLINE; /* a backoff that is over says the same */
    case ACT_SIGNAL_MAIN:
    case ACT_SIGNAL_GROUP:
        return true;
    case ACT_CHECK_GROUP:
        return event->type != SVC_EV_BOOT;
    case ACT_RECORD:
    case ACT_UNQUEUE:
    case ACT_FORK:
    case ACT_WATCH_GROUP:
    default: /* of services that are not simple: tests/sim */
        break;
    }
    return false;
}

static void check_actions(const struct model *m, const struct svc_event *event, const struct svc_actions *actions)
{
    bool recorded = false;

    for (size_t i = 0; i < actions->n; i++) {
        recorded |= actions->items[i].type == ACT_RECORD;
        require(m, recorded || !needs_record(event, actions->items[i].type), "action %d stands before its record",
                (int)actions->items[i].type);
    }
}

static void carry_out(struct model *m, struct svc_action action)
{
    switch (action.type) {
    case ACT_RECORD:
        break;
    case ACT_QUEUE:
        m->queued = true;
        break;
    case ACT_UNQUEUE:
        m->queued = false;
        break;
    case ACT_FORK:
        fork_child(m);
        break;
    case ACT_SIGNAL_MAIN:
        signal_main(m, action.signal);
        break;
    case ACT_SIGNAL_GROUP:
        signal_group(m, action.signal);
        break;
    case ACT_CHECK_GROUP:
        m->check_due = true;
        break;
    case ACT_WATCH_GROUP:
        m->watching = true;
        break;
    default:
        require(m, false, "action %d for a simple service", (int)action.type);
    }
}

static void check_promises(const struct model *m)
{
    const struct svc *svc = &m->svc;
    bool something = m->k.alive || m->k.ended || m->k.group > 0;
    bool timed = svc->state == SVC_STOPPING || svc->state == SVC_BACKOFF ||
                 (svc->state == SVC_STARTING && m->spec->life->start_timeout > 0);
    bool with_process = svc->state == SVC_STARTING || svc->state == SVC_RUNNING || svc->state == SVC_STOPPING;

    /* Once its process has ended, the count of the group takes it out of `starting`. */
    bool counting = svc->state == SVC_STARTING && svc->ended;

    require(m, counting || (svc->deadline != 0) == timed, "deadline %" PRId64, svc->deadline);
    require(m, !counting || m->check_due, "nobody counts the group");
    require(m, m->queued == (svc->state == SVC_WAITING && !svc->idle), "queued %d", m->queued);
    require(m, with_process || !something, "settled, and something of it lives");
    require(m, with_process || svc->group == 0, "settled, and it holds on to a group");
    require(m, !with_process || something || m->check_due || m->watching, "waits for a process that is not there");
    require(m, svc->desired_up || (svc->state != SVC_WAITING && svc->state != SVC_RUNNING), "runs unwanted");
    require(m, !svc_has_process(svc) || svc->proc.pid == m->k.pid, "believes in process %d", svc->proc.pid);
    require(m, svc->life < m->starts + 1, "life %" PRIu64 " after %u starts", svc->life, m->starts);
    require(m, svc->restarts <= svc->life, "more restarts than lives");
}

static void feed(struct model *m, struct svc_event event)
{
    struct svc_actions actions;
    struct svc before = m->svc;

    svc_step(&m->svc, m->spec, &event, m->now, &m->rng, &actions);
    check_actions(m, &event, &actions);
    if (m->svc.group == 0)
        m->watching = m->check_due = false;
    for (size_t i = 0; i < actions.n; i++) {
        if (actions.items[i].type == ACT_RECORD)
            record_service(m);
    }
    require(m, before.life <= m->svc.life, "the life went back");
    for (size_t i = 0; i < actions.n; i++)
        carry_out(m, actions.items[i]);
}

static void feed_type(struct model *m, enum svc_event_type type)
{
    feed(m, (struct svc_event){.type = type, .life = m->svc.life});
}

static struct svc_stop_params draw_stop(struct model *m)
{
    return (struct svc_stop_params){
        .signal = SIGTERM,
        .kill_mode = (enum kill_mode)draw(m, KILL_MODE_N),
        .timeout = one_in(m, 4) ? 0 : 10 * USEC_PER_SEC,
    };
}

static void fork_child(struct model *m)
{
    struct svc_stop_params stop = draw_stop(m);

    require(m, !m->k.alive && !m->k.ended && m->k.group == 0, "forks while something of the last life is left");
    m->starts++;
    if (one_in(m, 20)) {
        feed(m, (struct svc_event){.type = SVC_EV_FORK_FAILED, .life = m->svc.life, .text = "fork: no room"});
        return;
    }
    m->k = (struct kernel){.alive = true, .pid = m->k.pid + 1, .life = m->svc.life};
    m->spawn_len = record_encode_spawn(m->spawn, ROLE_SERVICE, NAME, &m->svc, 7, &stop, m->now);
    feed(m, (struct svc_event){.type = SVC_EV_FORKED, .life = m->svc.life, .pid = m->k.pid, .digest = 7, .stop = stop});
}

static void tell_exec(struct model *m)
{
    m->k.exec_told = true;
    feed_type(m, SVC_EV_EXECED);
}

/* As the supervisor does: a program's own exit confirms its exec, a death by signal does not. */
static void tell_end(struct model *m)
{
    if (m->k.execed && !m->k.exec_told && m->k.exit.how == EXIT_HOW_EXITED)
        tell_exec(m);
    m->k.ended = false;
    if (m->svc.proc.stop.kill_mode == KILL_MODE_PROCESS)
        m->k.group = 0; /* none of supd's business any more */
    feed(m, (struct svc_event){.type = SVC_EV_EXITED,
                               .life = m->svc.life,
                               .exit = m->k.exit,
                               .text = m->k.failed ? "exec: no such file" : NULL});
}

static void tell_group(struct model *m)
{
    m->check_due = false;
    m->watching = false;
    feed(m, (struct svc_event){.type = SVC_EV_GROUP, .life = m->svc.life, .group_left = m->k.group});
}

/* ---- supd dies and comes back ---- */

static void same_durable(const struct model *m, struct svc got)
{
    uint8_t a[RECORD_MAX];
    uint8_t b[RECORD_MAX];
    struct svc want = m->durable;

    /* What the child's own record knows better, and what nobody vouched for. */
    want.proc.pid = got.proc.pid;
    want.proc.start_ticks = got.proc.start_ticks;
    want.group = got.group;
    want.group_start = got.group_start;
    want.todo = got.todo;
    want.began = got.began;
    size_t len = record_encode_service(a, NAME, &want);
    require(m, len == record_encode_service(b, NAME, &got) && memcmp(a, b, len) == 0,
            "the file does not give back what was recorded");
}

static void check_replay(const struct model *m, const struct replay *replay)
{
    const struct svc_image *image = replay_find(replay, NAME);
    bool lives = m->k.alive && m->k.recorded;

    require(m, replay->damaged == 0 && replay->n <= 1, "the file is damaged");
    require(m, (image != NULL) == m->any_record, "the service is not in the file");
    if (!image)
        return;
    require(m, !lives || (image->has_process && image->svc.proc.pid == m->k.pid && image->svc.life == m->k.life),
            "a living process is forgotten");
    require(m, !image->has_process || lives || m->k.recorded, "a process that never was");
    require(m, image->svc.proc.pid == 0 || image->svc.proc.start_ticks == (uint64_t)image->svc.proc.pid + 1,
            "a process without its start time");
    if (image->svc.life == m->durable.life)
        same_durable(m, image->svc);
    require(m, image->svc.life >= m->durable.life, "an older life than was recorded");
}

/* The lock is free only when no child stands before its exec any more. */
static void finish_half_started(struct model *m)
{
    if (!m->k.alive || m->k.execed)
        return;
    if (!m->k.recorded || one_in(m, 3))
        end_main(m, by_signal(SIGKILL));
    else
        m->k.execed = true;
}

static void new_supd(struct model *m)
{
    m->queued = m->check_due = m->watching = false;
    svc_init(&m->svc, m->spec, m->now);
}

static void resume(struct model *m, bool has_process)
{
    struct svc_event event = {.life = m->svc.life};

    m->k.exec_told = true;
    if (has_process && m->k.alive) {
        event.type = SVC_EV_ADOPTED;
        feed(m, event);
    } else if (has_process) {
        m->k.failed = false;
        if (one_in(m, 2))
            m->k.exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN};
        tell_end(m);
    }
    m->k.ended = false;
    feed_type(m, SVC_EV_BOOT);
}

static void crash(struct model *m)
{
    if (one_in(m, 2))
        pass(m, (int64_t)draw(m, 20000000));
    finish_half_started(m);
    struct replay *replay = replay_new((const uint8_t *)m->file.data, m->file.len);
    check_replay(m, replay);
    const struct svc_image *image = replay_find(replay, NAME);
    bool has_process = image && image->has_process;

    m->crashes++;
    new_supd(m);
    if (image)
        m->svc = image->svc;
    replay_free(replay);
    rewrite(m);
    resume(m, has_process);
}

/* ---- what may happen next ---- */

static void record_child(struct model *m)
{
    record_finish_spawn(m->spawn, m->spawn_len, m->k.pid, (uint64_t)m->k.pid + 1, 0);
    add_record(m, m->spawn, m->spawn_len);
    m->k.recorded = true;
}

static void child_goes_on(struct model *m)
{
    if (m->k.doomed) {
        end_main(m, by_signal(SIGKILL));
    } else if (!m->k.recorded) {
        record_child(m);
    } else if (!m->k.execed && one_in(m, 8)) {
        m->k.failed = true;
        end_main(m, code(127));
    } else if (!m->k.execed) {
        m->k.execed = true;
    } else if (!m->k.exec_told && one_in(m, 2)) {
        tell_exec(m);
    }
}

static void program_acts(struct model *m)
{
    if (!m->k.alive || !m->k.execed || m->k.doomed)
        return;
    if (one_in(m, 3) && m->k.group < 3)
        m->k.group++;
    else if (one_in(m, 4))
        end_main(m, one_in(m, 2) ? code((int32_t)draw(m, 3)) : by_signal(one_in(m, 2) ? SIGSEGV : SIGTERM));
}

static void group_acts(struct model *m)
{
    if (m->k.group > 0 && one_in(m, 3))
        m->k.group--;
    if (m->check_due || (m->watching && (m->k.group == 0 || one_in(m, 4))))
        tell_group(m);
}

static void time_passes(struct model *m)
{
    if (m->svc.deadline != 0 && one_in(m, 2) && m->svc.deadline > m->now.mono)
        pass(m, m->svc.deadline - m->now.mono);
    else
        pass(m, (int64_t)draw(m, one_in(m, 10) ? 15000000 : 5000));
    if (m->svc.deadline != 0)
        feed_type(m, SVC_EV_DEADLINE);
}

static void command(struct model *m)
{
    static const enum svc_event_type commands[] = {SVC_EV_START, SVC_EV_STOP, SVC_EV_RESTART, SVC_EV_RESET};

    if (one_in(m, 40))
        feed_type(m, SVC_EV_SHUTDOWN);
    else if (one_in(m, 20))
        feed_type(m, SVC_EV_HURRY);
    else if (one_in(m, 8))
        feed(m, (struct svc_event){.type = SVC_EV_CONFIG, .stop = draw_stop(m)});
    else
        feed_type(m, commands[draw(m, 4)]);
}

/* News of another life. */
static void late_event(struct model *m)
{
    static const enum svc_event_type types[] = {SVC_EV_FORKED,  SVC_EV_FORK_FAILED, SVC_EV_EXECED,
                                                SVC_EV_ADOPTED, SVC_EV_EXITED,      SVC_EV_GROUP};
    struct svc before = m->svc;

    feed(m, (struct svc_event){.type = types[draw(m, 6)],
                               .life = m->svc.life + (one_in(m, 2) ? 1 : (uint64_t)-1),
                               .pid = 99,
                               .exit = code(0),
                               .group_left = draw(m, 2),
                               .text = "late"});
    require(m, memcmp(&before, &m->svc, sizeof before) == 0, "an event of another life changed something");
}

static void happen(struct model *m)
{
    switch (draw(m, 12)) {
    case 0:
    case 1:
        if (m->queued) {
            m->queued = false;
            feed_type(m, SVC_EV_SLOT);
        }
        break;
    case 2:
    case 3:
        if (m->k.alive)
            child_goes_on(m);
        break;
    case 4:
        program_acts(m);
        break;
    case 5:
        if (m->k.ended)
            tell_end(m);
        break;
    case 6:
    case 7:
        group_acts(m);
        break;
    case 8:
        time_passes(m);
        break;
    case 9:
        if (one_in(m, 4))
            command(m);
        break;
    case 10:
        if (one_in(m, 2))
            late_event(m);
        else
            feed_type(m, SVC_EV_DEMAND);
        break;
    default:
        if (one_in(m, 6))
            crash(m);
        break;
    }
}

/* supd has stopped everything: it removes the file and ends, and another one begins afresh. */
static void end_shutdown(struct model *m)
{
    if (!m->svc.shutting_down || m->svc.group != 0 || svc_has_process(&m->svc) || m->k.alive)
        return;
    buf_reset(&m->file);
    new_supd(m);
    rewrite(m);
    m->starts = 0;
    feed_type(m, SVC_EV_BOOT);
}

/* Everybody does what he should: one step of that; false when there is nothing left to do. */
static bool cooperate(struct model *m)
{
    if (m->queued) {
        m->queued = false;
        feed_type(m, SVC_EV_SLOT);
    } else if (m->k.ended) {
        tell_end(m);
    } else if (m->k.alive && !(m->k.execed && m->k.exec_told && !m->k.doomed)) {
        child_goes_on(m);
    } else if (m->check_due || m->watching) {
        m->k.group = m->check_due ? m->k.group : 0;
        tell_group(m);
    } else if (m->svc.deadline != 0) {
        if (m->svc.deadline > m->now.mono)
            pass(m, m->svc.deadline - m->now.mono);
        feed_type(m, SVC_EV_DEADLINE);
    } else {
        return false;
    }
    check_promises(m);
    return true;
}

/* From anywhere a service comes to rest where it is wanted. */
static void settle(struct model *m)
{
    unsigned steps = 0;

    while (cooperate(m))
        require(m, ++steps < SETTLE_STEPS, "does not come to rest");
    bool up = m->svc.state == SVC_RUNNING;
    bool given_up = m->svc.state == SVC_EXITED || m->svc.state == SVC_FAILED;
    bool idle = m->svc.state == SVC_WAITING && m->svc.idle;
    require(m, up == m->k.alive, "at rest, and supd and the kernel do not agree");
    require(m, up || given_up || idle || m->svc.state == SVC_STOPPED, "no state to rest in");
    require(m, m->svc.desired_up || m->svc.state == SVC_STOPPED, "not wanted, and not stopped");
    if (m->svc.desired_up && !m->svc.shutting_down) {
        bool may_give_up = m->spec->life->restart != RESTART_ALWAYS || m->spec->life->restart_limit > 0;
        require(m, up || idle || (given_up && may_give_up), "wanted, and not running");
    }
}

static void draw_spec(struct model *m)
{
    m->spec = spec_new(NAME);
    m->spec->enabled = !one_in(m, 4);
    spec_own_life(m->spec)->restart = one_in(m, 2) ? RESTART_ALWAYS : (enum restart_policy)draw(m, RESTART_ALWAYS + 1);
    if (one_in(m, 3))
        spec_own_life(m->spec)->restart_delay = 0;
    if (one_in(m, 3))
        spec_own_life(m->spec)->restart_limit = 1 + draw(m, 5);
    if (one_in(m, 4))
        spec_own_life(m->spec)->start_timeout = 0;
    if (one_in(m, 4))
        spec_own_around(m->spec)->start = START_ON_DEMAND;
}

static void play(uint64_t seed)
{
    struct model m = {.seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .rng = seed};

    const char *slower = getenv("TEST_SLOWER");
    unsigned steps = slower && atoi(slower) > 1 ? STEPS / (unsigned)atoi(slower) : STEPS;
    m.now = (struct timestamp){.mono = 100 * USEC_PER_SEC, .wall = 1000 * USEC_PER_SEC};
    draw_spec(&m);
    new_supd(&m);
    rewrite(&m);
    feed_type(&m, SVC_EV_BOOT);
    for (m.step = 0; m.step < steps; m.step++) {
        happen(&m);
        check_promises(&m);
        end_shutdown(&m);
        if (m.file.len > FILE_MAX && (!m.k.alive || m.k.exec_told))
            rewrite(&m);
        if (m.step % SETTLE_EVERY == 0)
            settle(&m);
    }
    require(&m, m.crashes > steps / 200, "only %u crashes were played", m.crashes);
    spec_free(m.spec);
    buf_free(&m.file);
}

START_TEST(random_walk_with_fixed_seeds)
{
    play((uint64_t)_i + 1);
}
END_TEST

START_TEST(random_walk_with_a_new_seed)
{
    const char *given = getenv("MODEL_SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    printf("# MODEL_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    play(seed);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("service_model");
    TCase *tc = tcase_create("service_model");

    tcase_add_loop_test(tc, random_walk_with_fixed_seeds, 0, 8);
    tcase_add_test(tc, random_walk_with_a_new_seed);
    suite_add_tcase(suite, tc);
    return suite;
}
