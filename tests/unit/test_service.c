/* SPDX-License-Identifier: MIT */
#include "core/service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/service_keep.h"
#include "unit/one_service.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static void pass(int64_t usec)
{
    now.mono += usec;
    now.wall += usec;
}

static void exits(struct exit_info exit)
{
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = exit});
}

static void exits_code(int code)
{
    exits((struct exit_info){.how = EXIT_HOW_EXITED, .code = code, .source = EXIT_SOURCE_WAIT});
}

static void dies(int signo)
{
    exits((struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = signo, .source = EXIT_SOURCE_WAIT});
}

static void fails_before_exec(const char *text)
{
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = 127}, .text = text});
}

static void group(unsigned left)
{
    feed((struct svc_event){.type = SVC_EV_GROUP, .group_left = left});
}

/* The last step's actions as text: R record, Q queue, U unqueue, F fork, M15 G15 signal main or group, C check, W watch. */
static const char *did(void)
{
    static const char letters[] = {
        [ACT_RECORD] = 'R',      [ACT_QUEUE] = 'Q',        [ACT_UNQUEUE] = 'U',     [ACT_FORK] = 'F',
        [ACT_SIGNAL_MAIN] = 'M', [ACT_SIGNAL_GROUP] = 'G', [ACT_CHECK_GROUP] = 'C', [ACT_WATCH_GROUP] = 'W',
    };
    static char text[128];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < actions.n; i++) {
        char number[16] = "";

        if (actions.items[i].signal != 0)
            snprintf(number, sizeof number, "%d", actions.items[i].signal);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%c%s", i > 0 ? " " : "",
                                letters[actions.items[i].type], number);
    }
    return text;
}

static void is(enum svc_state state, const char *acts)
{
    ck_assert_msg(svc.state == state, "state %s, wanted %s (%s)", svc_state_name(svc.state), svc_state_name(state),
                  svc.rare.reason);
    ck_assert_str_eq(did(), acts);
}

/* From nothing to STATE, the plainest way. */
static void reach(enum svc_state state)
{
    svc_init(&svc, spec, now);
    if (state == SVC_STOPPED) {
        step(SVC_EV_STOP);
        return;
    }
    step(SVC_EV_START);
    if (state == SVC_WAITING)
        return;
    step(SVC_EV_SLOT);
    main_forked();
    if (state == SVC_STARTING)
        return;
    step(SVC_EV_EXECED);
    if (state == SVC_RUNNING)
        return;
    if (state == SVC_STOPPING) {
        step(SVC_EV_STOP);
        return;
    }
    enum restart_policy policy = spec->life->restart;
    spec_own_life(spec)->restart = state == SVC_BACKOFF ? RESTART_ALWAYS : RESTART_NO;
    exits_code(state == SVC_EXITED ? 0 : 1);
    group(0);
    spec_own_life(spec)->restart = policy;
    ck_assert_int_eq(svc.state, state);
}

