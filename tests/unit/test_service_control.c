/* SPDX-License-Identifier: MIT */
/* Types of services and their control processes, step by step. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit/control_service.h"

START_TEST(a_life_with_every_hook)
{
    all_hooks();
    start();
    control_runs(ROLE_PRE_START);
    ck_assert_int_eq(svc.state, SVC_STARTING);
    ck_assert(!svc_has_process(&svc));
    control_exits(0);
    main_runs();
    ck_assert_int_eq(svc.state, SVC_STARTING);
    control_runs(ROLE_POST_START);
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert_int_eq(svc.deadline, 0);
    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    control_exits(0);
    step(SVC_EV_STOP);
    ck_assert(acted(ACT_RECORD) && !acted(ACT_SIGNAL_GROUP));
    control_runs(ROLE_STOP);
    control_exits(0);
    ck_assert(acted(ACT_RECORD) && acted(ACT_SIGNAL_GROUP));
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    control_runs(ROLE_POST_STOP);
    control_exits(1);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
    ck_assert(!svc_is_busy(&svc));
    ck_assert_uint_eq(svc.life, 1);
    ck_assert_uint_eq(svc.rare.controls, 5);
}
END_TEST

START_TEST(pre_start_fails)
{
    all_hooks();
    spec_own_life(spec)->restart = RESTART_ALWAYS;
    start();
    control_runs(ROLE_PRE_START);
    control_exits(3);
    ck_assert_str_eq(svc.rare.reason, "pre-start: exit 3");
    control_runs(ROLE_POST_STOP);
    ck_assert_str_eq(svc_result_name(&svc, spec), "exit-code");
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert_uint_eq(svc.row, 1);
    ck_assert_int_eq(svc.exit.how, EXIT_HOW_NONE);

    free(spec->around->pre_start[0]);
    spec->around->pre_start[0] = xstrdup("-/bin/pre");
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    control_runs(ROLE_PRE_START);
    control_exits(3);
    main_runs();
    ck_assert(svc_has_process(&svc));
}
END_TEST

START_TEST(what_a_hook_leaves_is_killed_first)
{
    all_hooks();
    start();
    control_runs(ROLE_PRE_START);
    feed((struct svc_event){.type = SVC_EV_CONTROL_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    feed((struct svc_event){.type = SVC_EV_CONTROL_GROUP, .group_left = 2});
    ck_assert(acted(ACT_SIGNAL_CONTROL) && acted(ACT_WATCH_CONTROL));
    ck_assert_int_eq(actions.items[0].signal, SIGKILL);
    ck_assert(!svc_is_queued(&svc));
    step(SVC_EV_CONTROL_GROUP);
    ck_assert(svc_is_queued(&svc));
}
END_TEST

START_TEST(news_of_another_control_process_change_nothing)
{
    struct svc before;

    all_hooks();
    start();
    control_runs(ROLE_PRE_START);
    memcpy(&before, &svc, sizeof svc);
    struct svc_event late = {.type = SVC_EV_CONTROL_EXITED, .life = svc.life, .control = svc.rare.control.number + 1};
    svc_step(&svc, spec, &late, now, &rng, &actions);
    ck_assert_mem_eq(&before, &svc, sizeof svc);
    late.control = svc.rare.control.number;
    late.life--;
    svc_step(&svc, spec, &late, now, &rng, &actions);
    ck_assert_mem_eq(&before, &svc, sizeof svc);
}
END_TEST

START_TEST(oneshot)
{
    spec->type = TYPE_ONESHOT;
    spec_type_defaults(spec, false, false);
    start();
    main_runs();
    ck_assert_int_eq(svc.state, SVC_STARTING);
    ck_assert_int_eq(svc.deadline, 0);
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_EXITED);

    spec->remain_after_exit = true;
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    main_runs();
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert(acted(ACT_RECORD));
    step(SVC_EV_BOOT); /* a later supd does not do it again */
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    step(SVC_EV_STOP);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    main_runs();
    main_exits(1);
    ck_assert_int_eq(svc.state, SVC_FAILED);
}
END_TEST

