/* SPDX-License-Identifier: MIT */
/*
 * The same service with control processes, for the programs that test those.
 */
#ifndef SUPD_TESTS_UNIT_CONTROL_SERVICE_H
#define SUPD_TESTS_UNIT_CONTROL_SERVICE_H

#include "unit/one_service.h"

static inline void setup_control(void)
{
    setup_service();
    spec->command = strv_push(NULL, xstrdup("/bin/x"));
}

static inline char **hook(const char *program)
{
    return strv_push(NULL, xstrdup(program));
}

static inline void all_hooks(void)
{
    spec_own_around(spec)->pre_start = hook("/bin/pre");
    spec_own_around(spec)->post_start = hook("/bin/post");
    spec_own_around(spec)->reload_command = hook("/bin/reload");
    spec_own_around(spec)->stop_command = hook("/bin/stop");
    spec_own_around(spec)->post_stop = hook("/bin/end");
}

static inline void start(void)
{
    step(SVC_EV_BOOT);
    ck_assert(svc_is_queued(&svc));
    step(SVC_EV_SLOT);
}

/* The control process is in ROLE, waits for its turn unless it has had it, and is forked. */
static inline void control_forked(enum svc_role role)
{
    ck_assert_int_eq(svc.rare.control.role, role);
    if (svc_is_queued(&svc))
        step(SVC_EV_SLOT);
    ck_assert(acted(ACT_FORK_CONTROL));
    feed((struct svc_event){.type = SVC_EV_CONTROL_FORKED, .pid = PID + 1});
}

/* The same, and it runs. */
static inline void control_runs(enum svc_role role)
{
    control_forked(role);
    feed((struct svc_event){.type = SVC_EV_CONTROL_EXECED, .start_ticks = 77});
    ck_assert(svc_has_control(&svc));
}

static inline void control_exits(int code)
{
    feed((struct svc_event){.type = SVC_EV_CONTROL_EXITED,
                            .exit = {.how = EXIT_HOW_EXITED, .code = code, .source = EXIT_SOURCE_WAIT}});
    ck_assert(acted(ACT_RECORD) && acted(ACT_CHECK_CONTROL));
    step(SVC_EV_CONTROL_GROUP);
}

static inline void main_runs(void)
{
    if (svc_is_queued(&svc))
        step(SVC_EV_SLOT);
    ck_assert(acted(ACT_FORK));
    main_forked();
    feed((struct svc_event){.type = SVC_EV_EXECED, .start_ticks = 55});
}

static inline void main_exits(int code)
{
    feed((struct svc_event){.type = SVC_EV_EXITED, .exit = {.how = EXIT_HOW_EXITED, .code = code}});
    step(SVC_EV_GROUP);
}

#endif
