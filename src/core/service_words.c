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

static const char *const state_names[] = {
    [SVC_STOPPED] = "stopped",   [SVC_WAITING] = "waiting", [SVC_STARTING] = "starting", [SVC_RUNNING] = "running",
    [SVC_STOPPING] = "stopping", [SVC_BACKOFF] = "backoff", [SVC_EXITED] = "exited",     [SVC_FAILED] = "failed",
};
_Static_assert(sizeof state_names / sizeof *state_names == SVC_N_STATES, "a state has no name");

const char *svc_state_name(enum svc_state state)
{
    return state_names[state];
}

bool svc_state_parse(const char *word, enum svc_state *state)
{
    for (size_t i = 0; i < SVC_N_STATES; i++) {
        if (strcmp(word, state_names[i]) == 0) {
            *state = (enum svc_state)i;
            return true;
        }
    }
    return false;
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