START_TEST(forking)
{
    spec->type = TYPE_FORKING;
    start();
    control_runs(ROLE_START);
    control_exits(0);
    ck_assert(acted(ACT_FIND_MAIN));
    ck_assert_int_eq(svc.group, PID + 1);
    feed((struct svc_event){.type = SVC_EV_MAIN_FOUND, .pid = 99, .start_ticks = 5, .group = 98, .group_start = 1});
    ck_assert(acted(ACT_RECORD));
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert_int_eq(svc.proc.pid, 99);
    main_exits(0);
    ck_assert(acted(ACT_REMOVE_PID_FILE));
    ck_assert_int_ne(svc.state, SVC_RUNNING);

    svc.state = SVC_STOPPED;
    step(SVC_EV_START);
    step(SVC_EV_SLOT);
    control_runs(ROLE_START);
    control_exits(0);
    feed((struct svc_event){.type = SVC_EV_MAIN_MISSING, .text = "nobody"});
    ck_assert_int_eq(svc.state, SVC_STOPPING); /* what the command has left is counted, and ended */
    ck_assert(acted(ACT_CHECK_GROUP));
    step(SVC_EV_GROUP);
    ck_assert_str_eq(svc.rare.reason, "nobody");
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
}
END_TEST

START_TEST(a_time_out_of_stop_command)
{
    all_hooks();
    start();
    control_runs(ROLE_PRE_START);
    control_exits(0);
    main_runs();
    control_runs(ROLE_POST_START);
    control_exits(0);
    step(SVC_EV_STOP);
    control_runs(ROLE_STOP);
    deadline();
    ck_assert(acted(ACT_SIGNAL_GROUP) && acted(ACT_SIGNAL_CONTROL));
    ck_assert_int_eq(svc.stop_phase, STOP_SIGNALLED);
    control_exits(1);
    ck_assert(!acted(ACT_SIGNAL_GROUP)); /* not once more */
    ck_assert_int_eq(svc.stop_phase, STOP_SIGNALLED);
    deadline();
    ck_assert_int_eq(svc.stop_phase, STOP_KILLED);
}
END_TEST

START_TEST(reload_is_refused)
{
    start();
    main_runs();
    ck_assert_ptr_nonnull(strstr(svc_refuses_reload(&svc, spec), "neither"));
    spec_own_life(spec)->reload_signal = SIGHUP;
    ck_assert_ptr_null(svc_refuses_reload(&svc, spec));
    step(SVC_EV_RELOAD);
    ck_assert(acted(ACT_RELOAD_SIGNAL));
    step(SVC_EV_STOP);
    ck_assert_ptr_nonnull(strstr(svc_refuses_reload(&svc, spec), "not running"));
}
END_TEST

/* ---- readiness ---- */

static void set(const char *key, const char *value)
{
    char *values[] = {(char *)value, NULL};
    char err[256];

    ck_assert_msg(spec_set(spec, spec_key_find(key), values, 1, false, err, sizeof err), "%s", err);
}

START_TEST(main_process_moves)
{
    struct svc_event moved = {.type = SVC_EV_MAIN_MOVED, .pid = PID + 5, .start_ticks = 66, .inode = 7};

    feed(moved); /* before there is any */
    ck_assert_int_eq(svc.proc.pid, 0);
    start();
    main_runs();
    feed(moved);
    ck_assert(acted(ACT_RECORD));
    ck_assert(svc.proc.pid == PID + 5 && svc.proc.start_ticks == 66 && svc.proc.inode == 7);
    ck_assert(svc.moved && svc_main_is_found(&svc));
    ck_assert_int_eq(svc.group, PID);
    ck_assert_int_eq(svc.state, SVC_RUNNING);

    /* Back to the first one. */
    moved.pid = PID;
    moved.start_ticks = 55;
    feed(moved);
    ck_assert(!svc.moved && svc.proc.pid == PID);
    step(SVC_EV_STOP);
    moved.pid = 99;
    feed(moved);
    ck_assert_int_eq(svc.proc.pid, PID);
}
END_TEST

static void runs_and_tells_of_reloads(void)
{
    set("ready", "notify-reload");
    start();
    main_runs();
    step(SVC_EV_READY);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}