START_TEST(every_command_in_every_state)
{
    static const struct {
        enum svc_event_type command;
        const char *name;
        struct {
            enum svc_state state;
            bool up;
            const char *acts;
        } after[SVC_N_STATES];
    } table[] = {
        {SVC_EV_START,
         "start",
         {[SVC_STOPPED] = {SVC_WAITING, true, "R Q"},
          [SVC_WAITING] = {SVC_WAITING, true, "R"},
          [SVC_STARTING] = {SVC_STARTING, true, "R"},
          [SVC_RUNNING] = {SVC_RUNNING, true, "R"},
          [SVC_STOPPING] = {SVC_STOPPING, true, "R"},
          [SVC_BACKOFF] = {SVC_WAITING, true, "R Q"},
          [SVC_EXITED] = {SVC_WAITING, true, "R Q"},
          [SVC_FAILED] = {SVC_WAITING, true, "R Q"}}},
        {SVC_EV_STOP,
         "stop",
         {[SVC_STOPPED] = {SVC_STOPPED, false, "R"},
          [SVC_WAITING] = {SVC_STOPPED, false, "U R"},
          [SVC_STARTING] = {SVC_STOPPING, false, "R G15"},
          [SVC_RUNNING] = {SVC_STOPPING, false, "R G15"},
          [SVC_STOPPING] = {SVC_STOPPING, false, "R"},
          [SVC_BACKOFF] = {SVC_STOPPED, false, "R"},
          [SVC_EXITED] = {SVC_STOPPED, false, "R"},
          [SVC_FAILED] = {SVC_STOPPED, false, "R"}}},
        {SVC_EV_RESTART,
         "restart",
         {[SVC_STOPPED] = {SVC_WAITING, true, "R Q"},
          [SVC_WAITING] = {SVC_WAITING, true, "R"},
          [SVC_STARTING] = {SVC_STOPPING, true, "R G15"},
          [SVC_RUNNING] = {SVC_STOPPING, true, "R G15"},
          [SVC_STOPPING] = {SVC_STOPPING, true, "R"},
          [SVC_BACKOFF] = {SVC_WAITING, true, "R Q"},
          [SVC_EXITED] = {SVC_WAITING, true, "R Q"},
          [SVC_FAILED] = {SVC_WAITING, true, "R Q"}}},
        {SVC_EV_RESET,
         "reset",
         {[SVC_STOPPED] = {SVC_STOPPED, false, "R"},
          [SVC_WAITING] = {SVC_WAITING, true, "R"},
          [SVC_STARTING] = {SVC_STARTING, true, "R"},
          [SVC_RUNNING] = {SVC_RUNNING, true, "R"},
          [SVC_STOPPING] = {SVC_STOPPING, false, "R"},
          [SVC_BACKOFF] = {SVC_BACKOFF, true, "R"},
          [SVC_EXITED] = {SVC_STOPPED, false, "R"},
          [SVC_FAILED] = {SVC_STOPPED, false, "R"}}},
        {SVC_EV_SHUTDOWN,
         "shutdown",
         {[SVC_STOPPED] = {SVC_STOPPED, false, ""},
          [SVC_WAITING] = {SVC_STOPPED, true, "U R"},
          [SVC_STARTING] = {SVC_STOPPING, true, "R G15"},
          [SVC_RUNNING] = {SVC_STOPPING, true, "R G15"},
          [SVC_STOPPING] = {SVC_STOPPING, false, ""},
          [SVC_BACKOFF] = {SVC_STOPPED, true, "R"},
          [SVC_EXITED] = {SVC_EXITED, true, ""},
          [SVC_FAILED] = {SVC_FAILED, true, ""}}},
        {SVC_EV_HURRY,
         "hurry",
         {[SVC_STOPPED] = {SVC_STOPPED, false, ""},
          [SVC_WAITING] = {SVC_WAITING, true, ""},
          [SVC_STARTING] = {SVC_STARTING, true, ""},
          [SVC_RUNNING] = {SVC_RUNNING, true, ""},
          [SVC_STOPPING] = {SVC_STOPPING, false, "R G9"},
          [SVC_BACKOFF] = {SVC_BACKOFF, true, ""},
          [SVC_EXITED] = {SVC_EXITED, true, ""},
          [SVC_FAILED] = {SVC_FAILED, true, ""}}},
    };

    for (size_t c = 0; c < LEN(table); c++) {
        for (int from = 0; from < SVC_N_STATES; from++) {
            reach((enum svc_state)from);
            struct svc before;
            memcpy(&before, &svc, sizeof svc); /* its padding too */
            step(table[c].command);
            bool right = svc.state == table[c].after[from].state && svc.desired_up == table[c].after[from].up &&
                         strcmp(did(), table[c].after[from].acts) == 0;
            ck_assert_msg(right, "%s in %s: state %s, desired %s, actions '%s'", table[c].name,
                          svc_state_name((enum svc_state)from), svc_state_name(svc.state),
                          svc.desired_up ? "up" : "down", did());
            ck_assert_msg((svc.since.mono == before.since.mono) || svc.state != before.state, "since moved");
            ck_assert_uint_eq(svc.life, before.life);
        }
    }
}
END_TEST

START_TEST(a_run_from_start_to_backoff_and_back)
{
    step(SVC_EV_BOOT);
    is(SVC_WAITING, "R Q");
    step(SVC_EV_SLOT);
    is(SVC_STARTING, "F");
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->start_timeout);
    ck_assert_uint_eq(svc.life, 1);
    ck_assert(!svc_has_process(&svc));
    main_forked();
    is(SVC_STARTING, "");
    ck_assert(svc_has_process(&svc));
    ck_assert_int_eq(svc.group, PID);
    pass(USEC_PER_MSEC);
    step(SVC_EV_EXECED);
    is(SVC_RUNNING, "");
    ck_assert_int_eq(svc.deadline, 0);
    ck_assert_str_eq(svc.rare.reason, "");
    ck_assert_int_eq(svc.since.mono, now.mono);

    pass(USEC_PER_SEC);
    dies(SIGSEGV);
    is(SVC_RUNNING, "R C");
    ck_assert(!svc_has_process(&svc));
    group(0);
    is(SVC_BACKOFF, "R");
    ck_assert_str_eq(svc.rare.reason, "killed by SEGV");
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->restart_delay);
    ck_assert_uint_eq(svc.row, 1);
    ck_assert_uint_eq(svc.restarts, 0);
    ck_assert_int_eq(svc.exit.signal, SIGSEGV);

    pass(spec->life->restart_delay - 1);
    step(SVC_EV_DEADLINE);
    is(SVC_BACKOFF, "");
    pass(1);
    step(SVC_EV_DEADLINE);
    is(SVC_WAITING, "Q");
    step(SVC_EV_SLOT);
    is(SVC_STARTING, "F");
    ck_assert_uint_eq(svc.life, 2);
    ck_assert_uint_eq(svc.restarts, 1);
}
END_TEST

