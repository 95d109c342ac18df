/* SPDX-License-Identifier: MIT */
/*
 * The moves that the handlers of core/service.h's events are made of.  Private to
 * the service_*.c files.
 */
#ifndef SUPD_CORE_SERVICE_STEP_H
#define SUPD_CORE_SERVICE_STEP_H

#include "core/service.h"

/* SIGKILL, numbered the same on every Linux architecture (signal(7)). */
#define SIGNAL_KILL 9

/* A process that SIGKILL has not ended (it hangs in the kernel) is sent another one after this long. */
#define KILL_AGAIN (5 * USEC_PER_SEC)

/* One step: what is known, and where the answer goes. */
struct step {
    struct svc *svc;
    const struct spec *spec;
    const struct svc_event *event;
    struct timestamp now;
    uint64_t *rng;
    struct svc_actions *out;
};

/* Adds an action to the answer; SIGNAL only where the type has one. */
void step_act(struct step *s, enum svc_action_type type, int32_t signal);

void step_reason(struct svc *svc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The one setter of a state; clears the deadline of the one before. */
void step_state(struct step *s, enum svc_state state);

/* svc_exit_words(), with the limit that the OOM killer has kept. */
const char *step_exit_words(const struct step *s, char *buf, size_t size);

/* AT + BY, both us; a time-out may be as long as can be written. */
int64_t step_later(int64_t at, int64_t by);

/* When SIGKILL follows a stop-signal that is sent now. */
int64_t step_stop_deadline(const struct step *s);

/* When what is done of the start now has taken too long; 0: never. */
int64_t step_start_deadline(const struct step *s);

/* Into the queue for a start slot.  AUTOMATIC: it counts as a restart. */
void step_enqueue(struct step *s, bool automatic);

/* Where a start is due by itself: at once, or start = on-demand, when something comes in, or when its time has come. */
void step_enqueue_or_await(struct step *s);

/* schedule: idle until its next run is due.  FAILED: the reason that stands says why the last one did. */
void step_await_run(struct step *s, bool failed);

/* SVC_EV_CONFIG: what a new configuration means for one that is idle, or now has a schedule. */
void step_reschedule(struct step *s);

/* start = on-demand: idle from now on. */
void step_await(struct step *s);

/* REASON NULL: the one that stands. */
void step_to_stopped(struct step *s, const char *reason);

/* SIGKILL, and again after a while for one that hangs in the kernel. */
void step_kill(struct step *s);

/* Ends the main process and what kill-mode says, and a control process.  The reason is the caller's. */
void step_begin_stop(struct step *s, enum svc_stop_cause cause);

/* The stop-signal to all that is there. */
void step_send_stop(struct step *s);

/* While stopping: what is to be done, or waited for, next? */
void step_go_on(struct step *s);

/* The main process and its group are gone. */
void step_over(struct step *s);

/* The main process is there: what is left of the way up. */
void step_main_is_there(struct step *s);

/* The way up is over. */
void step_up(struct step *s);

/* A step of the way up has failed; result and reason are set. */
void step_fail_start(struct step *s);

/* Puts a control process into the queue for its turn. */
void step_begin_control(struct step *s, enum svc_role role);

/* There is none any more. */
void step_drop_control(struct svc *svc);

/* Its turn has come: to fork what is next on the way up, or the control process that waits. */
void step_fork_next(struct step *s);
void step_fork_control(struct step *s);

/* The stop that was asked for is complete. */
void step_settle_stop(struct step *s);

/* The run ended unasked: what the policy says. */
void step_settle_policy(struct step *s, bool abnormal);

/* Nothing is left of the present life: what next? */
void step_settle(struct step *s);

/* The handlers of commands, for the table in service.c. */
void step_on_start(struct step *s);
void step_on_stop(struct step *s);
void step_on_restart(struct step *s);
void step_on_reset(struct step *s);
void step_on_shutdown(struct step *s);
void step_on_stop_now(struct step *s);
void step_on_call_off(struct step *s);
void step_on_hurry(struct step *s);
void step_on_config(struct step *s);
void step_on_enabled(struct step *s);
void step_on_disabled(struct step *s);
void step_on_reload(struct step *s);

/* Takes the start time that an event tells.  Without it a record could not be believed: a number alone is nobody's. */
void step_learn_start_ticks(struct step *s);

/* service_end.c */
void step_on_exited(struct step *s);
void step_on_group(struct step *s);

/* The handlers of service_control.c. */
void step_on_control_forked(struct step *s);
void step_on_control_fork_failed(struct step *s);
void step_on_control_execed(struct step *s);
void step_on_control_adopted(struct step *s);
void step_on_control_exited(struct step *s);
void step_on_control_group(struct step *s);
void step_on_main_found(struct step *s);
void step_on_main_moved(struct step *s);
void step_on_main_missing(struct step *s);

/* service_demand.c */
void step_on_demand(struct step *s);

/* service_health.c */
void step_on_checked(struct step *s);
void step_on_check_due(struct step *s);
void step_on_check_forked(struct step *s);
void step_on_check_fork_failed(struct step *s);
void step_on_check_execed(struct step *s);
void step_on_check_adopted(struct step *s);
void step_on_check_exited(struct step *s);
void step_on_check_group(struct step *s);
void step_on_check_overdue(struct step *s);
/* A life begins. */
void step_begin_health(struct step *s);
/* There may be no check any more. */
void step_health_config(struct step *s);
/* After a restore. */
void step_boot_check(struct step *s);
/* After each event: where the service is not checked any more, its process of a check ends. */
void step_end_check(struct step *s);

/* service_ready.c */
void step_on_ready(struct step *s);
void step_on_unheard(struct step *s);
void step_on_reloading(struct step *s);
void step_on_stopping(struct step *s);
void step_on_extend(struct step *s);
void step_on_alive(struct step *s);
void step_on_watchdog_usec(struct step *s);
void step_on_watchdog(struct step *s);
/* A reload begins: where the service tells of its reloads, it is waited for that. */
void step_ask_reload(struct step *s);
/* Its command has ended: the service may still be at it. */
void step_reload_command_done(struct step *s);
/* It is not waited for any more. */
void step_forget_reload(struct step *s);
/* Ends reload-command. */
void step_kill_reload(struct step *s);
/* The deadline has come in `running`. */
void step_reload_deadline(struct step *s);
/* It runs: signs of life are waited for from now on, where they are to come. */
void step_watch(struct step *s);
/* A new supd has found its main process, which is not ready as far as is known. */
void step_await_ready_again(struct step *s);
/* `ready` may be another now. */
void step_ready_config(struct step *s);
/* The deadline has come while it was waited for.  True: that was no time-out. */
bool step_ready_deadline(struct step *s);
/* What is missing, for the reason of a time-out; "" = nothing is known of that. */
const char *step_ready_missing(const struct step *s, char *buf, size_t size);

/* service_schedule.c */
void step_on_due(struct step *s);

#endif