START_TEST(reload_is_over_when_it_says_so)
{
    runs_and_tells_of_reloads();
    ck_assert_int_eq(spec_reload_signal(spec), SIGHUP);
    step(SVC_EV_RELOAD);
    ck_assert(acted(ACT_RECORD) && acted(ACT_RELOAD_SIGNAL) && svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->start_timeout);
    ck_assert_ptr_nonnull(strstr(svc_refuses_reload(&svc, spec), "already"));

    /* What it says of a reload before that one is not meant. */
    feed((struct svc_event){.type = SVC_EV_RELOADING, .usec = now.mono - 1});
    step(SVC_EV_READY);
    ck_assert(svc_is_reloading(&svc));
    feed((struct svc_event){.type = SVC_EV_RELOADING, .usec = now.mono});
    ck_assert(acted(ACT_RECORD) && svc_is_reloading(&svc));
    int64_t deadline = svc.deadline;
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = 2 * spec->life->start_timeout});
    ck_assert_int_gt(svc.deadline, deadline);
    step(SVC_EV_READY);
    ck_assert(acted(ACT_RECORD) && !svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, 0);
    ck_assert_str_eq(svc.rare.reason, "");
    ck_assert_int_eq(svc.told, TOLD_NOTHING);
}
END_TEST

START_TEST(reload_in_vain)
{
    static const char *const missing[] = {"RELOADING=1", "READY=1"};

    runs_and_tells_of_reloads();
    for (size_t i = 0; i < 2; i++) {
        step(SVC_EV_RELOAD);
        if (i == 1)
            step(SVC_EV_RELOADING);
        now.mono = svc.deadline;
        step(SVC_EV_DEADLINE);
        ck_assert(acted(ACT_RECORD) && !svc_is_reloading(&svc));
        ck_assert_ptr_nonnull(strstr(svc.rare.reason, missing[i]));
        ck_assert_int_eq(svc.state, SVC_RUNNING);
        ck_assert_int_eq(svc.deadline, 0);
    }
    /* Its answer may have been lost. */
    step(SVC_EV_RELOAD);
    step(SVC_EV_UNHEARD);
    ck_assert(acted(ACT_RECORD) && !svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, 0);
}
END_TEST

START_TEST(reload_command_and_what_it_tells)
{
    spec_own_around(spec)->reload_command = hook("/bin/reload");
    runs_and_tells_of_reloads();
    ck_assert_int_eq(spec_reload_signal(spec), 0);

    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    step(SVC_EV_RELOADING);
    control_exits(0);
    ck_assert(svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, now.mono + spec->life->start_timeout);
    step(SVC_EV_READY);
    ck_assert(!svc_is_reloading(&svc));

    /* It may be over before the command is. */
    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    step(SVC_EV_RELOADING);
    step(SVC_EV_READY);
    ck_assert(svc_is_reloading(&svc));
    control_exits(0);
    ck_assert(!svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, 0);

    /* Where the command fails, nothing more comes. */
    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    control_exits(1);
    ck_assert(!svc_is_reloading(&svc));
    ck_assert_int_eq(svc.deadline, 0);

    /* A service that need not tell is waited for where it does. */
    set("ready", "notify");
    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    step(SVC_EV_RELOADING);
    control_exits(0);
    ck_assert(svc_is_reloading(&svc));
    step(SVC_EV_READY);
    ck_assert(!svc_is_reloading(&svc));
}
END_TEST

static void starts_with(const char *ready)
{
    set("ready", ready);
    start();
    main_runs();
    ck_assert(svc_awaits_ready(&svc));
    ck_assert_int_eq(svc.state, SVC_STARTING);
}

START_TEST(ready_comes_before_post_start)
{
    all_hooks();
    set("ready", "notify");
    start();
    control_runs(ROLE_PRE_START);
    step(SVC_EV_READY); /* before there is anybody to be ready */
    ck_assert(svc.todo & TODO_READY);
    control_exits(0);
    main_runs();
    ck_assert(svc_awaits_ready(&svc));
    ck_assert_int_ne(svc.deadline, 0);
    step(SVC_EV_READY);
    ck_assert(acted(ACT_RECORD));
    control_runs(ROLE_POST_START);
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert_int_eq(svc.deadline, 0);
}
END_TEST