/* Who knew at the fork when it began need not be asked at the exec. */
START_TEST(start_known_at_the_fork)
{
    struct svc_stop_params stop = svc_stop_params(spec);

    svc_init(&svc, spec, now);
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    feed((struct svc_event){.type = SVC_EV_FORKED, .pid = PID, .start_ticks = 4711, .digest = 99, .stop = stop});
    ck_assert_uint_eq(svc.proc.start_ticks, 4711);
    ck_assert_uint_eq(svc.group_start, 4711);
    feed((struct svc_event){.type = SVC_EV_EXECED});
    ck_assert_uint_eq(svc.proc.start_ticks, 4711);
    ck_assert_uint_eq(svc.group_start, 4711);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}
END_TEST

START_TEST(stable_run_is_started_again_at_once)
{
    reach(SVC_RUNNING);
    svc.row = 5;
    pass(spec->life->restart_reset);
    exits_code(0);
    group(0);
    is(SVC_WAITING, "R Q");
    ck_assert_uint_eq(svc.row, 0);
    ck_assert(svc.next_is_restart);
    ck_assert_str_eq(svc.rare.reason, "exit 0");
    step(SVC_EV_SLOT);
    ck_assert_uint_eq(svc.restarts, 1);
}
END_TEST

START_TEST(a_start_by_command_is_no_automatic_restart)
{
    reach(SVC_BACKOFF);
    svc.row = 4;
    step(SVC_EV_RESTART);
    is(SVC_WAITING, "R Q");
    ck_assert_uint_eq(svc.row, 0);
    step(SVC_EV_SLOT);
    ck_assert_uint_eq(svc.restarts, 0);
    ck_assert_uint_eq(svc.life, 2);
}
END_TEST

START_TEST(limit_ends_in_failed_with_the_last_reason)
{
    spec_own_life(spec)->restart_limit = 2;
    reach(SVC_RUNNING);
    exits_code(7);
    group(0);
    is(SVC_BACKOFF, "R");
    deadline();
    step(SVC_EV_SLOT);
    main_forked();
    step(SVC_EV_EXECED);
    exits_code(9);
    group(0);
    is(SVC_FAILED, "R");
    ck_assert_str_eq(svc.rare.reason, "gave up after 2 unstable runs in a row: exit 9");
    ck_assert(svc.desired_up);
    step(SVC_EV_BOOT);
    is(SVC_FAILED, "");
    step(SVC_EV_START);
    is(SVC_WAITING, "R Q");
    ck_assert_uint_eq(svc.row, 0);
}
END_TEST

START_TEST(stop_waits_for_other_services)
{
    const struct svc_event stop = {.type = SVC_EV_STOP, .hold = true};
    const struct svc_event restart = {.type = SVC_EV_RESTART, .hold = true, .text = "restarted with db"};

    reach(SVC_RUNNING);
    feed(stop);
    is(SVC_RUNNING, "R");
    ck_assert(svc.stop_held && !svc.desired_up);
    step(SVC_EV_BOOT);
    is(SVC_RUNNING, "");
    step(SVC_EV_STOP_NOW);
    is(SVC_STOPPING, "R G15");
    ck_assert(!svc.stop_held);
    ck_assert_str_eq(svc.rare.reason, "stopped by command");

    /* A start calls it off. */
    reach(SVC_STARTING);
    feed(stop);
    step(SVC_EV_EXECED);
    is(SVC_RUNNING, "");
    step(SVC_EV_START);
    is(SVC_RUNNING, "R");
    ck_assert(!svc.stop_held && svc.desired_up);
    step(SVC_EV_STOP_NOW);
    is(SVC_RUNNING, "");

    /* It ends by itself meanwhile: as it was wanted. */
    reach(SVC_RUNNING);
    feed(stop);
    exits_code(1);
    group(0);
    is(SVC_STOPPED, "R");
    ck_assert(!svc.stop_held);

    reach(SVC_RUNNING);
    feed(restart);
    is(SVC_RUNNING, "R");
    ck_assert(svc.stop_held && svc.desired_up);
    exits_code(1);
    group(1);
    is(SVC_STOPPING, "R G15 W");
    step(SVC_EV_STOP_NOW);
    is(SVC_STOPPING, "R");
    group(0);
    is(SVC_WAITING, "R Q");
    ck_assert(!svc.next_is_restart);

    reach(SVC_RUNNING);
    feed((struct svc_event){.type = SVC_EV_SHUTDOWN, .hold = true});
    is(SVC_RUNNING, "R");
    step(SVC_EV_STOP_NOW);
    is(SVC_STOPPING, "R G15");
    ck_assert_str_eq(svc.rare.reason, "supd is shutting down");
}
END_TEST

START_TEST(start_is_called_off)
{
    reach(SVC_WAITING);
    feed((struct svc_event){.type = SVC_EV_CALL_OFF, .text = "db failed: exit 1"});
    is(SVC_FAILED, "U R");
    ck_assert_str_eq(svc.rare.reason, "db failed: exit 1");
    ck_assert(svc.desired_up);

    reach(SVC_RUNNING);
    feed((struct svc_event){.type = SVC_EV_CALL_OFF, .text = "too late"});
    is(SVC_RUNNING, "");
}
END_TEST

