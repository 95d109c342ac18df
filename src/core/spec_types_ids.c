/* SPDX-License-Identifier: MIT */
/* Keys whose value is the name of a user or a group: what it meant when it was looked up counts too. */
#include <string.h>

#include "core/spec_type.h"

static bool same_groups(const struct spec_ids *a, const struct spec_ids *b)
{
    return a->n_groups == b->n_groups &&
           (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0);
}

/* What follows from `user`: with no `group` beside it, that is the login group too. */
static bool same_user(const struct spec *a, const struct spec *b)
{
    if (!key_same_string(a->user, b->user))
        return false;
    if (a->user == NULL)
        return true;
    return a->ids.set == b->ids.set && a->ids.uid == b->ids.uid && same_groups(&a->ids, &b->ids) &&
           key_same_string(a->ids.user_name, b->ids.user_name) && key_same_string(a->ids.home, b->ids.home) &&
           key_same_string(a->ids.shell, b->ids.shell) &&
           (a->group != NULL || b->group != NULL || a->ids.gid == b->ids.gid);
}

static bool same_group(const struct spec *a, const struct spec *b)
{
    if (!key_same_string(a->group, b->group))
        return false;
    return a->group == NULL || (a->ids.set == b->ids.set && a->ids.gid == b->ids.gid);
}

const struct key_type_ops key_type_user = {
    .size = sizeof(char *),
    .set = key_string_set,
    .get = key_string_get,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal_in = same_user,
};

const struct key_type_ops key_type_group = {
    .size = sizeof(char *),
    .set = key_string_set,
    .get = key_string_get,
    .dup = key_string_dup,
    .free = key_string_free,
    .equal_in = same_group,
};