START_TEST(ready_may_be_heard_before_the_exec)
{
    set("ready", "notify");
    start();
    feed((struct svc_event){.type = SVC_EV_FORKED, .pid = PID, .stop = svc_stop_params(spec)});
    step(SVC_EV_READY);
    ck_assert_int_eq(svc.state, SVC_STARTING);
    feed((struct svc_event){.type = SVC_EV_EXECED, .start_ticks = 55});
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}
END_TEST

START_TEST(ready_of_another_life_changes_nothing)
{
    starts_with("notify");
    svc_step(&svc, spec, &(struct svc_event){.type = SVC_EV_READY, .life = svc.life - 1}, now, &rng, &actions);
    ck_assert(svc_awaits_ready(&svc));
}
END_TEST

START_TEST(ready_in_vain)
{
    spec_own_life(spec)->restart = RESTART_NO;
    starts_with("port:127.0.0.1:80");
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    ck_assert_str_eq(svc.rare.reason, "start timed out after 1m30s: waited in vain for 127.0.0.1:80 to accept");
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_FAILED);
}
END_TEST

START_TEST(ended_before_it_was_ready)
{
    spec_own_life(spec)->restart = RESTART_ON_FAILURE;
    starts_with("notify");
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert_str_eq(svc.rare.reason, "exit 0 before it was ready");
    ck_assert_str_eq(svc_result_name(&svc, spec), "protocol");
}
END_TEST

START_TEST(ready_after_a_while)
{
    starts_with("after 5s");
    ck_assert_int_eq(svc.deadline, svc.started.mono + 5 * USEC_PER_SEC);
    /* A supd that comes back counts from the start. */
    now.mono += 7 * USEC_PER_SEC;
    step(SVC_EV_ADOPTED);
    ck_assert_int_eq(svc.deadline, now.mono);
    step(SVC_EV_DEADLINE);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}
END_TEST

START_TEST(ready_may_have_been_lost)
{
    set("start-timeout", "0");
    starts_with("notify");
    ck_assert_int_eq(svc.deadline, 0);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_UNHEARD);
    ck_assert(acted(ACT_RECORD));
    ck_assert_int_gt(svc.deadline, now.mono); /* not for ever, */
    step(SVC_EV_UNHEARD);
    ck_assert_int_eq(actions.n, 0);
    /* Nor when supd dies once more, or the configuration is another. */
    step(SVC_EV_ADOPTED);
    ck_assert_int_gt(svc.deadline, now.mono);
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec)});
    ck_assert_int_gt(svc.deadline, now.mono);
    now.mono = svc.deadline;
    step(SVC_EV_DEADLINE); /* and not ended */
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert(!svc.ready_lost);

    /* What it is taken for also holds for its end: nobody knows that it was not ready. */
    step(SVC_EV_UNHEARD);
    ck_assert(!svc.ready_lost);
}
END_TEST

START_TEST(ready_is_another_by_a_new_configuration)
{
    starts_with("notify");
    set("ready", "exec");
    feed((struct svc_event){.type = SVC_EV_CONFIG, .stop = svc_stop_params(spec)});
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}
END_TEST

