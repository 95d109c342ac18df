/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "base/units.h"
#include "core/spec.h"

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
};

static const char *const truth_names[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* What spec_set() was given, taken along to whoever finds a fault. */
struct input {
    const struct spec_key *key;
    char *const *values;
    size_t n;
    bool is_list;
    char *err;
    size_t err_size;
};

static bool fail(const struct input *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(const struct input *in, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(in->err, in->err_size, fmt, ap);
    va_end(ap);
    return false;
}

const char *restart_policy_name(enum restart_policy policy)
{
    return restart_names[policy];
}

const char *kill_mode_name(enum kill_mode mode)
{
    return kill_mode_names[mode];
}

/* The index of WORD in NAMES, or -1 with the error written. */
static int parse_word(const struct input *in, const char *word, const char *const *names, size_t n)
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
        fail(in, "'%s' is none of %s; did you mean '%s'?", word, known, near);
    else
        fail(in, "'%s' is none of %s", word, known);
    return -1;
}

static bool check_path(const struct input *in, const char *path)
{
    if (path[0] != '/')
        return fail(in, "'%s' is not an absolute path: write it from '/' on", path);
    return true;
}

static bool check_assignment(const struct input *in, const char *assignment)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t len = strcspn(assignment, "=");

    if (assignment[len] == '\0')
        return fail(in, "'%s' has no '=': write KEY=VALUE", assignment);
    if (len == 0 || strspn(assignment, allowed) < len || (assignment[0] >= '0' && assignment[0] <= '9'))
        return fail(in, "'%.*s' cannot be a variable's name: use letters, digits and _, not a digit first", (int)len,
                    assignment);
    return true;
}

static bool check_element(const struct input *in, const char *value)
{
    if ((in->key->flags & KEY_F_ENVIRONMENT) != 0)
        return check_assignment(in, value);
    if ((in->key->flags & KEY_F_PATHS) != 0)
        return check_path(in, value[0] == '-' ? value + 1 : value);
    return true;
}

static bool set_strv(const struct input *in, char ***to)
{
    char **v = NULL;

    for (size_t i = 0; i < in->n; i++) {
        if (!check_element(in, in->values[i]))
            return false;
    }
    if ((in->key->flags & KEY_F_ADDS) != 0) {
        v = *to;
        *to = NULL;
    }
    for (size_t i = 0; i < in->n; i++) {
        if ((in->key->flags & KEY_F_ENVIRONMENT) != 0)
            v = strv_env_set(v, in->values[i]);
        else
            v = strv_push(v, xstrdup(in->values[i]));
    }
    strv_free(*to);
    *to = v;
    return true;
}

static char **copy_values(char *const *values, size_t n)
{
    char **v = xcalloc(n + 1, sizeof(*v));

    for (size_t i = 0; i < n; i++)
        v[i] = xstrdup(values[i]);
    return v;
}

static bool set_argv(const struct input *in, char ***to)
{
    char **v = in->is_list ? copy_values(in->values, in->n) : spec_split_words(in->values[0], in->err, in->err_size);

    if (v == NULL)
        return false;
    if (v[0] == NULL || v[0][0] == '\0') {
        strv_free(v);
        return fail(in, "it names no program: the first word must be one");
    }
    strv_free(*to);
    *to = v;
    return true;
}

static bool set_string(const struct input *in, const char *value, char **to)
{
    if (value[0] == '\0')
        return fail(in, "the value is empty: leave the key out, or give it a value");
    if (in->key->type == KEY_PATH && !check_path(in, value))
        return false;
    free(*to);
    *to = xstrdup(value);
    return true;
}

static bool set_bool(const struct input *in, const char *value, bool *to)
{
    int i = parse_word(in, value, truth_names, LEN(truth_names));

    if (i >= 0)
        *to = i % 2 != 0;
    return i >= 0;
}

/* Digits of BASE only, up to MAX. */
static bool parse_uint(const char *text, unsigned base, uint32_t max, uint32_t *number)
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

static bool set_uint(const struct input *in, const char *value, uint32_t *to)
{
    if (!parse_uint(value, 10, UINT32_MAX, to))
        return fail(in, "'%s' is not a whole number from 0 to 4294967295", value);
    return true;
}

static bool set_octal(const struct input *in, const char *value, uint32_t *to)
{
    if (!parse_uint(value, 8, 0777, to))
        return fail(in, "'%s' is not an octal number from 0 to 0777, as 0022", value);
    return true;
}

static bool set_duration(const struct input *in, const char *value, int64_t *to)
{
    if (!duration_parse(value, to))
        return fail(in, "'%s' is not a duration: write 250ms, 10s, 5m, 1h30m or a number of seconds", value);
    return true;
}

static bool fail_signal(const struct input *in, const char *value, const char *text)
{
    const char *near = signal_suggest(value);

    if (near != NULL)
        return fail(in, "'%s' is %s; did you mean '%s'?", value, text, near);
    return fail(in, "'%s' is %s", value, text);
}

static bool set_signal(const struct input *in, const char *value, int32_t *to)
{
    int signo = signal_from_name(value);

    if (signo < 0)
        return fail_signal(in, value, "not a signal: write a name of signal(7), as TERM, or a number");
    *to = signo;
    return true;
}

static bool set_exit_set(const struct input *in, struct exit_set *to)
{
    struct exit_set set = {0};

    for (size_t i = 0; i < in->n; i++) {
        const char *value = in->values[i];
        uint32_t code;
        if (parse_uint(value, 10, 255, &code)) {
            exit_set_add_code(&set, (int)code);
            continue;
        }

        /* A number is always a code: 15 is `exit 15`, not SIGTERM. */
        int signo = value[strspn(value, "0123456789")] == '\0' ? -1 : signal_from_name(value);
        if (signo < 0)
            return fail_signal(in, value, "neither an exit code from 0 to 255 nor the name of a signal, as TERM");
        exit_set_add_signal(&set, signo);
    }
    *to = set;
    return true;
}

