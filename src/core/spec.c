/* SPDX-License-Identifier: MIT */
#include "core/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"

#define AT(field) offsetof(struct spec, field)
#define NONE ((size_t)-1)

const struct spec_key spec_keys[] = {
    {"command", KEY_ARGV, KEY_F_PROCESS | KEY_F_REQUIRED, AT(command), NULL},
    {"directory", KEY_PATH, KEY_F_PROCESS, AT(directory), NULL},
    {"umask", KEY_OCTAL, KEY_F_PROCESS, AT(umask), "0022"},
    {"environment", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_ENVIRONMENT, AT(environment), NULL},
    {"environment-file", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_PATHS, AT(environment_files), NULL},
    {"user", KEY_STRING, KEY_F_PROCESS, AT(user), NULL},
    {"group", KEY_STRING, KEY_F_PROCESS, AT(group), NULL},
    {"enabled", KEY_BOOL, 0, AT(enabled), "yes"},
    {"restart", KEY_RESTART, 0, AT(restart), "always"},
    {"success-exit", KEY_EXIT_SET, 0, AT(success_exit), "0"},
    {"restart-prevent-exit", KEY_EXIT_SET, 0, AT(restart_prevent_exit), NULL},
    {"restart-delay", KEY_DURATION, 0, AT(restart_delay), "100ms"},
    {"restart-delay-max", KEY_DURATION, 0, AT(restart_delay_max), "30s"},
    {"restart-reset", KEY_DURATION, 0, AT(restart_reset), "10s"},
    {"restart-limit", KEY_UINT, 0, AT(restart_limit), "0"},
    {"start-timeout", KEY_DURATION, 0, AT(start_timeout), "1m30s"},
    {"stop-timeout", KEY_DURATION, 0, AT(stop_timeout), "10s"},
    {"stop-signal", KEY_SIGNAL, 0, AT(stop_signal), "TERM"},
    {"kill-mode", KEY_KILL_MODE, 0, AT(kill_mode), "group"},
    {"log", KEY_LOG, KEY_F_PROCESS, AT(log), "inherit"},
    {"log-error", KEY_LOG, KEY_F_PROCESS, AT(log_error), NULL},

    {"after", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"capabilities", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"cgroup", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"check", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"clear-environment", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"conflicts", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"cpu-affinity", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"essential", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"instances", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"io-class", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-as", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-core", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-cpu", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-data", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-fsize", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-locks", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-memlock", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-msgqueue", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-nice", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-nofile", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-nproc", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-rss", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-rtprio", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-rttime", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-sigpending", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"limit-stack", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"listen", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"log-compress", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"log-keep", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"log-max-age", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"log-max-size", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"log-timestamp", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"nice", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"no-new-privileges", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"oom-score-adj", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"parent-death-signal", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"pid-file", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"post-start", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"post-stop", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"pre-start", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"ready", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"reload-command", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"reload-signal", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"requires", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"schedule", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"stop-command", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"supplementary-groups", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"type", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"wants", KEY_UNSUPPORTED, 0, NONE, NULL},
    {"watchdog", KEY_UNSUPPORTED, 0, NONE, NULL},
};

const size_t spec_n_keys = sizeof(spec_keys) / sizeof(spec_keys[0]);

const struct spec_key *spec_key_find(const char *name)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        if (strcmp(spec_keys[i].name, name) == 0)
            return &spec_keys[i];
    }
    return NULL;
}

static void *field(struct spec *spec, const struct spec_key *key)
{
    return (char *)spec + key->offset;
}

static const void *const_field(const struct spec *spec, const struct spec_key *key)
{
    return (const char *)spec + key->offset;
}

struct spec *spec_new(const char *name)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));

    spec->name = xstrdup(name);
    for (size_t i = 0; i < spec_n_keys; i++) {
        char err[256];
        char *value[] = {(char *)spec_keys[i].dflt, NULL};
        if (value[0] != NULL && !spec_set(spec, &spec_keys[i], value, 1, false, err, sizeof(err)))
            abort();
    }
    return spec;
}

static void copy_ids(struct spec_ids *to, const struct spec_ids *from)
{
    *to = *from;
    to->groups = NULL;
    if (from->n_groups > 0) {
        to->groups = xreallocarray(NULL, from->n_groups, sizeof(*to->groups));
        memcpy(to->groups, from->groups, from->n_groups * sizeof(*to->groups));
    }
    to->user_name = xstrdup(from->user_name);
    to->home = xstrdup(from->home);
    to->shell = xstrdup(from->shell);
}

