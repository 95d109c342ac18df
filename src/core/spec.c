/* SPDX-License-Identifier: MIT */
#include "core/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/capnames.h"
#include "base/mem.h"
#include "base/slab.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/event.h"
#include "core/spec_group.h"
#include "core/spec_type.h"

/* SIGHUP, numbered the same on every Linux architecture (signal(7)). */
#define SIGNAL_HUP 1

static struct slab specs = SLAB_OF(struct spec);

struct spec *spec_new(const char *name)
{
    struct spec *spec = slab_new(&specs);

    spec_groups_new(spec);
    spec->name = xstrdup(name);
    return spec;
}

void spec_reset(struct spec *spec, const struct spec_key *key)
{
    const struct key_type_ops *ops = key_type_ops(key->type);
    struct spec *fresh = spec_new(spec->name);
    char *to = (char *)spec_own(spec, key->group) + key->offset;
    char *from = (char *)spec_own(fresh, key->group) + key->offset;

    for (size_t i = 0; i < ops->size; i++) {
        char byte = to[i];

        to[i] = from[i];
        from[i] = byte;
    }
    spec_free(fresh);
}

struct spec *spec_dup(const struct spec *spec)
{
    struct spec *copy = slab_new(&specs);

    *copy = *spec;
    spec_groups_hold(copy);
    copy->name = xstrdup(spec->name);
    copy->on_event = event_rule_dup(spec->on_event);
    spec_values_dup(SPEC_SELF, copy);
    return copy;
}

void spec_free(struct spec *spec)
{
    if (spec == NULL)
        return;
    spec_values_free(SPEC_SELF, spec);
    spec_groups_release(spec);
    event_rule_free(spec->on_event);
    free(spec->name);
    slab_free(&specs, spec);
}

/* The kernel lets no capability be raised that the bounding set lacks. */
static bool validate_capabilities(const struct spec *spec, char *err, size_t err_size)
{
    uint64_t outside = spec->exec->capabilities.mask & ~spec->exec->capability_bounding_set.mask;

    if (!spec->exec->capabilities.set || !spec->exec->capability_bounding_set.set || outside == 0)
        return true;
    snprintf(err, err_size, "capabilities names %s, which capability-bounding-set leaves out: put it into both",
             capability_to_name(__builtin_ctzll(outside)));
    return false;
}

static bool validate_streams(const struct spec *spec, char *err, size_t err_size)
{
    if (spec->place->tty == NULL || spec->place->input.kind == LOG_KIND_NONE)
        return spec_log_validate(spec, err, err_size);
    snprintf(err, err_size, "stdin and tty exclude each other: with tty, stdin is the terminal");
    return false;
}

/* A run must have an end, or the next one never comes. */
static bool validate_schedule(const struct spec *spec, char *err, size_t err_size)
{
    if (spec->around->schedule == NULL && !spec->around->persistent)
        return true;
    if (spec->around->schedule == NULL)
        snprintf(err, err_size, "persistent goes with schedule only: add that, or leave persistent out");
    else if (spec->type != TYPE_ONESHOT)
        snprintf(err, err_size, "schedule goes with type = oneshot only: add that, or leave schedule out");
    else if (spec->remain_after_exit)
        snprintf(err, err_size, "schedule and remain-after-exit exclude each other: leave one out");
    else if (spec->around->start == START_ON_DEMAND)
        snprintf(err, err_size, "schedule and start = on-demand exclude each other: leave one out");
    else if (spec->essential)
        snprintf(err, err_size, "schedule and essential exclude each other: between two runs it has not ended");
    else if (spec->life->restart == RESTART_ALWAYS)
        snprintf(err, err_size,
                 "restart = always would repeat one run without end: with schedule, write on-failure or no");
    else
        return true;
    return false;
}

static bool validate_type(const struct spec *spec, char *err, size_t err_size)
{
    if (spec->place->pid_file != NULL && spec->type != TYPE_FORKING) {
        snprintf(err, err_size, "pid-file goes with type = forking only: add that, or leave pid-file out");
        return false;
    }
    if (spec->remain_after_exit && spec->type != TYPE_ONESHOT) {
        snprintf(err, err_size, "remain-after-exit goes with type = oneshot only: add that, or leave it out");
        return false;
    }
    if (spec->life->reload_signal != 0 && spec->around->reload_command != NULL) {
        snprintf(err, err_size, "reload-signal and reload-command are two ways to do one thing: leave one out");
        return false;
    }
    return true;
}

static bool needs_messages(const struct spec *spec)
{
    return spec->life->ready.kind == READY_NOTIFY || spec->life->watchdog > 0 || spec->life->fd_store > 0;
}