START_TEST(start_during_a_stop_is_not_lost)
{
    reach(SVC_STOPPING);
    step(SVC_EV_START);
    is(SVC_STOPPING, "R");
    ck_assert_int_ne(svc.deadline, 0);
    dies(SIGTERM);
    is(SVC_STOPPING, "R C");
    group(0);
    is(SVC_WAITING, "R Q");
    ck_assert_str_eq(svc.rare.reason, "restarted by command");
    ck_assert(!svc.next_is_restart);

    reach(SVC_STOPPING);
    step(SVC_EV_START);
    step(SVC_EV_STOP);
    dies(SIGTERM);
    group(0);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(stop_before_the_exec)
{
    reach(SVC_STARTING);
    pass(USEC_PER_SEC);
    step(SVC_EV_STOP);
    is(SVC_STOPPING, "R G15");
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->stop_timeout);
    step(SVC_EV_EXECED);
    is(SVC_STOPPING, "");
    dies(SIGTERM);
    group(0);
    is(SVC_STOPPED, "R");
    ck_assert_str_eq(svc.rare.reason, "stopped by command");

    reach(SVC_STARTING);
    step(SVC_EV_STOP);
    fails_before_exec("exec /x: No such file or directory");
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(restart_is_a_stop_while_up_is_wanted)
{
    reach(SVC_RUNNING);
    svc.row = 3;
    step(SVC_EV_RESTART);
    is(SVC_STOPPING, "R G15");
    ck_assert_uint_eq(svc.row, 0);
    exits_code(1);
    group(0);
    is(SVC_WAITING, "R Q");
    ck_assert_uint_eq(svc.row, 0);
    step(SVC_EV_STOP);
    is(SVC_STOPPED, "U R");

    reach(SVC_RUNNING);
    step(SVC_EV_RESTART);
    step(SVC_EV_STOP);
    exits_code(0);
    group(0);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(stop_timeout_kills_and_kills_again)
{
    reach(SVC_STOPPING);
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->stop_timeout);
    deadline();
    is(SVC_STOPPING, "R G9");
    ck_assert_int_eq(svc.stop_phase, STOP_KILLED);
    step(SVC_EV_HURRY);
    is(SVC_STOPPING, "");
    deadline();
    is(SVC_STOPPING, "R G9");
    dies(SIGKILL);
    group(0);
    is(SVC_STOPPED, "R");
    ck_assert_int_eq(svc.deadline, 0);
}
END_TEST

START_TEST(start_timeout_kills_what_hangs_before_its_exec)
{
    for (int policy = RESTART_NO; policy <= RESTART_ALWAYS; policy += RESTART_ALWAYS) {
        spec_own_life(spec)->restart = (enum restart_policy)policy;
        spec_own_life(spec)->restart_delay = 0;
        reach(SVC_STARTING);
        deadline();
        is(SVC_STOPPING, "R M9");
        ck_assert_str_eq(svc.rare.reason, "start timed out after 1m30s");
        dies(SIGKILL);
        group(0);
        is(policy == RESTART_NO ? SVC_FAILED : SVC_BACKOFF, "R");
        ck_assert_str_eq(svc.rare.reason, "start timed out after 1m30s");
        ck_assert_uint_eq(svc.row, 1);
    }
    ck_assert_int_eq(svc.deadline, now.mono + 100 * USEC_PER_MSEC);

    spec_own_life(spec)->start_timeout = 0;
    reach(SVC_STARTING);
    ck_assert_int_eq(svc.deadline, 0);
}
END_TEST

START_TEST(failure_before_the_exec)
{
    spec_own_life(spec)->restart_delay = 0;
    reach(SVC_STARTING);
    fails_before_exec("chdir /srv/x: No such file or directory");
    is(SVC_BACKOFF, "R");
    ck_assert_int_eq(svc.deadline, now.mono + 100 * USEC_PER_MSEC);
    ck_assert_str_eq(svc.rare.reason, "chdir /srv/x: No such file or directory");
    ck_assert_int_eq(svc.group, 0);

    spec_own_life(spec)->restart = RESTART_NO;
    reach(SVC_STARTING);
    fails_before_exec("exec /x: Permission denied");
    is(SVC_FAILED, "R");
}
END_TEST

static void same_exit(const struct exit_info *a, const struct exit_info *b)
{
    ck_assert_int_eq(a->how, b->how);
    ck_assert_int_eq(a->code, b->code);
    ck_assert_int_eq(a->signal, b->signal);
    ck_assert_int_eq(a->core, b->core);
    ck_assert_int_eq(a->source, b->source);
    ck_assert_int_eq(a->at, b->at);
}

START_TEST(fork_failure_keeps_the_last_exit)
{
    reach(SVC_BACKOFF);
    struct exit_info last = svc.exit;
    deadline();
    step(SVC_EV_SLOT);
    feed((struct svc_event){.type = SVC_EV_FORK_FAILED, .text = "fork: Resource temporarily unavailable"});
    is(SVC_BACKOFF, "R");
    same_exit(&svc.exit, &last);
    ck_assert_str_eq(svc.rare.reason, "fork: Resource temporarily unavailable");
    ck_assert_uint_eq(svc.row, 2);
    ck_assert(!svc_has_process(&svc));
}
END_TEST

/* A program that dies at once may be heard of before its exec is, and it may have left something. */
START_TEST(death_by_signal_before_the_exec_was_confirmed)
{
    reach(SVC_STARTING);
    dies(SIGSEGV);
    is(SVC_STARTING, "R C");
    group(2);
    is(SVC_STOPPING, "R G15 W");
    group(0);
    is(SVC_BACKOFF, "R");
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->restart_delay);
}
END_TEST