START_TEST(what_it_tells)
{
    starts_with("notify");
    step(SVC_EV_RELOADING); /* what is not up does not reload */
    ck_assert_int_eq(svc.told, TOLD_NOTHING);
    int64_t deadline = svc.deadline;
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = USEC_PER_SEC});
    ck_assert_int_eq(svc.deadline, deadline);
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = INT64_MAX});
    ck_assert_int_eq(svc.deadline, INT64_MAX);
    step(SVC_EV_READY);
    ck_assert_int_eq(svc.deadline, 0);
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = USEC_PER_SEC});
    ck_assert_int_eq(svc.deadline, 0);

    step(SVC_EV_RELOADING);
    ck_assert(acted(ACT_RECORD) && svc.told == TOLD_RELOADING);
    step(SVC_EV_READY);
    ck_assert(acted(ACT_RECORD) && svc.told == TOLD_NOTHING);
    step(SVC_EV_READY);
    ck_assert_int_eq(actions.n, 0);
    step(SVC_EV_STOPPING);
    ck_assert_int_eq(svc.told, TOLD_STOPPING);

    step(SVC_EV_STOP);
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = 60 * USEC_PER_SEC});
    ck_assert_int_eq(svc.deadline, now.mono + 60 * USEC_PER_SEC);
    step(SVC_EV_HURRY);
    deadline = svc.deadline;
    feed((struct svc_event){.type = SVC_EV_EXTEND, .usec = 60 * USEC_PER_SEC});
    ck_assert_int_eq(svc.deadline, deadline);
}
END_TEST

static void told_to_end(const char *reason)
{
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    ck_assert_str_eq(svc.rare.reason, reason);
    ck_assert(acted(ACT_RECORD) && acted(ACT_SIGNAL_GROUP));
    ck_assert_int_eq(actions.items[actions.n - 1].signal, SIGABRT);
    ck_assert_str_eq(svc_result_name(&svc, spec), "watchdog");
}

/* Once nothing may take any time any more, what comes after the end of a service does not begin. */
START_TEST(hurried_past_post_stop)
{
    spec_own_around(spec)->post_stop = hook("/bin/end");
    start();
    main_runs();
    step(SVC_EV_SHUTDOWN);
    step(SVC_EV_HURRY);
    ck_assert(acted(ACT_SIGNAL_GROUP));
    main_exits(0);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
    ck_assert(!acted(ACT_FORK_CONTROL));
}
END_TEST

START_TEST(watchdog)
{
    set("watchdog", "10s");
    spec_own_life(spec)->restart = RESTART_ON_ABNORMAL;
    starts_with("notify");
    ck_assert_int_eq(svc.rare.watchdog_at, 0); /* not before it is ready */
    step(SVC_EV_ALIVE);
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    step(SVC_EV_READY);
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + 10 * USEC_PER_SEC);
    now.mono += 9 * USEC_PER_SEC;
    step(SVC_EV_ALIVE);
    ck_assert_int_eq(actions.n, 0); /* nothing is written for that */
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + 10 * USEC_PER_SEC);
    now.mono = svc.rare.watchdog_at - 1;
    step(SVC_EV_WATCHDOG);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    now.mono++;
    step(SVC_EV_WATCHDOG);
    told_to_end("watchdog: no sign of life for 10s");
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    main_exits(0); /* success does not make up for it */
    ck_assert_int_eq(svc.state, SVC_BACKOFF);
    ck_assert_str_eq(svc.rare.reason, "watchdog: no sign of life for 10s");
}
END_TEST

START_TEST(watchdog_by_the_service)
{
    starts_with("notify");
    step(SVC_EV_READY);
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    feed((struct svc_event){.type = SVC_EV_WATCHDOG_USEC, .usec = USEC_PER_SEC});
    ck_assert(acted(ACT_RECORD));
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + USEC_PER_SEC);
    feed((struct svc_event){.type = SVC_EV_WATCHDOG_USEC, .usec = 0});
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    feed((struct svc_event){.type = SVC_EV_WATCHDOG, .text = "because"});
    told_to_end("watchdog: because");
}
END_TEST

START_TEST(watchdog_after_a_crash)
{
    set("watchdog", "10s");
    start();
    main_runs();
    ck_assert(acted(ACT_RECORD)); /* how often, since the configuration may be another then */
    svc.rare.watchdog_at = 0;     /* is not recorded */
    now.mono += 3600 * USEC_PER_SEC;
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + 10 * USEC_PER_SEC); /* nobody could listen before */
    step(SVC_EV_UNHEARD);
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    step(SVC_EV_ALIVE);
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + 10 * USEC_PER_SEC);
}
END_TEST

