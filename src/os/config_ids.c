/* SPDX-License-Identifier: MIT */
#include "os/config_ids.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"
#include "core/socket_spec.h"

/* One answer, good or bad. */
struct answer {
    char *user;
    char *group;
    char **more; /* supplementary-groups */
    struct spec_ids ids;
    char *user_err;
    char *group_err;
    char *more_err;
};

struct config_ids {
    void *tree; /* of struct answer, tsearch(3) */
};

struct config_ids *config_ids_new(void)
{
    return xcalloc(1, sizeof(struct config_ids));
}

static void free_answer(void *data)
{
    struct answer *answer = data;

    free(answer->user);
    free(answer->group);
    strv_free(answer->more);
    free(answer->ids.groups);
    free(answer->ids.user_name);
    free(answer->ids.home);
    free(answer->ids.shell);
    free(answer->user_err);
    free(answer->group_err);
    free(answer->more_err);
    free(answer);
}

void config_ids_free(struct config_ids *ids)
{
    tdestroy(ids->tree, free_answer);
    free(ids);
}

static int compare_strings(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

static int compare_vectors(char *const *a, char *const *b)
{
    size_t n = strv_len(a);
    size_t m = strv_len(b);

    if (n != m)
        return n < m ? -1 : 1;
    for (size_t i = 0; i < n; i++) {
        int order = strcmp(a[i], b[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

static int compare_answers(const void *a, const void *b)
{
    const struct answer *x = a;
    const struct answer *y = b;
    int order = compare_strings(x->user, y->user);

    if (order == 0)
        order = compare_strings(x->group, y->group);
    return order != 0 ? order : compare_vectors(x->more, y->more);
}

static struct answer *look_up(const char *user, const char *group, char **more)
{
    struct answer *answer = xcalloc(1, sizeof(*answer));
    char own_group[16];
    char err[512];
    gid_t gid;

    answer->user = xstrdup(user);
    answer->group = xstrdup(group);
    answer->more = strv_dup(more);
    if (group != NULL && !ids_group(group, &gid, err, sizeof(err))) {
        answer->group_err = xstrdup(err);
        /* With a group in its place that cannot be wrong, what is still wrong is the user. */
        snprintf(own_group, sizeof(own_group), "%u", (unsigned)getegid());
        group = own_group;
    }
    if (!ids_resolve(user, group, more != NULL, &answer->ids, err, sizeof(err))) {
        if (user != NULL)
            answer->user_err = xstrdup(err);
        else
            answer->group_err = xstrdup(err);
    }
    if (!ids_supplementary(more, &answer->ids, err, sizeof(err)))
        answer->more_err = xstrdup(err);
    return answer;
}

static void copy_ids(struct spec_ids *to, const struct spec_ids *from)
{
    free(to->groups);
    free(to->user_name);
    free(to->home);
    free(to->shell);
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

struct config_ids_errors config_ids_resolve(struct config_ids *ids, struct spec *spec)
{
    struct answer wanted = {
        .user = spec->exec->user, .group = spec->exec->group, .more = spec->exec->supplementary_groups};
    struct answer **found = tfind(&wanted, &ids->tree, compare_answers);
    struct answer *answer =
        found != NULL ? *found : look_up(spec->exec->user, spec->exec->group, spec->exec->supplementary_groups);

    if (found == NULL && tsearch(answer, &ids->tree, compare_answers) == NULL)
        abort();
    if (answer->user_err == NULL && answer->group_err == NULL && answer->more_err == NULL)
        copy_ids(&spec_own_exec(spec)->ids, &answer->ids);
    return (struct config_ids_errors){answer->user_err, answer->group_err, answer->more_err};
}

static bool resolve_socket(char **text, char *err, size_t err_size)
{
    struct socket_spec spec;
    char why[384];
    uid_t uid;
    gid_t gid;

    if (!socket_spec_parse(*text, &spec, err, err_size))
        return false;
    if ((spec.user[0] != '\0' && !ids_user(spec.user, &uid, why, sizeof(why))) ||
        (spec.group[0] != '\0' && !ids_group(spec.group, &gid, why, sizeof(why)))) {
        snprintf(err, err_size, "'%s': %s", *text, why);
        return false;
    }
    if (spec.user[0] != '\0')
        snprintf(spec.user, sizeof(spec.user), "%u", uid);
    if (spec.group[0] != '\0')
        snprintf(spec.group, sizeof(spec.group), "%u", gid);
    free(*text);
    *text = socket_spec_format(&spec);
    return true;
}

bool config_ids_resolve_listen(struct spec *spec, char *err, size_t err_size)
{
    for (char **text = spec_own_around(spec)->listen; text != NULL && *text != NULL; text++) {
        if (!resolve_socket(text, err, err_size))
            return false;
    }
    return true;
}

bool config_ids_resolve_owner(struct spec *spec, char *err, size_t err_size)
{
    const char *owner = spec->logs->logging.owner;
    const char *colon = owner != NULL ? strchr(owner, ':') : NULL;
    uid_t uid;
    gid_t gid;

    if (owner == NULL)
        return true;
    char *user = xstrndup(owner, colon != NULL ? (size_t)(colon - owner) : strlen(owner));
    bool ok = ids_user(user, &uid, err, err_size) && (colon == NULL || ids_group(colon + 1, &gid, err, err_size));
    free(user);
    if (!ok)
        return false;
    char *numbers = colon != NULL ? xasprintf("%u:%u", uid, gid) : xasprintf("%u", uid);
    struct spec_logs *logs = spec_own_logs(spec);
    free(logs->logging.owner);
    logs->logging.owner = numbers;
    return true;
}

/* "user=www" to "user=33"; anything else as it is.  To be freed, or NULL with ERR written. */
static char *resolve_option(const char *option, size_t len, char *err, size_t err_size)
{
    char *word = xstrndup(option, len);
    char *value = strchr(word, '=');
    bool is_user = strncmp(word, "user=", 5) == 0;
    uint32_t id;

    if (!is_user && strncmp(word, "group=", 6) != 0)
        return word;
    value++;
    if (strchr(value, '%') != NULL) {
        snprintf(err, err_size, "'%s': the owner of a socket is the same for all instances: write a name without %%",
                 word);
        free(word);
        return NULL;
    }
    bool ok = is_user ? ids_user(value, &id, err, err_size) : ids_group(value, &id, err, err_size);
    char *resolved = ok ? xasprintf("%s=%u", is_user ? "user" : "group", id) : NULL;
    free(word);
    return resolved;
}

/* Options are parted by commas, which an address has none of. */
static bool resolve_raw_socket(char **text, char *err, size_t err_size)
{
    struct buf out = {0};

    for (const char *at = *text;; at++) {
        size_t len = strcspn(at, ",");
        char *option = resolve_option(at, len, err, err_size);

        if (option == NULL) {
            buf_free(&out);
            return false;
        }
        buf_add_string(&out, option);
        free(option);
        at += len;
        if (*at == '\0')
            break;
        buf_add_char(&out, ',');
    }
    free(*text);
    *text = buf_steal(&out);
    return true;
}

bool config_ids_resolve_raw_listen(char **values, char *err, size_t err_size)
{
    for (; *values != NULL; values++) {
        if (!resolve_raw_socket(values, err, err_size))
            return false;
    }
    return true;
}

bool config_ids_number(const char *text, uint32_t *number)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 10 || text[len] != '\0')
        return false;

    unsigned long long n = strtoull(text, NULL, 10);
    if (n > UINT32_MAX)
        return false;
    *number = (uint32_t)n;
    return true;
}

bool config_ids_are_whole(const struct spec *spec, const struct config_section *section)
{
    static const char *const needed[] = {"resolved-uid", "resolved-gid", "resolved-groups"};
    bool wanted = geteuid() == 0 &&
                  (spec->exec->user != NULL || spec->exec->group != NULL || spec->exec->supplementary_groups != NULL);

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if ((config_section_find(section, needed[i]) != NULL) != wanted)
            return false;
    }
    return true;
}

static bool set_groups(struct spec_ids *ids, const struct config_entry *entry)
{
    free(ids->groups);
    ids->groups = xcalloc(entry->n, sizeof(*ids->groups));
    ids->n_groups = entry->n;
    for (size_t i = 0; i < entry->n; i++) {
        if (!config_ids_number(entry->values[i], &ids->groups[i]))
            return false;
    }
    return true;
}

static bool set_string(char **to, const char *value)
{
    free(*to);
    *to = xstrdup(value);
    return true;
}

bool config_ids_set_internal(struct spec *spec, const struct config_entry *entry)
{
    const char *value = entry->values[0];

    if (strcmp(entry->key, "resolved-groups") == 0)
        return entry->kind == CONFIG_LIST && set_groups(&spec_own_exec(spec)->ids, entry);
    if (entry->kind != CONFIG_VALUE)
        return false;
    if (strcmp(entry->key, "origin-line") == 0)
        return config_ids_number(value, &spec->line);
    if (strcmp(entry->key, "origin-file") == 0)
        return set_string(&spec_own_source(spec)->file, value);

    struct spec_ids *ids = &spec_own_exec(spec)->ids;
    if (strcmp(entry->key, "resolved-uid") == 0) {
        ids->set = true;
        return config_ids_number(value, &ids->uid);
    }
    if (strcmp(entry->key, "resolved-gid") == 0)
        return config_ids_number(value, &ids->gid);
    if (strcmp(entry->key, "resolved-user-name") == 0)
        return set_string(&ids->user_name, value);
    if (strcmp(entry->key, "resolved-home") == 0)
        return set_string(&ids->home, value);
    if (strcmp(entry->key, "resolved-shell") == 0)
        return set_string(&ids->shell, value);
    return false;
}