START_TEST(leftovers_of_an_unasked_end)
{
    static const struct {
        enum kill_mode mode;
        const char *at_exit;
        const char *at_count;
    } table[] = {
        {KILL_MODE_GROUP, "R C", "R G15 W"}, {KILL_MODE_CGROUP, "R C", "R G15 W"}, {KILL_MODE_MIXED, "R C", "R G9 W"}};

    for (size_t i = 0; i < LEN(table); i++) {
        spec_own_life(spec)->kill_mode = table[i].mode;
        reach(SVC_RUNNING);
        exits_code(1);
        is(SVC_RUNNING, table[i].at_exit);
        group(3);
        is(SVC_STOPPING, table[i].at_count);
        ck_assert_str_eq(svc.rare.reason, "exit 1; ending what it left behind: 3 processes");
        ck_assert_int_ne(svc.deadline, 0);
        group(1);
        is(SVC_STOPPING, table[i].mode == KILL_MODE_MIXED ? "R G9 W" : "W");
        deadline();
        is(SVC_STOPPING, "R G9");
        group(1);
        is(SVC_STOPPING, "R G9 W");
        pass(3600 * USEC_PER_SEC);
        group(0);
        is(SVC_BACKOFF, "R");
        ck_assert_str_eq(svc.rare.reason, "exit 1");
        ck_assert_uint_eq(svc.row, 1); /* what the leftovers took is no part of the run */
    }

    spec_own_life(spec)->kill_mode = KILL_MODE_PROCESS;
    reach(SVC_RUNNING);
    exits_code(1);
    is(SVC_BACKOFF, "R");
    ck_assert_int_eq(svc.group, 0);
}
END_TEST

START_TEST(leftovers_of_a_stop)
{
    static const struct {
        enum kill_mode mode;
        const char *stop;
        const char *count;
        const char *late;
    } table[] = {{KILL_MODE_GROUP, "R G15", "W", "R G9"},
                 {KILL_MODE_CGROUP, "R G15", "W", "R G9"},
                 {KILL_MODE_MIXED, "R M15", "R G9 W", "R G9"}};

    for (size_t i = 0; i < LEN(table); i++) {
        spec_own_life(spec)->kill_mode = table[i].mode;
        reach(SVC_RUNNING);
        step(SVC_EV_STOP);
        is(SVC_STOPPING, table[i].stop);
        exits_code(0);
        is(SVC_STOPPING, "R C");
        group(1);
        is(SVC_STOPPING, table[i].count);
        deadline();
        is(SVC_STOPPING, table[i].late);
        group(0);
        is(SVC_STOPPED, "R");
        ck_assert_str_eq(svc.rare.reason, "stopped by command");
    }

    spec_own_life(spec)->kill_mode = KILL_MODE_PROCESS;
    reach(SVC_RUNNING);
    step(SVC_EV_STOP);
    is(SVC_STOPPING, "R M15");
    deadline();
    is(SVC_STOPPING, "R M9");
    dies(SIGKILL);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(commands_while_leftovers_are_ended)
{
    reach(SVC_RUNNING);
    exits_code(1);
    group(1);
    step(SVC_EV_START);
    is(SVC_STOPPING, "R");
    group(0);
    is(SVC_WAITING, "R Q");

    reach(SVC_RUNNING);
    exits_code(1);
    group(1);
    step(SVC_EV_STOP);
    is(SVC_STOPPING, "R");
    group(0);
    is(SVC_STOPPED, "R");

    /* Between the end and the count. */
    reach(SVC_RUNNING);
    exits_code(1);
    step(SVC_EV_STOP);
    is(SVC_STOPPING, "R G15");
    group(0);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(events_of_another_life_change_nothing)
{
    static const enum svc_event_type of_a_life[] = {SVC_EV_FORKED,  SVC_EV_FORK_FAILED, SVC_EV_EXECED,
                                                    SVC_EV_ADOPTED, SVC_EV_EXITED,      SVC_EV_GROUP};

    for (int state = 0; state < SVC_N_STATES; state++) {
        for (size_t i = 0; i < 2 * LEN(of_a_life); i++) {
            reach((enum svc_state)state);
            svc.life += 5;
            struct svc before;
            memcpy(&before, &svc, sizeof svc); /* its padding too */
            struct svc_event late = {
                .type = of_a_life[i / 2], .life = i % 2 ? svc.life - 1 : svc.life + 1, .pid = 1, .text = "late"};
            svc_step(&svc, spec, &late, now, &rng, &actions);
            ck_assert_mem_eq(&svc, &before, sizeof svc);
            ck_assert_uint_eq(actions.n, 0);
        }
    }
}
END_TEST

START_TEST(an_end_counts_once)
{
    reach(SVC_RUNNING);
    exits_code(1);
    struct svc before;
    memcpy(&before, &svc, sizeof svc); /* its padding too */
    exits_code(0);
    is(SVC_RUNNING, "");
    ck_assert_mem_eq(&svc, &before, sizeof svc);
    group(0);
    memcpy(&before, &svc, sizeof svc);
    group(4);
    ck_assert_mem_eq(&svc, &before, sizeof svc);
}
END_TEST

START_TEST(shutdown_brings_nothing_back)
{
    reach(SVC_RUNNING);
    step(SVC_EV_RESTART);
    step(SVC_EV_SHUTDOWN);
    dies(SIGTERM);
    group(0);
    is(SVC_STOPPED, "R");
    ck_assert_str_eq(svc.rare.reason, "supd is shutting down");
    ck_assert(svc.desired_up);
    step(SVC_EV_START);
    is(SVC_STOPPED, "R");

    reach(SVC_RUNNING);
    exits_code(1);
    group(2);
    step(SVC_EV_SHUTDOWN);
    step(SVC_EV_HURRY);
    is(SVC_STOPPING, "R G9");
    group(0);
    is(SVC_STOPPED, "R");

    reach(SVC_STARTING);
    deadline();
    step(SVC_EV_SHUTDOWN);
    dies(SIGKILL);
    group(0);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(a_new_way_to_stop_reaches_the_running_process)
{
    struct svc_stop_params stop = {.signal = SIGINT, .kill_mode = KILL_MODE_PROCESS, .timeout = 0};

    reach(SVC_RUNNING);
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = stop});
    is(SVC_RUNNING, "R");
    step(SVC_EV_STOP);
    is(SVC_STOPPING, "R M2");
    ck_assert_int_eq(svc.deadline, now.mono);
    step(SVC_EV_DEADLINE);
    is(SVC_STOPPING, "R M9");

    reach(SVC_BACKOFF);
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = stop});
    is(SVC_BACKOFF, "");
}
END_TEST