/* Only the child's own record was read. */
START_TEST(watchdog_is_that_of_the_process)
{
    start();
    main_runs();
    set("watchdog", "10s");
    svc.rare.watchdog = SVC_WATCHDOG_UNKNOWN;
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.rare.watchdog, 0); /* it was started with another configuration */
    ck_assert_int_eq(svc.rare.watchdog_at, 0);
    svc.rare.watchdog = SVC_WATCHDOG_UNKNOWN;
    svc.proc.digest = spec_process_digest(spec);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.rare.watchdog_at, now.mono + 10 * USEC_PER_SEC);
}
END_TEST

START_TEST(ready_does_not_go_with_everything)
{
    static const struct {
        const char *keys[4], *word;
    } cases[] = {
        {{"type", "oneshot", "ready", "notify"}, "oneshot"},
        {{"type", "forking", "ready", "notify"}, "ready = notify goes with type = simple"},
        {{"type", "forking", "ready", "fd:3"}, "ready = fd goes with"},
        {{"type", "forking", "ready", "path:/x"}, NULL},
        {{"notify-access", "none", "ready", "notify"}, "exclude"},
        {{"type", "forking", "watchdog", "5s"}, "watchdog goes with type = simple"},
        {{"notify-access", "none", "watchdog", "5s"}, "exclude"},
        {{"listen", "tcp:*:80", "ready", "fd:3"}, "fd:4"},
        {{"listen", "tcp:*:80", "ready", "fd:4"}, NULL},
        {{"fd-store", "2", "ready", "fd:4"}, "fd:5"},
        {{"fd-store", "2", "ready", "fd:5"}, NULL},
        {{"fd-store", "401", "ready", "exec"}, "LISTEN_FDNAMES"},
        {{"fd-store", "1", "notify-access", "none"}, "fd-store and notify-access"},
        {{"start-timeout", "5s", "ready", "after 5s"}, "start-timeout"},
        {{"start-timeout", "0", "ready", "after 5s"}, NULL},
    };
    char err[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set(cases[i].keys[0], cases[i].keys[1]);
        set(cases[i].keys[2], cases[i].keys[3]);
        bool ok = spec_validate(spec, err, sizeof err);
        ck_assert_msg(ok == (cases[i].word == NULL), "%zu: %s", i, err);
        ck_assert_msg(ok || strstr(err, cases[i].word), "%zu: %s", i, err);
        teardown_service();
        setup_control();
    }
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("service_control");
    TCase *tc = tcase_create("service_control");

    tcase_add_checked_fixture(tc, setup_control, teardown_service);
    tcase_add_test(tc, a_life_with_every_hook);
    tcase_add_test(tc, pre_start_fails);
    tcase_add_test(tc, what_a_hook_leaves_is_killed_first);
    tcase_add_test(tc, news_of_another_control_process_change_nothing);
    tcase_add_test(tc, oneshot);
    tcase_add_test(tc, forking);
    tcase_add_test(tc, a_time_out_of_stop_command);
    tcase_add_test(tc, main_process_moves);
    tcase_add_test(tc, reload_is_over_when_it_says_so);
    tcase_add_test(tc, reload_in_vain);
    tcase_add_test(tc, reload_command_and_what_it_tells);
    tcase_add_test(tc, reload_is_refused);
    tcase_add_test(tc, ready_comes_before_post_start);
    tcase_add_test(tc, ready_may_be_heard_before_the_exec);
    tcase_add_test(tc, ready_of_another_life_changes_nothing);
    tcase_add_test(tc, ready_in_vain);
    tcase_add_test(tc, ended_before_it_was_ready);
    tcase_add_test(tc, ready_after_a_while);
    tcase_add_test(tc, ready_may_have_been_lost);
    tcase_add_test(tc, ready_is_another_by_a_new_configuration);
    tcase_add_test(tc, what_it_tells);
    tcase_add_test(tc, hurried_past_post_stop);
    tcase_add_test(tc, watchdog);
    tcase_add_test(tc, watchdog_by_the_service);
    tcase_add_test(tc, watchdog_after_a_crash);
    tcase_add_test(tc, watchdog_is_that_of_the_process);
    tcase_add_test(tc, ready_does_not_go_with_everything);
    suite_add_tcase(suite, tc);
    return suite;
}
