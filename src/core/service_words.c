/* SPDX-License-Identifier: MIT */
/*
 * The words of core/service.h: names of states and ends.
 */
#include <stdio.h>
#include <string.h>

#include "base/signames.h"
#include "core/service.h"

const char *svc_exit_words(const struct exit_info *exit, char *buf, size_t size)
{
    char name[16];

    switch (exit->how) {
    case EXIT_HOW_EXITED:
        snprintf(buf, size, "exit %d", exit->code);
        break;
    case EXIT_HOW_SIGNALED:
        if (exit->oom) {
            snprintf(buf, size, "killed by the OOM killer");
            break;
        }
        snprintf(buf, size, "killed by %s%s", signal_to_name(exit->signal, name), exit->core ? " (core dumped)" : "");
        break;
    case EXIT_HOW_UNKNOWN:
        snprintf(buf, size, "ended, status unknown");
        break;
    case EXIT_HOW_NONE:
        snprintf(buf, size, "has not run");
        break;
    }
    return buf;
}

int svc_exit_status(const struct svc *svc)
{
    const struct exit_info *exit = &svc->exit;

    if (svc->result != RESULT_NONE)
        return 1;
    if (exit->how == EXIT_HOW_SIGNALED)
        return 128 + exit->signal;
    if (exit->how != EXIT_HOW_EXITED || (exit->code == 0 && svc->state == SVC_FAILED))
        return 1;
    return exit->code;
}

static const char *const state_names[] = {
    [SVC_STOPPED] = "stopped",   [SVC_WAITING] = "waiting", [SVC_STARTING] = "starting", [SVC_RUNNING] = "running",
    [SVC_STOPPING] = "stopping", [SVC_BACKOFF] = "backoff", [SVC_EXITED] = "exited",     [SVC_FAILED] = "failed",
};
_Static_assert(sizeof state_names / sizeof *state_names == SVC_N_STATES, "a state has no name");

const char *svc_state_name(enum svc_state state)
{
    return state_names[state];
}

const char *exit_how_name(enum exit_how how)
{
    static const char *const names[] = {
        [EXIT_HOW_NONE] = "none",
        [EXIT_HOW_EXITED] = "exited",
        [EXIT_HOW_SIGNALED] = "signaled",
        [EXIT_HOW_UNKNOWN] = "unknown",
    };

    return names[how];
}

const char *exit_source_name(enum exit_source source)
{
    static const char *const names[] = {
        [EXIT_SOURCE_NONE] = "none",   [EXIT_SOURCE_WAIT] = "wait",       [EXIT_SOURCE_PROC] = "proc",
        [EXIT_SOURCE_PIDFD] = "pidfd", [EXIT_SOURCE_NETLINK] = "netlink", [EXIT_SOURCE_PTRACE] = "ptrace",
    };

    return names[source];
}

static const char *const role_names[] = {
    [ROLE_SERVICE] = "service",       [ROLE_PRE_START] = "pre-start",   [ROLE_START] = "command",
    [ROLE_POST_START] = "post-start", [ROLE_RELOAD] = "reload-command", [ROLE_STOP] = "stop-command",
    [ROLE_POST_STOP] = "post-stop",   [ROLE_CHECK] = "check",           [ROLE_UNHEALTHY] = "on-failure",
};
_Static_assert(sizeof role_names / sizeof *role_names == ROLE_N, "a role has no name");

const char *svc_role_name(enum svc_role role)
{
    return role_names[role];
}

char **svc_command(const struct spec *spec, enum svc_role role)
{
    switch (role) {
    case ROLE_SERVICE:
    case ROLE_START:
        return spec->command;
    case ROLE_PRE_START:
        return spec->around->pre_start;
    case ROLE_POST_START:
        return spec->around->post_start;
    case ROLE_RELOAD:
        return spec->around->reload_command;
    case ROLE_STOP:
        return spec->around->stop_command;
    case ROLE_POST_STOP:
        return spec->around->post_stop;
    case ROLE_CHECK:
        return spec->check->command;
    case ROLE_UNHEALTHY:
        return spec->check->on_failure.command;
    case ROLE_N:
        break;
    }
    return NULL;
}

const char *svc_reason_words(const struct svc *svc, char *buf, size_t size)
{
    static const char *const told[] = {
        [TOLD_RELOADING] = "it says that it is reloading",
        [TOLD_STOPPING] = "it says that it is stopping",
        [TOLD_RELOAD_ASKED] = "it was asked to reload",
        [TOLD_RELOAD_BEGUN] = "it says that it is reloading",
    };
    _Static_assert(sizeof told / sizeof *told == TOLD_N, "what it has told has no words");
    const struct svc_rare *rare = svc_rare(svc);
    const char *cause = rare->reason[0] ? rare->reason : svc->state == SVC_RUNNING ? told[svc->told] : NULL;
    const char *role = svc_role_name(rare->control.role);

    if (rare->control.role == ROLE_SERVICE)
        return cause;
    if (svc_has_control(svc))
        snprintf(buf, size, "%s: process %d%s%s", role, rare->control.pid, cause ? "; " : "", cause ? cause : "");
    else
        snprintf(buf, size, "%s: %s%s%s", role, rare->control.ended ? "ending what it left" : "waits for its turn",
                 cause ? "; " : "", cause ? cause : "");
    return buf;
}

bool svc_succeeded(const struct svc *svc, const struct spec *spec)
{
    bool asked = svc->stop_cause == STOP_BY_COMMAND && svc->exit.how == EXIT_HOW_SIGNALED &&
                 svc->exit.signal == svc->proc.stop.signal;

    return svc->result == RESULT_NONE &&
           (!svc->ended || asked || (!svc->exit_pre_exec && policy_success(spec, &svc->exit)));
}

const char *svc_result_name(const struct svc *svc, const struct spec *spec)
{
    static const char *const names[] = {
        [RESULT_EXIT_CODE] = "exit-code", [RESULT_SIGNAL] = "signal",       [RESULT_UNKNOWN] = "exit-code",
        [RESULT_TIMEOUT] = "timeout",     [RESULT_RESOURCES] = "resources", [RESULT_PROTOCOL] = "protocol",
        [RESULT_WATCHDOG] = "watchdog",   [RESULT_UNHEALTHY] = "unhealthy", [RESULT_UNHEALTHY_STOP] = "unhealthy",
    };
    _Static_assert(sizeof names / sizeof *names == RESULT_N, "a result has no name");
    if (svc->result != RESULT_NONE)
        return names[svc->result];
    if (svc_succeeded(svc, spec))
        return "success";
    if (svc->exit.how != EXIT_HOW_SIGNALED)
        return "exit-code";
    return svc->exit.core ? "core-dump" : "signal";
}
