/* SPDX-License-Identifier: MIT */
/* Keys whose value is one of some words. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/spec_type.h"

static const char *const restart_names[] = {
    [RESTART_NO] = "no",
    [RESTART_ON_FAILURE] = "on-failure",
    [RESTART_ON_ABNORMAL] = "on-abnormal",
    [RESTART_ALWAYS] = "always",
};

static const char *const kill_mode_names[] = {
    [KILL_MODE_GROUP] = "group",
    [KILL_MODE_PROCESS] = "process",
    [KILL_MODE_MIXED] = "mixed",
    [KILL_MODE_CGROUP] = "cgroup",
};

static const char *const service_type_names[] = {
    [TYPE_SIMPLE] = "simple",
    [TYPE_ONESHOT] = "oneshot",
    [TYPE_FORKING] = "forking",
};
_Static_assert(sizeof(service_type_names) / sizeof(service_type_names[0]) == TYPE_N, "a type of service has no name");

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

const char *restart_policy_name(enum restart_policy policy)
{
    return restart_names[policy];
}

const char *kill_mode_name(enum kill_mode mode)
{
    return kill_mode_names[mode];
}

const char *service_type_name(enum service_type type)
{
    return service_type_names[type];
}

static bool set_service_type(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], service_type_names, LEN(service_type_names));

    if (i >= 0)
        *(enum service_type *)to = (enum service_type)i;
    return i >= 0;
}

static char **get_service_type(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(service_type_name(*(const enum service_type *)from));
}

const struct key_type_ops key_type_service_type = {
    .size = sizeof(enum service_type), .set = set_service_type, .get = get_service_type};

static bool set_restart(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], restart_names, LEN(restart_names));

    if (i >= 0)
        *(enum restart_policy *)to = (enum restart_policy)i;
    return i >= 0;
}

static char **get_restart(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(restart_policy_name(*(const enum restart_policy *)from));
}

const struct key_type_ops key_type_restart = {
    .size = sizeof(enum restart_policy), .set = set_restart, .get = get_restart};

static const char *const start_names[] = {
    [START_AUTO] = "auto",
    [START_ON_DEMAND] = "on-demand",
};

static bool set_start(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], start_names, LEN(start_names));

    if (i >= 0)
        *(enum start_mode *)to = (enum start_mode)i;
    return i >= 0;
}

static char **get_start(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(start_names[*(const enum start_mode *)from]);
}

const struct key_type_ops key_type_start = {.size = sizeof(enum start_mode), .set = set_start, .get = get_start};

static bool set_kill_mode(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], kill_mode_names, LEN(kill_mode_names));
    if (i >= 0)
        *(enum kill_mode *)to = (enum kill_mode)i;
    return i >= 0;
}

static char **get_kill_mode(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(kill_mode_name(*(const enum kill_mode *)from));
}

const struct key_type_ops key_type_kill_mode = {
    .size = sizeof(enum kill_mode), .set = set_kill_mode, .get = get_kill_mode};

static bool set_log(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    struct spec_log *log = to;
    enum log_kind kind = LOG_KIND_FILE;

    if (strcmp(value, "journal") == 0 || strcmp(value, "syslog") == 0)
        return key_fail(in, "'%s' is not supported yet: use the path of a file, inherit or none", value);
    if (strcmp(value, "inherit") == 0)
        kind = LOG_KIND_INHERIT;
    else if (strcmp(value, "none") == 0)
        kind = LOG_KIND_NONE;
    else if (value[0] != '/')
        return key_fail(in, "'%s' is neither inherit nor none nor the absolute path of a file", value);

    free(log->path);
    log->path = kind == LOG_KIND_FILE ? xstrdup(value) : NULL;
    log->kind = kind;
    return true;
}

static char **get_log(const struct spec_key *key, const void *from)
{
    const struct spec_log *log = from;

    (void)key;
    switch (log->kind) {
    case LOG_KIND_UNSET:
        return NULL;
    case LOG_KIND_INHERIT:
        return key_one_value("inherit");
    case LOG_KIND_NONE:
        return key_one_value("none");
    case LOG_KIND_FILE:
        return key_one_value(log->path);
    }
    return NULL;
}

static void dup_log(void *value)
{
    struct spec_log *log = value;

    log->path = xstrdup(log->path);
}

static void free_log(void *value)
{
    free(((struct spec_log *)value)->path);
}

static bool equal_logs(const void *a, const void *b)
{
    const struct spec_log *x = a;
    const struct spec_log *y = b;

    return x->kind == y->kind && key_same_string(x->path, y->path);
}

const struct key_type_ops key_type_log = {
    .size = sizeof(struct spec_log),
    .set = set_log,
    .get = get_log,
    .dup = dup_log,
    .free = free_log,
    .equal = equal_logs,
};

static bool set_input(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    struct spec_log *input = to;
    enum log_kind kind = LOG_KIND_FILE;

    if (strcmp(value, "null") == 0)
        kind = LOG_KIND_NONE;
    else if (strcmp(value, "inherit") == 0)
        kind = LOG_KIND_INHERIT;
    else if (value[0] != '/')
        return key_fail(in, "'%s' is neither null nor inherit nor the absolute path of a file", value);

    free(input->path);
    input->path = kind == LOG_KIND_FILE ? xstrdup(value) : NULL;
    input->kind = kind;
    return true;
}

static char **get_input(const struct spec_key *key, const void *from)
{
    const struct spec_log *input = from;

    return input->kind == LOG_KIND_NONE ? key_one_value("null") : get_log(key, from);
}

const struct key_type_ops key_type_input = {
    .size = sizeof(struct spec_log),
    .set = set_input,
    .get = get_input,
    .dup = dup_log,
    .free = free_log,
    .equal = equal_logs,
};
