/* SPDX-License-Identifier: MIT */
/* Keys of check { }. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/spec_type.h"

#define STATUS_MIN 100
#define STATUS_MAX 599
#define PERCENT_MAX 1000000

/* ---- where to look ---- */

static bool set_tcp(const struct key_input *in, void *to)
{
    struct socket_spec address;

    return check_tcp_parse(in->values[0], &address, in->err, in->err_size) && key_string_set(in, to);
}

static bool set_http(const struct key_input *in, void *to)
{
    struct check_http http;

    return check_http_parse(in->values[0], &http, in->err, in->err_size) && key_string_set(in, to);
}

#define STRING_TYPE(set_fn)                                                                    \
    {                                                                                          \
        .size = sizeof(char *), .set = (set_fn), .get = key_string_get, .dup = key_string_dup, \
        .free = key_string_free, .equal = key_string_equal,                                    \
    }

const struct key_type_ops key_type_check_tcp = STRING_TYPE(set_tcp);
const struct key_type_ops key_type_check_http = STRING_TYPE(set_http);
const struct key_type_ops key_type_text = STRING_TYPE(key_string_set);

/* ---- what means success ---- */

static bool set_statuses(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    const char *dash = strchr(value, '-');
    char *first = dash != NULL ? strndup(value, (size_t)(dash - value)) : strdup(value);
    struct spec_statuses read = {0};
    bool ok = key_parse_uint(mem_checked(first), 10, STATUS_MAX, &read.first) &&
              key_parse_uint(dash != NULL ? dash + 1 : value, 10, STATUS_MAX, &read.last) && read.first >= STATUS_MIN &&
              read.first <= read.last;

    free(first);
    if (!ok)
        return key_fail(in, "'%s' is neither a status from %d to %d nor a range: write 200, or 200-299", value,
                        STATUS_MIN, STATUS_MAX);
    *(struct spec_statuses *)to = read;
    return true;
}

static char **get_statuses(const struct spec_key *key, const void *from)
{
    const struct spec_statuses *s = from;

    (void)key;
    return strv_push(NULL, s->first == s->last ? xasprintf("%u", s->first) : xasprintf("%u-%u", s->first, s->last));
}

const struct key_type_ops key_type_statuses = {
    .size = sizeof(struct spec_statuses), .set = set_statuses, .get = get_statuses};

static bool set_percent(const struct key_input *in, void *to)
{
    const char *value = in->values[0];
    size_t len = strlen(value);
    char *number = strndup(value, len > 0 ? len - 1 : 0);
    uint32_t percent = 0;
    bool ok = len > 1 && value[len - 1] == '%' && key_parse_uint(mem_checked(number), 10, PERCENT_MAX, &percent);

    free(number);
    if (!ok || percent == 0)
        return key_fail(in, "'%s' is not a share of CPU time: write 80%%, or 200%% for two CPUs", value);
    *(uint32_t *)to = percent;
    return true;
}

static char **get_percent(const struct spec_key *key, const void *from)
{
    uint32_t percent = *(const uint32_t *)from;

    (void)key;
    return percent > 0 ? strv_push(NULL, xasprintf("%u%%", percent)) : NULL;
}

const struct key_type_ops key_type_percent = {.size = sizeof(uint32_t), .set = set_percent, .get = get_percent};

/* ---- on-failure ---- */

static const char *const on_failure_names[] = {
    [ON_FAILURE_RESTART] = "restart",
    [ON_FAILURE_STOP] = "stop",
    [ON_FAILURE_MARK] = "mark",
};

#define N_WORDS (sizeof(on_failure_names) / sizeof(on_failure_names[0]))

static void free_on_failure(void *value)
{
    strv_free(((struct spec_on_failure *)value)->command);
}

/* ON_FAILURE_COMMAND: it is none of the words. */
static enum on_failure word_of(const struct key_input *in)
{
    size_t i = 0;

    while (i < N_WORDS && (in->n != 1 || strcmp(in->values[0], on_failure_names[i]) != 0))
        i++;
    return i < N_WORDS ? (enum on_failure)i : ON_FAILURE_COMMAND;
}

/* A word, or a command: a list, or a string that begins with the path of a program. */
static bool set_on_failure(const struct key_input *in, void *to)
{
    struct spec_on_failure read = {.kind = word_of(in)};

    if (read.kind == ON_FAILURE_COMMAND) {
        if (!in->is_list && in->values[0][0] != '/')
            return key_fail(in, "'%s' is none of restart, stop, mark; a command is a list, or begins with '/'",
                            in->values[0]);
        read.command = key_command_words(in);
        if (read.command == NULL)
            return false;
    }
    free_on_failure(to);
    *(struct spec_on_failure *)to = read;
    return true;
}

static char **get_on_failure(const struct spec_key *key, const void *from)
{
    const struct spec_on_failure *value = from;

    (void)key;
    return value->kind == ON_FAILURE_COMMAND ? strv_dup(value->command) : key_one_value(on_failure_names[value->kind]);
}

static void dup_on_failure(void *value)
{
    struct spec_on_failure *v = value;

    v->command = strv_dup(v->command);
}

static bool equal_on_failure(const void *a, const void *b)
{
    const struct spec_on_failure *x = a;
    const struct spec_on_failure *y = b;

    return x->kind == y->kind && strv_equal(x->command, y->command);
}

const struct key_type_ops key_type_on_failure = {
    .takes_list = true,
    .is_command = true,
    .size = sizeof(struct spec_on_failure),
    .set = set_on_failure,
    .get = get_on_failure,
    .dup = dup_on_failure,
    .free = free_on_failure,
    .equal = equal_on_failure,
};
