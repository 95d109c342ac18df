/* SPDX-License-Identifier: MIT */
/*
 * What tells the main process of a service from its control process: where its
 * identity stands, which events tell of it, what it is given.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/events.h"
#include "supd/health.h"
#include "supd/messages.h"
#include "supd/process.h"
#include "supd/usage.h"

static bool is_control(const struct process *process)
{
    return process == process->service->parts->control;
}

static bool is_check(const struct process *process)
{
    return process == process->service->parts->check;
}

enum svc_role process_role(const struct process *process)
{
    if (is_check(process))
        return svc_rare(process->service->svc)->check.role;
    return is_control(process) ? svc_rare(process->service->svc)->control.role : ROLE_SERVICE;
}

int32_t process_pid(const struct process *process)
{
    const struct svc *svc = process->service->svc;

    if (is_check(process))
        return svc_rare(svc)->check.pid;
    return is_control(process) ? svc_rare(svc)->control.pid : svc->proc.pid;
}

uint64_t process_start(const struct process *process)
{
    const struct svc *svc = process->service->svc;

    if (is_check(process))
        return svc_rare(svc)->check.start_ticks;
    return is_control(process) ? svc_rare(svc)->control.start_ticks : svc->proc.start_ticks;
}

bool process_before_exec(const struct process *process)
{
    const struct svc *svc = process->service->svc;

    if (is_check(process))
        return svc_rare(svc)->check.pre_exec;
    return is_control(process) ? svc_rare(svc)->control.pre_exec : svc->pre_exec;
}

struct procgroup process_group(const struct process *process)
{
    const struct svc *svc = process->service->svc;
    bool is_main = process == &process->service->main;
    struct procgroup group = {
        .pgid = is_main ? svc->group : process_pid(process),
        .leader_pidfd = process->pidfd,
        .leader_pinned = process_is_pinned(process),
        .leader_start = is_main ? svc->group_start : process_start(process),
    };

    /* A main process that was found, or named, need not lead the group, and before it is found there is no such process. */
    if (!is_main || !svc_main_is_found(svc) ||
        (svc->group == svc->proc.pid && svc->group_start == svc->proc.start_ticks))
        return group;
    group.leader_pidfd = -1;
    group.leader_pinned = false;
    return group;
}

/* TYPE is one of the main process's: the same of the control process, if it is that. */
static void tell(struct process *process, enum svc_event_type type, struct svc_event event)
{
    static const enum svc_event_type of_control[SVC_EV_N] = {
        [SVC_EV_FORKED] = SVC_EV_CONTROL_FORKED, [SVC_EV_FORK_FAILED] = SVC_EV_CONTROL_FORK_FAILED,
        [SVC_EV_EXECED] = SVC_EV_CONTROL_EXECED, [SVC_EV_ADOPTED] = SVC_EV_CONTROL_ADOPTED,
        [SVC_EV_EXITED] = SVC_EV_CONTROL_EXITED, [SVC_EV_GROUP] = SVC_EV_CONTROL_GROUP,
    };
    static const enum svc_event_type of_check[SVC_EV_N] = {
        [SVC_EV_FORKED] = SVC_EV_CHECK_FORKED, [SVC_EV_FORK_FAILED] = SVC_EV_CHECK_FORK_FAILED,
        [SVC_EV_EXECED] = SVC_EV_CHECK_EXECED, [SVC_EV_ADOPTED] = SVC_EV_CHECK_ADOPTED,
        [SVC_EV_EXITED] = SVC_EV_CHECK_EXITED, [SVC_EV_GROUP] = SVC_EV_CHECK_GROUP,
    };
    struct service *service = process->service;

    event.life = service->svc->life;
    event.control = is_check(process) ? svc_rare(service->svc)->check.number : svc_rare(service->svc)->control.number;
    event.type = is_check(process) ? of_check[type] : is_control(process) ? of_control[type] : type;
    service_event(service, &event);
}

void process_tell_left(struct process *process, unsigned left)
{
    tell(process, SVC_EV_GROUP, (struct svc_event){.group_left = left});
}

void process_tell_forked(struct process *process, struct svc_event event)
{
    tell(process, SVC_EV_FORKED, event);
}

void process_tell_fork_failed(struct process *process, const char *text)
{
    if (is_control(process))
        log_warning("%s: %s: %s", process->service->spec->name, svc_role_name(process_role(process)), text);
    if (is_check(process))
        health_process_failed(process->service, text);
    tell(process, SVC_EV_FORK_FAILED, (struct svc_event){.text = text});
}

