/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "core/spec_type.h"

static const struct key_type_ops *const types[] = {
    [KEY_ARGV] = &key_type_argv,
    [KEY_HOOK] = &key_type_hook,
    [KEY_SERVICE_TYPE] = &key_type_service_type,
    [KEY_PATH] = &key_type_path,
    [KEY_STRV] = &key_type_strv,
    [KEY_BOOL] = &key_type_bool,
    [KEY_UINT] = &key_type_uint,
    [KEY_OCTAL] = &key_type_octal,
    [KEY_DURATION] = &key_type_duration,
    [KEY_SIGNAL] = &key_type_signal,
    [KEY_EXIT_SET] = &key_type_exit_set,
    [KEY_SCHEDULE] = &key_type_schedule,
    [KEY_LISTEN] = &key_type_listen,
    [KEY_START] = &key_type_start,
    [KEY_RESTART] = &key_type_restart,
    [KEY_KILL_MODE] = &key_type_kill_mode,
    [KEY_LOG] = &key_type_log,
    [KEY_LOG_FORMAT] = &key_type_log_format,
    [KEY_LOG_WHEN_FULL] = &key_type_log_when_full,
    [KEY_LOG_PREFIX] = &key_type_log_prefix,
    [KEY_LOG_TIMESTAMP] = &key_type_log_timestamp,
    [KEY_LOG_RATE] = &key_type_log_rate,
    [KEY_SIZE] = &key_type_size,
    [KEY_OWNER] = &key_type_owner,
    [KEY_USER] = &key_type_user,
    [KEY_GROUP] = &key_type_group,
    [KEY_NICE] = &key_type_nice,
    [KEY_OOM_SCORE_ADJ] = &key_type_oom_score_adj,
    [KEY_IO] = &key_type_io,
    [KEY_CPUS] = &key_type_cpus,
    [KEY_LIMIT] = &key_type_limit,
    [KEY_GROUPS] = &key_type_groups,
    [KEY_CAPABILITIES] = &key_type_capabilities,
    [KEY_CAPABILITY_BOUNDS] = &key_type_capability_bounds,
    [KEY_DEATH_SIGNAL] = &key_type_death_signal,
    [KEY_INPUT] = &key_type_input,
    [KEY_INSTANCES] = &key_type_instances,
    [KEY_READY] = &key_type_ready,
    [KEY_NOTIFY_ACCESS] = &key_type_notify_access,
    [KEY_NAMES] = &key_type_names,
    [KEY_WATCHDOG] = &key_type_watchdog,
    [KEY_CHECK_TCP] = &key_type_check_tcp,
    [KEY_CHECK_HTTP] = &key_type_check_http,
    [KEY_TEXT] = &key_type_text,
    [KEY_STATUSES] = &key_type_statuses,
    [KEY_PERCENT] = &key_type_percent,
    [KEY_ON_FAILURE] = &key_type_on_failure,
    [KEY_SIZE_LIMIT] = &key_type_size_limit,
    [KEY_COUNT_LIMIT] = &key_type_count_limit,
    [KEY_CPU_MAX] = &key_type_cpu_max,
    [KEY_WEIGHT] = &key_type_weight,
};

_Static_assert(sizeof(types) / sizeof(types[0]) == KEY_N_TYPES, "each type of key has its functions");

const struct key_type_ops *key_type_ops(enum key_type type)
{
    return types[type];
}

bool key_fail(const struct key_input *in, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(in->err, in->err_size, fmt, ap);
    va_end(ap);
    return false;
}

bool key_fail_signal(const struct key_input *in, const char *value, const char *text)
{
    const char *near = signal_suggest(value);

    if (near != NULL)
        return key_fail(in, "'%s' is %s; did you mean '%s'?", value, text, near);
    return key_fail(in, "'%s' is %s", value, text);
}

int key_parse_word(const struct key_input *in, const char *word, const char *const *names, size_t n)
{
    char known[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, names[i]) == 0)
            return (int)i;
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }

    const char *near = suggest_nearest(word, names, n);
    if (near != NULL)
        key_fail(in, "'%s' is none of %s; did you mean '%s'?", word, known, near);
    else
        key_fail(in, "'%s' is none of %s", word, known);
    return -1;
}

bool key_parse_uint(const char *text, unsigned base, uint32_t max, uint32_t *number)
{
    uint64_t n = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text >= (char)('0' + base))
            return false;
        n = n * base + (unsigned)(*text - '0');
        if (n > max)
            return false;
    }
    *number = (uint32_t)n;
    return true;
}

bool key_check_path(const struct key_input *in, const char *path)
{
    if (path[0] != '/')
        return key_fail(in, "'%s' is not an absolute path: write it from '/' on", path);
    return true;
}

char **key_one_value(const char *value)
{
    return value != NULL ? strv_push(NULL, xstrdup(value)) : NULL;
}

bool key_same_string(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}
