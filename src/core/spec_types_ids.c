/* SPDX-License-Identifier: MIT */
/* Keys whose value is the name of a user or a group: what it meant when it was looked up counts too. */
#include <string.h>

#include "base/strv.h"
#include "core/spec_type.h"

static bool same_groups(const struct spec_ids *a, const struct spec_ids *b)
{
    return a->n_groups == b->n_groups &&
           (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0);
}

static bool same_supplementary_names(const struct spec *a, const struct spec *b)
{
    return strv_equal(a->exec->supplementary_groups, b->exec->supplementary_groups);
}

/* What follows from `user`: with no `group` beside it, that is the login group too.  Groups that came with
 * `supplementary-groups` are among those that were looked up: where that differs, they say nothing of the user. */
static bool same_user(const struct spec *a, const struct spec *b)
{
    if (!key_same_string(a->exec->user, b->exec->user))
        return false;
    if (a->exec->user == NULL)
        return true;
    return a->exec->ids.set == b->exec->ids.set && a->exec->ids.uid == b->exec->ids.uid &&
           (!same_supplementary_names(a, b) || same_groups(&a->exec->ids, &b->exec->ids)) &&
           key_same_string(a->exec->ids.user_name, b->exec->ids.user_name) &&
           key_same_string(a->exec->ids.home, b->exec->ids.home) &&
           key_same_string(a->exec->ids.shell, b->exec->ids.shell) &&
           (a->exec->group != NULL || b->exec->group != NULL || a->exec->ids.gid == b->exec->ids.gid);
}

static bool same_group(const struct spec *a, const struct spec *b)
{
    if (!key_same_string(a->exec->group, b->exec->group))
        return false;
    return a->exec->group == NULL || (a->exec->ids.set == b->exec->ids.set && a->exec->ids.gid == b->exec->ids.gid);
}

static bool same_supplementary(const struct spec *a, const struct spec *b)
{
    return same_supplementary_names(a, b) &&
           (a->exec->supplementary_groups == NULL || same_groups(&a->exec->ids, &b->exec->ids));
}

static bool set_names(const struct key_input *in, void *to)
{
    for (size_t i = 0; i < in->n; i++) {
        if (in->values[i][0] == '\0')
            return key_fail(in, "the name of a group is empty: leave it out");
    }
    return key_vector_set(in, to);
}

const struct key_type_ops key_type_groups = {
    .takes_list = true,
    .size = sizeof(char **),
    .set = set_names,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal_in = same_supplementary,
};

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