void process_tell_execed(struct process *process, uint64_t start_ticks)
{
    tell(process, SVC_EV_EXECED, (struct svc_event){.start_ticks = start_ticks});
}

void process_tell_adopted(struct process *process)
{
    tell(process, SVC_EV_ADOPTED, (struct svc_event){0});
}

/* A failure that changes nothing about the service is to be seen all the same. */
static void log_control_end(const struct process *process, const struct exit_info *exit, const char *text)
{
    const char *name = process->service->spec->name;
    const char *role = svc_role_name(process_role(process));
    char words[64];

    if (!text && exit->how == EXIT_HOW_EXITED && exit->code == 0)
        log_debug("%s: %s: done", name, role);
    else
        log_warning("%s: %s: %s", name, role, text ? text : svc_exit_words(exit, words, sizeof words));
}

void process_tell_exited(struct process *process, struct exit_info exit, const struct usage *usage,
                         uint64_t start_ticks, const char *text)
{
    int32_t pid = process_pid(process);

    messages_read(process->service);
    if (process_pid(process) != pid)
        return; /* the last it has said was who takes its place */
    exit.at = clock_now().wall;
    exit.oom = process == &process->service->main && cgroups_oom_killed(process->service, &exit);
    if (is_control(process) && process_role(process) != ROLE_START)
        log_control_end(process, &exit, text);
    struct svc_check check = svc_rare(process->service->svc)->check;
    if (usage && process == &process->service->main)
        usage_keep(process->service, usage, exit.at);
    tell(process, SVC_EV_EXITED, (struct svc_event){.exit = exit, .start_ticks = start_ticks, .text = text});
    if (is_check(process))
        health_process_ended(process->service, &check, &exit, text);
}

/* ---- what it is given ---- */

char **process_argv(const struct process *process)
{
    char **argv = strv_dup(svc_command(process->service->spec, process_role(process)));

    /* The '-' says that its failure does not matter. */
    if (is_control(process) && process_role(process) != ROLE_START && argv[0][0] == '-')
        memmove(argv[0], argv[0] + 1, strlen(argv[0]));
    return argv;
}

static char **add(char **env, const char *key, const char *value)
{
    char *assignment = xasprintf("%s=%s", key, value);

    env = strv_push(env, assignment);
    return env;
}

const char *process_exit_status(const struct exit_info *exit, char buf[16])
{
    if (exit->how == EXIT_HOW_SIGNALED)
        return signal_to_name(exit->signal, buf);
    if (exit->how != EXIT_HOW_EXITED)
        return "";
    snprintf(buf, 16, "%d", exit->code);
    return buf;
}

/* How the main process of this life has ended, in our words and in systemd's. */
static char **add_exit(char **env, const struct service *service)
{
    const struct svc *svc = service->svc;
    const struct exit_info *exit = &svc->exit;
    char buf[16];

    env = add(env, "SERVICE_RESULT", svc_result_name(svc, service->spec));
    if (!svc->ended)
        return add(add(env, "SUPD_EXIT_HOW", "none"), "SUPD_EXIT_STATUS", "");
    const char *status = process_exit_status(exit, buf);
    env = add(env, "SUPD_EXIT_HOW", exit_how_name(exit->how));
    env = add(env, "SUPD_EXIT_STATUS", status);
    if (exit->how == EXIT_HOW_UNKNOWN)
        return env;
    env = add(env, "EXIT_CODE", exit->how == EXIT_HOW_EXITED ? "exited" : exit->core ? "dumped" : "killed");
    return add(env, "EXIT_STATUS", status);
}

char **process_variables(const struct process *process)
{
    const struct service *service = process->service;
    enum svc_role role = process_role(process);
    char *notify = messages_variable(service, role);
    char **env = notify ? strv_push(NULL, notify) : NULL;
    char pid[16];

    if (service->parts->handler)
        return events_variables(service);
    if (process == &service->main)
        return env;
    env = add(env, "SUPD_HOOK", svc_role_name(role));
    if (svc_has_process(service->svc)) {
        snprintf(pid, sizeof pid, "%d", service->svc->proc.pid);
        env = add(env, "MAINPID", pid);
    }
    if (role == ROLE_UNHEALTHY)
        env = add(env, "SUPD_REASON", svc_rare(service->svc)->reason);
    return role == ROLE_POST_STOP ? add_exit(env, service) : env;
}
