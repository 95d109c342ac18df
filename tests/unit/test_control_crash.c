/* SPDX-License-Identifier: MIT */
/* What a supd that comes back makes of control processes; what goes wrong while one runs. */
#include <string.h>

#include "core/record.h"
#include "unit/control_service.h"

/* Up, with every hook. */
static void comes_up(void)
{
    start();
    control_runs(ROLE_PRE_START);
    control_exits(0);
    main_runs();
    control_runs(ROLE_POST_START);
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}

/* supd has written what it knows, and dies.  HOOK, unless ROLE_SERVICE: a process that has recorded itself in that role
 * since, as number NUMBER.  What the next one reads. */
static void supd_dies(enum svc_role hook, uint32_t number)
{
    const struct epoch epoch = {.boot_id = "b"};
    uint8_t file[3 * RECORD_MAX];
    size_t len = record_encode_header(file, &epoch);

    len += record_encode_service(file + len, "x", &svc);
    if (hook != ROLE_SERVICE) {
        struct svc later = svc;
        struct svc_stop_params stop = svc_stop_params(spec);

        later.rare.control.number = number;
        size_t n = record_encode_spawn(file + len, hook, "x", &later, 99, &stop, now);
        record_finish_spawn(file + len, n, PID + 1, 77, 0);
        len += n;
    }
    struct replay *replay = replay_new(file, len);
    const struct svc_image *image = replay_find(replay, "x");
    ck_assert_ptr_nonnull(image);
    ck_assert_int_eq(image->has_control, hook != ROLE_SERVICE);
    svc = image->svc;
    replay_free(replay);
}

/* The next supd finds its process gone. */
static void is_not_found(enum svc_event_type type)
{
    feed((struct svc_event){.type = type, .exit.how = EXIT_HOW_UNKNOWN});
}

START_TEST(a_hook_of_the_start_is_not_begun_while_stopping)
{
    all_hooks();
    start();
    control_forked(ROLE_PRE_START);
    step(SVC_EV_STOP);
    supd_dies(ROLE_SERVICE, 0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_PRE_START);
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
}
END_TEST

START_TEST(stop_command_is_begun_again_before_the_stop_signal_only)
{
    all_hooks();
    comes_up();
    step(SVC_EV_STOP);
    control_forked(ROLE_STOP);
    ck_assert_int_ne(svc.deadline, 0);
    supd_dies(ROLE_SERVICE, 0);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert(svc_is_queued(&svc) && acted(ACT_QUEUE));
    ck_assert_int_eq(svc.rare.control.role, ROLE_STOP);
    ck_assert_int_eq(svc.deadline, 0); /* its time begins with its fork */
    control_forked(ROLE_STOP);
    deadline(); /* it hangs before its exec */
    ck_assert_int_eq(svc.stop_phase, STOP_KILLED);
    supd_dies(ROLE_SERVICE, 0);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert(!svc_is_queued(&svc) && !acted(ACT_QUEUE));
    ck_assert_int_eq(svc.rare.control.role, ROLE_SERVICE);
    ck_assert_int_ne(svc.deadline, 0);
}
END_TEST

START_TEST(what_is_left_is_counted_beside_a_hook)
{
    all_hooks();
    comes_up();
    step(SVC_EV_STOP);
    control_forked(ROLE_STOP);
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    feed((struct svc_event){.type = SVC_EV_GROUP, .group_left = 2});
    ck_assert(acted(ACT_WATCH_GROUP));
    supd_dies(ROLE_SERVICE, 0);
    step(SVC_EV_BOOT);
    ck_assert(acted(ACT_CHECK_GROUP) && acted(ACT_QUEUE));
}
END_TEST

START_TEST(a_start_goes_on_in_its_life)
{
    all_hooks();
    start();
    control_runs(ROLE_PRE_START);
    control_exits(0);
    step(SVC_EV_SLOT);
    main_forked();
    supd_dies(ROLE_SERVICE, 0); /* before its record */
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.state, SVC_STARTING);
    ck_assert(svc_is_queued(&svc) && acted(ACT_QUEUE));
    step(SVC_EV_SLOT);
    ck_assert(acted(ACT_FORK));
    ck_assert_uint_eq(svc.life, 1);
    main_forked();
    step(SVC_EV_STOP);
    main_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP); /* pre-start has run in this life */
}
END_TEST

/* The disk was full: supd could not write that it had come so far. */
START_TEST(post_stop_that_only_its_own_record_tells_of)
{
    all_hooks();
    comes_up();
    supd_dies(ROLE_POST_STOP, 3);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    is_not_found(SVC_EV_EXITED);
    step(SVC_EV_GROUP);
    is_not_found(SVC_EV_CONTROL_EXITED);
    ck_assert(acted(ACT_CHECK_CONTROL));
    feed((struct svc_event){.type = SVC_EV_CONTROL_GROUP, .group_left = 1});
    ck_assert(acted(ACT_SIGNAL_CONTROL));
    ck_assert_int_ne(svc.deadline, 0); /* or who hangs would be waited for without end */
    step(SVC_EV_CONTROL_GROUP);
    ck_assert_int_eq(svc.rare.control.role, ROLE_SERVICE); /* not once more */
    ck_assert_int_ne(svc.state, SVC_STOPPING);
}
END_TEST

