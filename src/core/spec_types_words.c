/* SPDX-License-Identifier: MIT */
/* Keys whose value is one of some words. */
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