/* What ends before its start is over, or is not known to us yet, can say nothing. */
static bool validate_ready(const struct spec *spec, char *err, size_t err_size)
{
    enum ready_kind kind = spec->life->ready.kind;
    char delay[64];
    char timeout[64];

    if (kind != READY_EXEC && spec->type == TYPE_ONESHOT) {
        snprintf(err, err_size, "type = oneshot is ready when its work is done: leave the key ready out");
        return false;
    }
    if ((kind == READY_NOTIFY || kind == READY_FD) && spec->type == TYPE_FORKING) {
        snprintf(err, err_size,
                 "ready = %s goes with type = simple only: let the program stay in the foreground, or choose another",
                 kind == READY_FD ? "fd" : "notify");
        return false;
    }
    size_t first_free = 3 + strv_len(spec->around->listen) + spec->life->fd_store;
    if (kind == READY_FD && spec->life->ready.fd < first_free) {
        snprintf(err, err_size, "ready = fd:%u is where %s may be: use fd:%zu or a greater number",
                 spec->life->ready.fd,
                 spec->life->fd_store > 0 ? "a socket of listen, or a descriptor of fd-store," : "a socket of listen",
                 first_free);
        return false;
    }
    if (spec->life->fd_store > FD_STORE_MAX) {
        snprintf(err, err_size,
                 "fd-store = %u is too much: the names of more than %d descriptors may not fit into "
                 "LISTEN_FDNAMES",
                 spec->life->fd_store, FD_STORE_MAX);
        return false;
    }
    if (spec->life->watchdog > 0 && spec->type != TYPE_SIMPLE) {
        snprintf(err, err_size, "watchdog goes with type = simple only: leave one out");
        return false;
    }
    if (needs_messages(spec) && spec->life->notify_access == NOTIFY_NONE) {
        snprintf(err, err_size, "%s and notify-access = none exclude each other: leave one out",
                 kind == READY_NOTIFY       ? "ready = notify"
                 : spec->life->watchdog > 0 ? "watchdog"
                                            : "fd-store");
        return false;
    }
    if (kind == READY_AFTER && spec->life->start_timeout > 0 && spec->life->ready.delay >= spec->life->start_timeout) {
        snprintf(err, err_size, "ready = after %s comes too late for start-timeout (%s): raise that",
                 duration_format(spec->life->ready.delay, delay, sizeof(delay)),
                 duration_format(spec->life->start_timeout, timeout, sizeof(timeout)));
        return false;
    }
    return true;
}

enum notify_access spec_notify_access(const struct spec *spec)
{
    if (spec->life->notify_access != NOTIFY_UNSET)
        return spec->life->notify_access;
    return needs_messages(spec) ? NOTIFY_MAIN : NOTIFY_NONE;
}

int32_t spec_reload_signal(const struct spec *spec)
{
    if (spec->life->reload_signal != 0 || spec->around->reload_command != NULL)
        return spec->life->reload_signal;
    return spec->life->ready.kind == READY_NOTIFY && spec->life->ready.reloads ? SIGNAL_HUP : 0;
}

void spec_type_defaults(struct spec *spec, bool restart_given, bool start_timeout_given)
{
    if (spec->type != TYPE_ONESHOT)
        return;
    if (!restart_given)
        spec_own_life(spec)->restart = RESTART_NO;
    if (!start_timeout_given)
        spec_own_life(spec)->start_timeout = 0;
}

bool spec_validate(const struct spec *spec, char *err, size_t err_size)
{
    char delay[64];
    char max[64];

    if (strv_len(spec->command) == 0) {
        snprintf(err, err_size, "key 'command' is missing: say which program to run");
        return false;
    }
    if (spec->cgroup->memory_max.set && !spec->cgroup->memory_max.infinite && spec->cgroup->memory_max.value == 0) {
        snprintf(err, err_size, "key 'cgroup.memory-max' is 0, which leaves no memory to run in: raise it");
        return false;
    }
    if (spec->life->restart_delay > spec->life->restart_delay_max) {
        snprintf(err, err_size,
                 "restart-delay (%s) is longer than restart-delay-max (%s): raise the one or lower the other",
                 duration_format(spec->life->restart_delay, delay, sizeof(delay)),
                 duration_format(spec->life->restart_delay_max, max, sizeof(max)));
        return false;
    }
    if (spec->around->start == START_ON_DEMAND && strv_len(spec->around->listen) == 0) {
        snprintf(err, err_size, "start = on-demand needs a socket to wait at: give it the key listen");
        return false;
    }
    return validate_type(spec, err, err_size) && validate_ready(spec, err, err_size) &&
           validate_schedule(spec, err, err_size) && spec_check_validate(spec, err, err_size) &&
           validate_streams(spec, err, err_size) && validate_capabilities(spec, err, err_size);
}

bool spec_name_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);

    return len >= 1 && len <= SPEC_NAME_MAX && name[0] != '.' && name[0] != '-' && strspn(name, allowed) == len;
}

void exit_set_add_code(struct exit_set *set, int code)
{
    if (code >= 0 && code <= 255)
        set->codes[code / 64] |= UINT64_C(1) << (code % 64);
}

void exit_set_add_signal(struct exit_set *set, int signo)
{
    if (signo >= 1 && signo <= 64)
        set->signals |= UINT64_C(1) << (signo - 1);
}

bool exit_set_has_code(const struct exit_set *set, int code)
{
    return code >= 0 && code <= 255 && (set->codes[code / 64] >> (code % 64) & 1) != 0;
}

bool exit_set_has_signal(const struct exit_set *set, int signo)
{
    return signo >= 1 && signo <= 64 && (set->signals >> (signo - 1) & 1) != 0;
}