/* TO begins as a plain copy of its struct: what a key points to is made its own. */
static void own_value(struct spec *to, const struct spec_key *key)
{
    void *value = to;

    if (key->type == KEY_UNSUPPORTED)
        return;
    value = field(to, key);
    switch (key->type) {
    case KEY_ARGV:
    case KEY_STRV:
        *(char ***)value = strv_dup(*(char ***)value);
        break;
    case KEY_STRING:
    case KEY_PATH:
        *(char **)value = xstrdup(*(char **)value);
        break;
    case KEY_LOG:
        ((struct spec_log *)value)->path = xstrdup(((struct spec_log *)value)->path);
        break;
    default:
        break;
    }
}

struct spec *spec_dup(const struct spec *spec)
{
    struct spec *copy = xmalloc(sizeof(*copy));

    *copy = *spec;
    copy->name = xstrdup(spec->name);
    copy->file = xstrdup(spec->file);
    copy_ids(&copy->ids, &spec->ids);
    for (size_t i = 0; i < spec_n_keys; i++)
        own_value(copy, &spec_keys[i]);
    return copy;
}

static void free_value(struct spec *spec, const struct spec_key *key)
{
    switch (key->type) {
    case KEY_ARGV:
    case KEY_STRV:
        strv_free(*(char ***)field(spec, key));
        break;
    case KEY_STRING:
    case KEY_PATH:
        free(*(char **)field(spec, key));
        break;
    case KEY_LOG:
        free(((struct spec_log *)field(spec, key))->path);
        break;
    default:
        break;
    }
}

void spec_free(struct spec *spec)
{
    if (spec == NULL)
        return;
    for (size_t i = 0; i < spec_n_keys; i++)
        free_value(spec, &spec_keys[i]);
    free(spec->ids.groups);
    free(spec->ids.user_name);
    free(spec->ids.home);
    free(spec->ids.shell);
    free(spec->name);
    free(spec->file);
    free(spec);
}

bool spec_validate(const struct spec *spec, char *err, size_t err_size)
{
    char delay[64];
    char max[64];

    if (strv_len(spec->command) == 0) {
        snprintf(err, err_size, "key 'command' is missing: say which program to run");
        return false;
    }
    if (spec->restart_delay > spec->restart_delay_max) {
        snprintf(err, err_size,
                 "restart-delay (%s) is longer than restart-delay-max (%s): raise the one or lower the other",
                 duration_format(spec->restart_delay, delay, sizeof(delay)),
                 duration_format(spec->restart_delay_max, max, sizeof(max)));
        return false;
    }
    return true;
}

static bool same_string(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_groups(const struct spec_ids *a, const struct spec_ids *b)
{
    return a->n_groups == b->n_groups &&
           (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0);
}

/* What follows from `user`: with no `group` beside it, that is the login group too. */
static bool same_user(const struct spec *a, const struct spec *b)
{
    if (!same_string(a->user, b->user))
        return false;
    if (a->user == NULL)
        return true;
    return a->ids.set == b->ids.set && a->ids.uid == b->ids.uid && same_groups(&a->ids, &b->ids) &&
           same_string(a->ids.user_name, b->ids.user_name) && same_string(a->ids.home, b->ids.home) &&
           same_string(a->ids.shell, b->ids.shell) &&
           (a->group != NULL || b->group != NULL || a->ids.gid == b->ids.gid);
}

static bool same_group(const struct spec *a, const struct spec *b)
{
    if (!same_string(a->group, b->group))
        return false;
    return a->group == NULL || (a->ids.set == b->ids.set && a->ids.gid == b->ids.gid);
}

static bool same_log(const struct spec_log *a, const struct spec_log *b)
{
    return a->kind == b->kind && same_string(a->path, b->path);
}

bool spec_key_equal(const struct spec *a, const struct spec *b, const struct spec_key *key)
{
    if (key->type == KEY_UNSUPPORTED)
        return true;
    if (key->offset == AT(user))
        return same_user(a, b);
    if (key->offset == AT(group))
        return same_group(a, b);

    const void *x = const_field(a, key);
    const void *y = const_field(b, key);
    switch (key->type) {
    case KEY_ARGV:
    case KEY_STRV:
        return strv_equal(*(char **const *)x, *(char **const *)y);
    case KEY_STRING:
    case KEY_PATH:
        return same_string(*(char *const *)x, *(char *const *)y);
    case KEY_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case KEY_UINT:
    case KEY_OCTAL:
        return *(const uint32_t *)x == *(const uint32_t *)y;
    case KEY_DURATION:
        return *(const int64_t *)x == *(const int64_t *)y;
    case KEY_SIGNAL:
        return *(const int32_t *)x == *(const int32_t *)y;
    case KEY_EXIT_SET:
        return memcmp(x, y, sizeof(struct exit_set)) == 0;
    case KEY_RESTART:
        return *(const enum restart_policy *)x == *(const enum restart_policy *)y;
    case KEY_KILL_MODE:
        return *(const enum kill_mode *)x == *(const enum kill_mode *)y;
    case KEY_LOG:
        return same_log(x, y);
    case KEY_UNSUPPORTED:
        break;
    }
    return true;
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
