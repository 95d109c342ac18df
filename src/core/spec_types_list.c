/* SPDX-License-Identifier: MIT */
/* Keys whose value is a list. */
#include <string.h>

#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "core/schedule.h"
#include "core/socket_spec.h"
#include "core/spec_type.h"

/* ---- vectors of strings ---- */

char **key_vector_get(const struct spec_key *key, const void *from)
{
    (void)key;
    return strv_dup(*(char **const *)from);
}

void key_vector_dup(void *value)
{
    char ***v = value;

    *v = strv_dup(*v);
}

void key_vector_free(void *value)
{
    strv_free(*(char ***)value);
}

bool key_vector_equal(const void *a, const void *b)
{
    return strv_equal(*(char **const *)a, *(char **const *)b);
}

static bool check_assignment(const struct key_input *in, const char *assignment)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t len = strcspn(assignment, "=");

    if (assignment[len] == '\0')
        return key_fail(in, "'%s' has no '=': write KEY=VALUE", assignment);
    if (len == 0 || strspn(assignment, allowed) < len || (assignment[0] >= '0' && assignment[0] <= '9'))
        return key_fail(in, "'%.*s' cannot be a variable's name: use letters, digits and _, not a digit first",
                        (int)len, assignment);
    return true;
}

static bool check_element(const struct key_input *in, const char *value)
{
    if ((in->key->flags & KEY_F_ENVIRONMENT) != 0)
        return check_assignment(in, value);
    if ((in->key->flags & KEY_F_PATHS) != 0)
        return key_check_path(in, value[0] == '-' ? value + 1 : value);
    return true;
}

bool key_vector_set(const struct key_input *in, void *to)
{
    char ***old = to;
    char **v = NULL;

    for (size_t i = 0; i < in->n; i++) {
        if (!check_element(in, in->values[i]))
            return false;
    }
    if ((in->key->flags & KEY_F_ADDS) != 0) {
        v = *old;
        *old = NULL;
    }
    for (size_t i = 0; i < in->n; i++) {
        if ((in->key->flags & KEY_F_ENVIRONMENT) != 0)
            v = strv_env_set(v, in->values[i]);
        else
            v = strv_push(v, xstrdup(in->values[i]));
    }
    strv_free(*old);
    *old = v;
    return true;
}

const struct key_type_ops key_type_strv = {
    .takes_list = true,
    .size = sizeof(char **),
    .set = key_vector_set,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};

static char **copy_values(char *const *values, size_t n)
{
    char **v = xcalloc(n + 1, sizeof(*v));

    for (size_t i = 0; i < n; i++)
        v[i] = xstrdup(values[i]);
    return v;
}

/* The words of a command that names a program; NULL: told what is wrong. */
char **key_command_words(const struct key_input *in)
{
    char **v = in->is_list ? copy_values(in->values, in->n) : spec_split_words(in->values[0], in->err, in->err_size);

    if (v == NULL)
        return NULL;
    if (v[0] == NULL || v[0][0] == '\0') {
        strv_free(v);
        key_fail(in, "it names no program: the first word must be one");
        return NULL;
    }
    return v;
}

static bool set_argv(const struct key_input *in, void *to)
{
    char ***old = to;
    char **v = key_command_words(in);

    if (v == NULL)
        return false;
    strv_free(*old);
    *old = v;
    return true;
}

const struct key_type_ops key_type_argv = {
    .takes_list = true,
    .is_command = true,
    .size = sizeof(char **),
    .set = set_argv,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};

/* ---- sockets ---- */

/* Another entry for the same address could not be opened beside it. */
static bool check_twice(const struct key_input *in, char *const *others, const struct socket_spec *spec)
{
    char one[SOCKET_ADDRESS_MAX];
    char two[SOCKET_ADDRESS_MAX];

    socket_spec_address(spec, one);
    for (; others != NULL && *others != NULL; others++) {
        struct socket_spec other;

        if (socket_spec_parse(*others, &other, in->err, in->err_size) &&
            strcmp(one, socket_spec_address(&other, two)) == 0)
            return key_fail(in, "'%s' is there twice: give it once", one);
    }
    return true;
}

static bool set_listen(const struct key_input *in, void *to)
{
    char ***old = to;
    char **v = NULL;

    for (size_t i = 0; i < in->n; i++) {
        struct socket_spec spec;

        if (!socket_spec_parse(in->values[i], &spec, in->err, in->err_size) || !check_twice(in, v, &spec)) {
            strv_free(v);
            return false;
        }
        v = strv_push(v, socket_spec_format(&spec));
    }
    strv_free(*old);
    *old = v;
    return true;
}

const struct key_type_ops key_type_listen = {
    .takes_list = true,
    .size = sizeof(char **),
    .set = set_listen,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};

/* What is looked at are the words, not the text: a dump writes them as a list. */
static bool set_hook(const struct key_input *in, void *to)
{
    char ***old = to;
    char **v = key_command_words(in);

    if (v == NULL)
        return false;
    if (v[0][0] == '-' && (v[0][1] == '\0' || v[0][1] == ' ')) {
        strv_free(v);
        return key_fail(in, "it names no program: the '-' stands right before one, as in \"-/bin/true\"");
    }
    strv_free(*old);
    *old = v;
    return true;
}

const struct key_type_ops key_type_hook = {
    .takes_list = true,
    .is_command = true,
    .size = sizeof(char **),
    .set = set_hook,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};

/* ---- times ---- */

static bool set_schedule(const struct key_input *in, void *to)
{
    return schedule_check(in->values, in->n, in->err, in->err_size) && key_vector_set(in, to);
}

const struct key_type_ops key_type_schedule = {
    .takes_list = true,
    .size = sizeof(char **),
    .set = set_schedule,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};

/* ---- exit codes and signals ---- */

static bool set_exit_set(const struct key_input *in, void *to)
{
    struct exit_set set = {0};

    for (size_t i = 0; i < in->n; i++) {
        const char *value = in->values[i];
        uint32_t code;
        if (key_parse_uint(value, 10, 255, &code)) {
            exit_set_add_code(&set, (int)code);
            continue;
        }

        /* A number is always a code: 15 is `exit 15`, not SIGTERM. */
        int signo = value[strspn(value, "0123456789")] == '\0' ? -1 : signal_from_name(value);
        if (signo < 0)
            return key_fail_signal(in, value, "neither an exit code from 0 to 255 nor the name of a signal, as TERM");
        exit_set_add_signal(&set, signo);
    }
    *(struct exit_set *)to = set;
    return true;
}

static char **get_exit_set(const struct spec_key *key, const void *from)
{
    const struct exit_set *set = from;
    char **v = xcalloc(1, sizeof(*v));
    char buf[16];

    (void)key;
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

const struct key_type_ops key_type_exit_set = {
    .takes_list = true,
    .size = sizeof(struct exit_set),
    .set = set_exit_set,
    .get = get_exit_set,
};
