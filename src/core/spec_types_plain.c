/* SPDX-License-Identifier: MIT */
/* Keys whose value is one string or one number. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/spec_type.h"

static const char *const truth_names[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- strings ---- */

bool key_string_set(const struct key_input *in, void *to)
{
    char **string = to;

    if (in->values[0][0] == '\0')
        return key_fail(in, "the value is empty: leave the key out, or give it a value");
    free(*string);
    *string = xstrdup(in->values[0]);
    return true;
}

char **key_string_get(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(*(char *const *)from);
}

void key_string_dup(void *value)
{
    char **string = value;

    *string = xstrdup(*string);
}

void key_string_free(void *value)
{
    free(*(char **)value);
}

bool key_string_equal(const void *a, const void *b)
{
    return key_same_string(*(char *const *)a, *(char *const *)b);
}

/* "~" and "~/x" */
static bool is_below_home(const char *path)
{
    return path[0] == '~' && (path[1] == '\0' || path[1] == '/');
}

static bool set_path(const struct key_input *in, void *to)
{
    bool home = (in->key->flags & KEY_F_HOME) != 0 && is_below_home(in->values[0]);

    if (in->values[0][0] != '\0' && !home && !key_check_path(in, in->values[0]))
        return false;
    return key_string_set(in, to);
}

const struct key_type_ops key_type_path = {
    .size = sizeof(char *),
    .set = set_path,
    .get = key_string_get,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal = key_string_equal,
};

/* ---- numbers ---- */

static bool set_bool(const struct key_input *in, void *to)
{
    int i = key_parse_word(in, in->values[0], truth_names, LEN(truth_names));

    if (i >= 0)
        *(bool *)to = i % 2 != 0;
    return i >= 0;
}

static char **get_bool(const struct spec_key *key, const void *from)
{
    (void)key;
    return key_one_value(truth_names[*(const bool *)from]);
}

const struct key_type_ops key_type_bool = {.size = sizeof(bool), .set = set_bool, .get = get_bool};

static bool set_uint(const struct key_input *in, void *to)
{
    unsigned least = (in->key->flags & KEY_F_POSITIVE) != 0;
    uint32_t number;

    if (!key_parse_uint(in->values[0], 10, UINT32_MAX, &number) || number < least)
        return key_fail(in, "'%s' is not a whole number from %u to 4294967295", in->values[0], least);
    *(uint32_t *)to = number;
    return true;
}

static char **get_uint(const struct spec_key *key, const void *from)
{
    (void)key;
    return strv_push(NULL, xasprintf("%u", *(const uint32_t *)from));
}

const struct key_type_ops key_type_uint = {.size = sizeof(uint32_t), .set = set_uint, .get = get_uint};

static bool set_octal(const struct key_input *in, void *to)
{
    if (!key_parse_uint(in->values[0], 8, 0777, to))
        return key_fail(in, "'%s' is not an octal number from 0 to 0777, as 0022", in->values[0]);
    return true;
}

static char **get_octal(const struct spec_key *key, const void *from)
{
    (void)key;
    return strv_push(NULL, xasprintf("%04o", *(const uint32_t *)from));
}

const struct key_type_ops key_type_octal = {.size = sizeof(uint32_t), .set = set_octal, .get = get_octal};

static bool set_duration(const struct key_input *in, void *to)
{
    int64_t duration;

    if (!duration_parse(in->values[0], &duration))
        return key_fail(in, "'%s' is not a duration: write 250ms, 10s, 5m, 1h30m or a number of seconds",
                        in->values[0]);
    if (duration == 0 && (in->key->flags & KEY_F_POSITIVE) != 0)
        return key_fail(in, "it must be longer than 0");
    *(int64_t *)to = duration;
    return true;
}

static char **get_duration(const struct spec_key *key, const void *from)
{
    char buf[128];

    (void)key;
    return key_one_value(duration_format(*(const int64_t *)from, buf, sizeof(buf)));
}

const struct key_type_ops key_type_duration = {.size = sizeof(int64_t), .set = set_duration, .get = get_duration};

static bool set_signal(const struct key_input *in, void *to)
{
    int signo = signal_from_name(in->values[0]);

    if (signo < 0)
        return key_fail_signal(in, in->values[0], "not a signal: write a name of signal(7), as TERM, or a number");
    *(int32_t *)to = signo;
    return true;
}

static char **get_signal(const struct spec_key *key, const void *from)
{
    char buf[16];

    (void)key;
    int32_t signo = *(const int32_t *)from;

    return signo != 0 ? key_one_value(signal_to_name(signo, buf)) : NULL;
}

const struct key_type_ops key_type_signal = {.size = sizeof(int32_t), .set = set_signal, .get = get_signal};