/* The same of a oneshot: nothing was written behind the end of its main process. */
START_TEST(post_stop_ends_what_a_oneshot_does)
{
    all_hooks();
    spec->type = TYPE_ONESHOT;
    start();
    control_runs(ROLE_PRE_START);
    control_exits(0);
    main_runs();
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    supd_dies(ROLE_POST_STOP, 3);
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert(acted(ACT_CHECK_GROUP));
    step(SVC_EV_GROUP);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
    control_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_SERVICE);
    ck_assert_int_eq(svc.state, SVC_BACKOFF); /* restart = always */
}
END_TEST

START_TEST(stop_command_that_only_its_own_record_tells_of)
{
    all_hooks();
    comes_up();
    supd_dies(ROLE_STOP, 3);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    control_exits(0);
    ck_assert(acted(ACT_SIGNAL_GROUP));
    ck_assert_int_eq(svc.stop_phase, STOP_SIGNALLED);
}
END_TEST

START_TEST(reload_command_that_only_its_own_record_tells_of)
{
    spec_own_around(spec)->reload_command = hook("/bin/reload");
    start();
    main_runs();
    svc.state = SVC_STARTING; /* as it was recorded */
    supd_dies(ROLE_RELOAD, 1);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_RUNNING);
    ck_assert_int_eq(svc.rare.control.role, ROLE_SERVICE);
}
END_TEST

START_TEST(post_start_of_a_main_process_that_could_not_be_recorded)
{
    spec->type = TYPE_FORKING;
    spec_own_around(spec)->post_start = hook("/bin/post");
    start();
    control_runs(ROLE_START);
    control_exits(0);
    ck_assert(acted(ACT_FIND_MAIN));
    supd_dies(ROLE_POST_START, 2);
    is_not_found(SVC_EV_CONTROL_EXITED);
    step(SVC_EV_CONTROL_GROUP);
    ck_assert(acted(ACT_FIND_MAIN));
    ck_assert_int_eq(svc.state, SVC_STARTING);
    feed((struct svc_event){.type = SVC_EV_MAIN_FOUND, .pid = 99, .start_ticks = 5, .group = 98, .group_start = 1});
    ck_assert_int_eq(svc.state, SVC_RUNNING);
}
END_TEST

/* The same, and its start command's end could not be recorded either. */
START_TEST(post_start_behind_a_start_command_that_seems_to_run)
{
    spec->type = TYPE_FORKING;
    spec_own_around(spec)->post_start = hook("/bin/post");
    start();
    control_runs(ROLE_START);
    supd_dies(ROLE_POST_START, 2);
    ck_assert_int_eq(svc.group, PID + 1);
    ck_assert_uint_ne(svc.group_start, 0);
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    step(SVC_EV_STOP);
    ck_assert(acted(ACT_SIGNAL_GROUP) && acted(ACT_SIGNAL_CONTROL) && acted(ACT_CHECK_GROUP));
    control_exits(0);
    ck_assert(acted(ACT_CHECK_GROUP)); /* where its daemon is */
    ck_assert_int_eq(svc.state, SVC_STOPPING);
}
END_TEST

/* Up to the main process of a oneshot, which runs. */
static void oneshot_runs(void)
{
    all_hooks();
    spec->type = TYPE_ONESHOT;
    start();
    control_runs(ROLE_PRE_START);
    control_exits(0);
    main_runs();
}

/* post-start, which has recorded itself, goes on: it is not run again. */
static void post_start_goes_on(void)
{
    ck_assert_int_eq(svc.state, SVC_STARTING);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_START);
    ck_assert_uint_eq(svc.rare.control.number, 2);
    ck_assert(!acted(ACT_QUEUE) && !acted(ACT_SIGNAL_CONTROL));
    ck_assert_int_ne(svc.deadline, 0);
}

START_TEST(post_start_of_a_oneshot_whose_end_was_the_last_record)
{
    oneshot_runs();
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    supd_dies(ROLE_POST_START, 2);
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    ck_assert(acted(ACT_CHECK_GROUP));
    step(SVC_EV_GROUP);
    post_start_goes_on();
    control_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
}
END_TEST

START_TEST(post_start_of_a_oneshot_whose_end_could_not_be_recorded)
{
    oneshot_runs();
    supd_dies(ROLE_POST_START, 2);
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    step(SVC_EV_GROUP);
    post_start_goes_on();
    control_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
}
END_TEST

START_TEST(post_start_of_a_oneshot_goes_on_behind_what_was_left)
{
    oneshot_runs();
    supd_dies(ROLE_POST_START, 2);
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    feed((struct svc_event){.type = SVC_EV_GROUP, .group_left = 1});
    ck_assert(acted(ACT_SIGNAL_GROUP) && acted(ACT_WATCH_GROUP));
    step(SVC_EV_GROUP);
    post_start_goes_on();
    control_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
}
END_TEST