START_TEST(endless_timeouts_do_not_overflow)
{
    spec_own_life(spec)->stop_timeout = INT64_MAX;
    spec_own_life(spec)->start_timeout = INT64_MAX;
    spec_own_life(spec)->restart_delay = spec_own_life(spec)->restart_delay_max = INT64_MAX;
    reach(SVC_STARTING);
    ck_assert_int_eq(svc.deadline, INT64_MAX);
    reach(SVC_STOPPING);
    step(SVC_EV_DEADLINE);
    is(SVC_STOPPING, "");
    reach(SVC_BACKOFF);
    step(SVC_EV_DEADLINE);
    is(SVC_BACKOFF, "");
}
END_TEST

START_TEST(adopted_process_goes_on)
{
    reach(SVC_STARTING);
    struct timestamp started = svc.started;
    pass(USEC_PER_SEC);
    step(SVC_EV_ADOPTED);
    is(SVC_RUNNING, "");
    ck_assert(svc.adopted);
    ck_assert_int_eq(svc.deadline, 0);
    ck_assert_int_eq(svc.since.mono, started.mono);
    step(SVC_EV_BOOT);
    is(SVC_RUNNING, "");

    reach(SVC_STOPPING);
    int64_t due = svc.deadline;
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    is(SVC_STOPPING, "");
    ck_assert_int_eq(svc.deadline, due);
}
END_TEST

/* What a new supd finds: no process, the state as it was. */
START_TEST(boot_in_every_state)
{
    static const struct {
        enum svc_state after;
        const char *acts;
    } table[SVC_N_STATES] = {
        [SVC_STOPPED] = {SVC_STOPPED, ""},     [SVC_WAITING] = {SVC_WAITING, "R Q"},
        [SVC_STARTING] = {SVC_WAITING, "R Q"}, [SVC_RUNNING] = {SVC_WAITING, "R Q"},
        [SVC_STOPPING] = {SVC_STOPPED, "R"},   [SVC_BACKOFF] = {SVC_BACKOFF, ""},
        [SVC_EXITED] = {SVC_EXITED, ""},       [SVC_FAILED] = {SVC_FAILED, ""},
    };

    for (int state = 0; state < SVC_N_STATES; state++) {
        reach((enum svc_state)state);
        memset(&svc.proc, 0, sizeof svc.proc);
        svc.group = 0;
        int64_t due = svc.deadline;
        step(SVC_EV_BOOT);
        is(table[state].after, table[state].acts);
        if (svc.state == SVC_BACKOFF)
            ck_assert_int_eq(svc.deadline, due);
    }
    reach(SVC_STOPPED);
    svc.desired_up = true;
    step(SVC_EV_BOOT);
    is(SVC_WAITING, "R Q");
}
END_TEST

START_TEST(boot_looks_for_the_leftovers_of_a_recorded_end)
{
    reach(SVC_RUNNING);
    exits_code(1);
    step(SVC_EV_BOOT);
    is(SVC_RUNNING, "C");
    group(1);
    is(SVC_STOPPING, "R G15 W");

    reach(SVC_STOPPING);
    exits_code(1);
    step(SVC_EV_BOOT);
    is(SVC_STOPPING, "C");
    group(0);
    is(SVC_STOPPED, "R");
}
END_TEST