static bool set_restart(const struct input *in, const char *value, enum restart_policy *to)
{
    int i = parse_word(in, value, restart_names, LEN(restart_names));

    if (i >= 0)
        *to = (enum restart_policy)i;
    return i >= 0;
}

static bool set_kill_mode(const struct input *in, const char *value, enum kill_mode *to)
{
    if (strcmp(value, "cgroup") == 0)
        return fail(in, "'cgroup' is not supported yet: use group, process or mixed");

    int i = parse_word(in, value, kill_mode_names, LEN(kill_mode_names));
    if (i >= 0)
        *to = (enum kill_mode)i;
    return i >= 0;
}

static bool set_log(const struct input *in, const char *value, struct spec_log *to)
{
    enum log_kind kind = LOG_KIND_FILE;

    if (strcmp(value, "journal") == 0 || strcmp(value, "syslog") == 0)
        return fail(in, "'%s' is not supported yet: use the path of a file, inherit or none", value);
    if (strcmp(value, "inherit") == 0)
        kind = LOG_KIND_INHERIT;
    else if (strcmp(value, "none") == 0)
        kind = LOG_KIND_NONE;
    else if (value[0] != '/')
        return fail(in, "'%s' is neither inherit nor none nor the absolute path of a file", value);

    free(to->path);
    to->path = kind == LOG_KIND_FILE ? xstrdup(value) : NULL;
    to->kind = kind;
    return true;
}

static bool takes_list(enum key_type type)
{
    return type == KEY_ARGV || type == KEY_STRV || type == KEY_EXIT_SET;
}

bool spec_set(struct spec *spec, const struct spec_key *key, char *const *values, size_t n, bool is_list, char *err,
              size_t err_size)
{
    const struct input in = {key, values, n, is_list, err, err_size};

    if (key->type == KEY_UNSUPPORTED)
        return fail(&in, "not supported yet");
    if (is_list && !takes_list(key->type))
        return fail(&in, "it takes one value, not a list: leave the braces out");
    if (!is_list && n != 1)
        return fail(&in, "it takes one value, not %zu", n);

    void *to = (char *)spec + key->offset;
    switch (key->type) {
    case KEY_ARGV:
        return set_argv(&in, to);
    case KEY_STRING:
    case KEY_PATH:
        return set_string(&in, values[0], to);
    case KEY_STRV:
        return set_strv(&in, to);
    case KEY_BOOL:
        return set_bool(&in, values[0], to);
    case KEY_UINT:
        return set_uint(&in, values[0], to);
    case KEY_OCTAL:
        return set_octal(&in, values[0], to);
    case KEY_DURATION:
        return set_duration(&in, values[0], to);
    case KEY_SIGNAL:
        return set_signal(&in, values[0], to);
    case KEY_EXIT_SET:
        return set_exit_set(&in, to);
    case KEY_RESTART:
        return set_restart(&in, values[0], to);
    case KEY_KILL_MODE:
        return set_kill_mode(&in, values[0], to);
    case KEY_LOG:
        return set_log(&in, values[0], to);
    case KEY_UNSUPPORTED:
        break;
    }
    return false;
}

static char **one(const char *value)
{
    return value != NULL ? strv_push(NULL, xstrdup(value)) : NULL;
}

static char **get_exit_set(const struct exit_set *set)
{
    char **v = xcalloc(1, sizeof(*v));
    char buf[16];

    for (int code = 0; code <= 255; code++) {
        if (exit_set_has_code(set, code))
            v = strv_push(v, xasprintf("%d", code));
    }
    for (int signo = 1; signo <= 64; signo++) {
        /* "SIG32" for one without a name: its bare number would be an exit code. */
        if (exit_set_has_signal(set, signo))
            v = strv_push(v, xasprintf("SIG%s", signal_to_name(signo, buf)));
    }
    return v;
}

static char **get_log(const struct spec_log *log)
{
    switch (log->kind) {
    case LOG_KIND_UNSET:
        return NULL;
    case LOG_KIND_INHERIT:
        return one("inherit");
    case LOG_KIND_NONE:
        return one("none");
    case LOG_KIND_FILE:
        return one(log->path);
    }
    return NULL;
}

char **spec_get(const struct spec *spec, const struct spec_key *key, bool *is_list)
{
    char buf[128];

    *is_list = takes_list(key->type);
    if (key->type == KEY_UNSUPPORTED)
        return NULL;

    const void *from = (const char *)spec + key->offset;
    switch (key->type) {
    case KEY_ARGV:
    case KEY_STRV:
        return strv_dup(*(char **const *)from);
    case KEY_STRING:
    case KEY_PATH:
        return one(*(char *const *)from);
    case KEY_BOOL:
        return one(truth_names[*(const bool *)from]);
    case KEY_UINT:
        return strv_push(NULL, xasprintf("%u", *(const uint32_t *)from));
    case KEY_OCTAL:
        return strv_push(NULL, xasprintf("%04o", *(const uint32_t *)from));
    case KEY_DURATION:
        return one(duration_format(*(const int64_t *)from, buf, sizeof(buf)));
    case KEY_SIGNAL:
        return one(signal_to_name(*(const int32_t *)from, buf));
    case KEY_EXIT_SET:
        return get_exit_set(from);
    case KEY_RESTART:
        return one(restart_policy_name(*(const enum restart_policy *)from));
    case KEY_KILL_MODE:
        return one(kill_mode_name(*(const enum kill_mode *)from));
    case KEY_LOG:
        return get_log(from);
    case KEY_UNSUPPORTED:
        break;
    }
    return NULL;
}