START_TEST(post_start_of_a_oneshot_ends_before_what_was_left)
{
    oneshot_runs();
    supd_dies(ROLE_POST_START, 2);
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED}});
    step(SVC_EV_CONTROL_ADOPTED);
    step(SVC_EV_BOOT);
    feed((struct svc_event){.type = SVC_EV_GROUP, .group_left = 1});
    control_exits(0);
    ck_assert_int_eq(svc.state, SVC_STOPPING);
    step(SVC_EV_GROUP);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP); /* and not post-start once more */
}
END_TEST

/* ---- without a crash ---- */

START_TEST(no_main_process_is_spared_by_kill_mode_process)
{
    spec->type = TYPE_FORKING;
    spec_own_life(spec)->kill_mode = KILL_MODE_PROCESS;
    start();
    control_runs(ROLE_START);
    control_exits(0);
    step(SVC_EV_STOP);
    ck_assert(acted(ACT_SIGNAL_GROUP) && acted(ACT_CHECK_GROUP));
    feed((struct svc_event){.type = SVC_EV_GROUP, .group_left = 1});
    ck_assert(acted(ACT_WATCH_GROUP));
    deadline();
    ck_assert(acted(ACT_SIGNAL_GROUP) && !acted(ACT_SIGNAL_MAIN));
    step(SVC_EV_GROUP);
    ck_assert_int_eq(svc.state, SVC_STOPPED);
}
END_TEST

START_TEST(an_end_beside_stop_command_is_recorded)
{
    all_hooks();
    spec_own_life(spec)->kill_mode = KILL_MODE_PROCESS;
    comes_up();
    step(SVC_EV_STOP);
    control_runs(ROLE_STOP);
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = 3}});
    ck_assert(acted(ACT_RECORD) && svc.ended);
    ck_assert_int_eq(svc.rare.control.role, ROLE_STOP);
    control_exits(0);
    ck_assert_int_eq(svc.rare.control.role, ROLE_POST_STOP);
}
END_TEST

START_TEST(stop_command_comes_behind_a_reload_that_hangs)
{
    all_hooks();
    comes_up();
    step(SVC_EV_RELOAD);
    control_runs(ROLE_RELOAD);
    step(SVC_EV_STOP);
    ck_assert(acted(ACT_SIGNAL_CONTROL) && !acted(ACT_SIGNAL_GROUP));
    deadline();
    ck_assert(acted(ACT_SIGNAL_CONTROL) && !acted(ACT_SIGNAL_GROUP));
    control_exits(1);
    control_runs(ROLE_STOP);
    control_exits(0);
    ck_assert(acted(ACT_SIGNAL_GROUP));
}
END_TEST

START_TEST(stop_command_comes_behind_a_reload_that_never_ran)
{
    all_hooks();
    comes_up();
    step(SVC_EV_RELOAD);
    control_forked(ROLE_RELOAD);
    step(SVC_EV_STOP);
    supd_dies(ROLE_SERVICE, 0);
    step(SVC_EV_ADOPTED);
    step(SVC_EV_BOOT);
    control_runs(ROLE_STOP);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("control_crash");
    TCase *tc = tcase_create("control_crash");

    tcase_add_checked_fixture(tc, setup_control, teardown_service);
    tcase_add_test(tc, a_hook_of_the_start_is_not_begun_while_stopping);
    tcase_add_test(tc, stop_command_is_begun_again_before_the_stop_signal_only);
    tcase_add_test(tc, what_is_left_is_counted_beside_a_hook);
    tcase_add_test(tc, a_start_goes_on_in_its_life);
    tcase_add_test(tc, post_stop_that_only_its_own_record_tells_of);
    tcase_add_test(tc, post_stop_ends_what_a_oneshot_does);
    tcase_add_test(tc, stop_command_that_only_its_own_record_tells_of);
    tcase_add_test(tc, reload_command_that_only_its_own_record_tells_of);
    tcase_add_test(tc, post_start_of_a_main_process_that_could_not_be_recorded);
    tcase_add_test(tc, post_start_behind_a_start_command_that_seems_to_run);
    tcase_add_test(tc, post_start_of_a_oneshot_whose_end_was_the_last_record);
    tcase_add_test(tc, post_start_of_a_oneshot_whose_end_could_not_be_recorded);
    tcase_add_test(tc, post_start_of_a_oneshot_goes_on_behind_what_was_left);
    tcase_add_test(tc, post_start_of_a_oneshot_ends_before_what_was_left);
    tcase_add_test(tc, no_main_process_is_spared_by_kill_mode_process);
    tcase_add_test(tc, an_end_beside_stop_command_is_recorded);
    tcase_add_test(tc, stop_command_comes_behind_a_reload_that_hangs);
    tcase_add_test(tc, stop_command_comes_behind_a_reload_that_never_ran);
    suite_add_tcase(suite, tc);
    return suite;
}