START_TEST(oom_kill_is_told_with_its_limit)
{
    spec_own_cgroup(spec)->memory_max = (struct cgroup_limit){.set = true, .value = 64 << 20};
    reach(SVC_RUNNING);
    exits((struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = SIGKILL, .oom = true});
    group(0);
    is(SVC_BACKOFF, "R");
    ck_assert_str_eq(svc.rare.reason, "killed by the OOM killer: memory-max 64M");
    spec_own_cgroup(spec)->memory_max.set = false;
    reach(SVC_RUNNING);
    exits((struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = SIGKILL, .oom = true});
    ck_assert_str_eq(svc.rare.reason, "killed by the OOM killer");
}
END_TEST

START_TEST(status_of_one_that_ended)
{
    static const struct {
        enum svc_state state;
        struct exit_info exit;
        enum svc_result result;
        int status;
    } table[] = {
        {SVC_EXITED, {.how = EXIT_HOW_EXITED}, RESULT_NONE, 0},
        {SVC_EXITED, {.how = EXIT_HOW_EXITED, .code = 5}, RESULT_NONE, 5},
        {SVC_EXITED, {.how = EXIT_HOW_SIGNALED, .signal = SIGTERM}, RESULT_NONE, 143},
        {SVC_FAILED, {.how = EXIT_HOW_EXITED, .code = 255}, RESULT_NONE, 255},
        {SVC_FAILED, {.how = EXIT_HOW_SIGNALED, .signal = SIGKILL}, RESULT_NONE, 137},
        /* A failure is never told as a success. */
        {SVC_FAILED, {.how = EXIT_HOW_EXITED}, RESULT_NONE, 1},
        {SVC_FAILED, {.how = EXIT_HOW_UNKNOWN}, RESULT_NONE, 1},
        {SVC_FAILED, {.how = EXIT_HOW_NONE}, RESULT_NONE, 1},
        /* The exit is that of another life, or of a process that was stopped. */
        {SVC_FAILED, {.how = EXIT_HOW_EXITED}, RESULT_TIMEOUT, 1},
        {SVC_FAILED, {.how = EXIT_HOW_EXITED, .code = 5}, RESULT_EXIT_CODE, 1},
    };

    for (size_t i = 0; i < LEN(table); i++) {
        struct svc one = {.state = table[i].state, .exit = table[i].exit, .result = table[i].result};

        ck_assert_int_eq(svc_exit_status(&one), table[i].status);
    }
}
END_TEST

START_TEST(ends_in_words)
{
    static const struct {
        struct exit_info exit;
        const char *words;
    } table[] = {
        {{.how = EXIT_HOW_NONE}, "has not run"},
        {{.how = EXIT_HOW_EXITED, .code = 3}, "exit 3"},
        {{.how = EXIT_HOW_SIGNALED, .signal = SIGSEGV, .core = true}, "killed by SEGV (core dumped)"},
        {{.how = EXIT_HOW_SIGNALED, .signal = SIGKILL}, "killed by KILL"},
        {{.how = EXIT_HOW_SIGNALED, .signal = SIGKILL, .oom = true}, "killed by the OOM killer"},
        {{.how = EXIT_HOW_UNKNOWN}, "ended, status unknown"},
    };
    char buf[64];

    for (size_t i = 0; i < LEN(table); i++)
        ck_assert_str_eq(svc_exit_words(&table[i].exit, buf, sizeof buf), table[i].words);
}
END_TEST

START_TEST(overlong_reason_is_cut)
{
    char text[2 * SVC_REASON_MAX];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    spec_own_life(spec)->restart_limit = 1;
    reach(SVC_STARTING);
    fails_before_exec(text);
    is(SVC_FAILED, "R");
    ck_assert_uint_lt(strlen(svc.rare.reason), SVC_REASON_MAX);
}
END_TEST

/* Kept and put in place of one another, in and out of each room, they stay what they were. */
START_TEST(states_are_kept_with_every_reason)
{
    static const size_t lengths[] = {0, 1, 7, 8, 23, 24, 25, 71, 72, 73, 254, 255, 0, 255, 24, 23, 1};
    const struct svc *kept = NULL;
    const struct svc *other = svc_keep(NULL, &svc);

    for (size_t i = 0; i < LEN(lengths); i++) {
        memset(svc.rare.reason, (int)('a' + i), sizeof svc.rare.reason);
        svc.rare.reason[lengths[i]] = '\0';
        svc.life = i;
        svc.stop_held = i % 2 != 0;
        svc.exit.at = (int64_t)i;
        kept = svc_keep(kept, &svc);

        struct svc again = svc_kept(kept);
        ck_assert_str_eq(svc_rare(kept)->reason, svc.rare.reason);
        ck_assert_str_eq(again.rare.reason, svc.rare.reason);
        ck_assert_mem_eq(&again, &svc, offsetof(struct svc, rare.reason));
    }
    ck_assert(svc_rare(other)->reason[0] == '\0' && other->life == 0);
    svc_keep_free(kept);
    svc_keep_free(other);
}
END_TEST

/* Each member that is kept only where it says something, alone. */
static const struct svc_rare rare[] = {
    {.due.mono = 1},       {.due.wall = 1},        {.demands_since = 1},
    {.reload_asked = 1},   {.watchdog = 1},        {.watchdog_at = 1},
    {.control.role = 1},   {.control.exit.at = 1}, {.health.state = HEALTH_STARTING},
    {.health.counted = 1}, {.check.role = 1},      {.check.inode = 1},
    {.demands = 1},        {.controls = 1},        {.checks = 1},
    {.reason = "why"},
};

/* One that says nothing there is kept without them, and they are read as zero; it takes no more room than that. */
START_TEST(a_kept_one_is_cut_where_nothing_is_said)
{
    static const struct svc plain = {.state = SVC_RUNNING, .life = 7, .exit.at = 9, .group_start = 3};
    struct svc said = plain;
    const struct svc *kept = svc_keep(NULL, &said);

    ck_assert(kept->cut);
    ck_assert_ptr_eq(svc_rare(kept), &svc_rare_none);
    said.rare = rare[_i];
    kept = svc_keep(kept, &said);
    ck_assert(!kept->cut && svc_rare(kept) == &kept->rare);
    ck_assert_mem_eq(&kept->rare, &said.rare, offsetof(struct svc_rare, reason));
    ck_assert_str_eq(kept->rare.reason, said.rare.reason);

    kept = svc_keep(kept, &plain);
    struct svc again = svc_kept(kept);
    ck_assert(kept->cut && !again.cut);
    ck_assert_mem_eq(&again, &plain, offsetof(struct svc, rare.reason) + 1);
    svc_keep_free(kept);
}
END_TEST

/* What is asked of a service may be asked of a cut one: it has no control process, no check, no reason. */
START_TEST(a_cut_one_answers)
{
    const struct svc *kept =
        svc_keep(NULL, &(struct svc){.state = SVC_RUNNING, .life = 1, .proc.pid = 11, .group = 11});
    char buf[SVC_REASON_WORDS_MAX];

    ck_assert(kept->cut);
    ck_assert(svc_has_process(kept) && svc_is_busy(kept) && !svc_is_queued(kept));
    ck_assert(!svc_has_control(kept) && !svc_has_check(kept) && !svc_alarm_is_due(kept) && !svc_awaits_ready(kept));
    ck_assert(!svc_is_reloading(kept));
    ck_assert_ptr_null(svc_reason_words(kept, buf, sizeof buf));
    svc_keep_free(kept);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("service");
    TCase *tc = tcase_create("service");

    tcase_add_checked_fixture(tc, setup_service, teardown_service);
    tcase_add_test(tc, every_command_in_every_state);
    tcase_add_test(tc, a_run_from_start_to_backoff_and_back);
    tcase_add_test(tc, start_known_at_the_fork);
    tcase_add_test(tc, stable_run_is_started_again_at_once);
    tcase_add_test(tc, a_start_by_command_is_no_automatic_restart);
    tcase_add_test(tc, limit_ends_in_failed_with_the_last_reason);
    tcase_add_test(tc, stop_waits_for_other_services);
    tcase_add_test(tc, start_is_called_off);
    tcase_add_test(tc, start_during_a_stop_is_not_lost);
    tcase_add_test(tc, stop_before_the_exec);
    tcase_add_test(tc, restart_is_a_stop_while_up_is_wanted);
    tcase_add_test(tc, stop_timeout_kills_and_kills_again);
    tcase_add_test(tc, start_timeout_kills_what_hangs_before_its_exec);
    tcase_add_test(tc, failure_before_the_exec);
    tcase_add_test(tc, fork_failure_keeps_the_last_exit);
    tcase_add_test(tc, death_by_signal_before_the_exec_was_confirmed);
    tcase_add_test(tc, leftovers_of_an_unasked_end);
    tcase_add_test(tc, leftovers_of_a_stop);
    tcase_add_test(tc, commands_while_leftovers_are_ended);
    tcase_add_test(tc, events_of_another_life_change_nothing);
    tcase_add_test(tc, an_end_counts_once);
    tcase_add_test(tc, shutdown_brings_nothing_back);
    tcase_add_test(tc, a_new_way_to_stop_reaches_the_running_process);
    tcase_add_test(tc, endless_timeouts_do_not_overflow);
    tcase_add_test(tc, adopted_process_goes_on);
    tcase_add_test(tc, boot_in_every_state);
    tcase_add_test(tc, boot_looks_for_the_leftovers_of_a_recorded_end);
    tcase_add_test(tc, oom_kill_is_told_with_its_limit);
    tcase_add_test(tc, status_of_one_that_ended);
    tcase_add_test(tc, ends_in_words);
    tcase_add_test(tc, overlong_reason_is_cut);
    tcase_add_test(tc, states_are_kept_with_every_reason);
    tcase_add_loop_test(tc, a_kept_one_is_cut_where_nothing_is_said, 0, LEN(rare));
    tcase_add_test(tc, a_cut_one_answers);
    suite_add_tcase(suite, tc);
    return suite;
}
