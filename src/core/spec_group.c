/* SPDX-License-Identifier: MIT */
#include "core/spec_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slab.h"
#include "core/spec_type.h"

/* In front of each group. */
struct head {
    size_t holders;
};

#define GROUP(id, member, type)                                      \
    [SPEC_##id] = {                                                  \
        .place = offsetof(struct spec, member),                      \
        .size = sizeof(struct type),                                 \
        .slab = {.size = sizeof(struct head) + sizeof(struct type)}, \
    }

static struct {
    size_t place; /* of the pointer to it, in struct spec */
    size_t size;
    struct slab slab;
    const struct spec_key **keys; /* of what is in it, ended by NULL */
} groups[SPEC_N_GROUPS] = {
    GROUP(EXEC, exec, spec_exec),       GROUP(PLACE, place, spec_place),    GROUP(LIFE, life, spec_life),
    GROUP(AROUND, around, spec_around), GROUP(LOGS, logs, spec_logs),       GROUP(CGROUP, cgroup, spec_cgroup),
    GROUP(CHECK, check, spec_check),    GROUP(SOURCE, source, spec_source),
};

#define FOR_EACH_GROUP(g) for (enum spec_group g = SPEC_SELF + 1; g < SPEC_N_GROUPS; g++)

static void *get(const struct spec *spec, enum spec_group g)
{
    void *group;

    if (g == SPEC_SELF)
        return (void *)spec;
    memcpy(&group, (const char *)spec + groups[g].place, sizeof(group));
    return group;
}

static void put(struct spec *spec, enum spec_group g, void *group)
{
    memcpy((char *)spec + groups[g].place, &group, sizeof(group));
}

static struct head *head_of(void *group)
{
    return (struct head *)group - 1;
}

const void *spec_value(const struct spec *spec, const struct spec_key *key)
{
    return (const char *)get(spec, key->group) + key->offset;
}

/* ---- what is in them ---- */

/* To be called before the first spec is made. */
static void sort_keys(void)
{
    for (size_t g = 0; g < SPEC_N_GROUPS; g++) {
        size_t n = 0;

        groups[g].keys = xcalloc(spec_n_keys + 1, sizeof(*groups[g].keys));
        for (size_t i = 0; i < spec_n_keys; i++) {
            if (spec_keys[i].group == g)
                groups[g].keys[n++] = &spec_keys[i];
        }
    }
}

void spec_values_dup(enum spec_group group, void *group_of)
{
    for (const struct spec_key **key = groups[group].keys; *key != NULL; key++) {
        const struct key_type_ops *ops = key_type_ops((*key)->type);
        if (ops->dup != NULL)
            ops->dup((char *)group_of + (*key)->offset);
    }
}

void spec_values_free(enum spec_group group, void *group_of)
{
    for (const struct spec_key **key = groups[group].keys; *key != NULL; key++) {
        const struct key_type_ops *ops = key_type_ops((*key)->type);
        if (ops->free != NULL)
            ops->free((char *)group_of + (*key)->offset);
    }
}

static void dup_ids(struct spec_ids *ids)
{
    if (ids->n_groups > 0) {
        uint32_t *own = xreallocarray(NULL, ids->n_groups, sizeof(*own));
        ids->groups = memcpy(own, ids->groups, ids->n_groups * sizeof(*own));
    } else {
        ids->groups = NULL;
    }
    ids->user_name = xstrdup(ids->user_name);
    ids->home = xstrdup(ids->home);
    ids->shell = xstrdup(ids->shell);
}

static void free_ids(struct spec_ids *ids)
{
    free(ids->groups);
    free(ids->user_name);
    free(ids->home);
    free(ids->shell);
}

static bool same_ids(const struct spec_ids *a, const struct spec_ids *b)
{
    return a->set == b->set && a->uid == b->uid && a->gid == b->gid && a->n_groups == b->n_groups &&
           (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0) &&
           key_same_string(a->user_name, b->user_name) && key_same_string(a->home, b->home) &&
           key_same_string(a->shell, b->shell);
}

/* Beside what keys say. */
static bool same_rest(const struct spec *a, const struct spec *b, enum spec_group g)
{
    if (g == SPEC_EXEC)
        return same_ids(&a->exec->ids, &b->exec->ids);
    return g != SPEC_SOURCE || key_same_string(a->source->file, b->source->file);
}

static bool same_group(const struct spec *a, const struct spec *b, enum spec_group g)
{
    for (const struct spec_key **key = groups[g].keys; *key != NULL; key++) {
        if (!spec_key_equal(a, b, *key))
            return false;
    }
    return same_rest(a, b, g);
}

/* ---- who has them ---- */

static void *copy_of(const void *group, enum spec_group g)
{
    struct head *head = slab_new(&groups[g].slab);
    void *copy = memcpy(head + 1, group, groups[g].size);

    head->holders = 1;
    spec_values_dup(g, copy);
    if (g == SPEC_EXEC)
        dup_ids(&((struct spec_exec *)copy)->ids);
    if (g == SPEC_SOURCE)
        ((struct spec_source *)copy)->file = xstrdup(((struct spec_source *)copy)->file);
    return copy;
}

static void release(void *group, enum spec_group g)
{
    if (--head_of(group)->holders > 0)
        return;
    spec_values_free(g, group);
    if (g == SPEC_EXEC)
        free_ids(&((struct spec_exec *)group)->ids);
    if (g == SPEC_SOURCE)
        free(((struct spec_source *)group)->file);
    slab_free(&groups[g].slab, head_of(group));
}

void *spec_own(struct spec *spec, enum spec_group g)
{
    void *group = get(spec, g);

    if (g == SPEC_SELF || head_of(group)->holders == 1)
        return group;

    void *copy = copy_of(group, g);
    release(group, g);
    put(spec, g, copy);
    return copy;
}

void spec_groups_hold(struct spec *spec)
{
    FOR_EACH_GROUP(g)
    head_of(get(spec, g))->holders++;
}

void spec_groups_release(struct spec *spec)
{
    FOR_EACH_GROUP(g)
    release(get(spec, g), g);
}

void spec_share(struct spec *spec, const struct spec *other)
{
    FOR_EACH_GROUP(g)
    {
        void *theirs = get(other, g);

        if (get(spec, g) == theirs || !same_group(spec, other, g))
            continue;
        release(get(spec, g), g);
        head_of(theirs)->holders++;
        put(spec, g, theirs);
    }
}

/* Its groups are never freed; they are in the heap, which helpers have a copy of, unlike slabs. */
const struct spec *spec_default(void)
{
    static struct spec first = {.name = (char *)""};

    if (first.exec != NULL)
        return &first;
    sort_keys();
    FOR_EACH_GROUP(g)
    {
        struct head *head = xcalloc(1, sizeof(*head) + groups[g].size);

        head->holders = 1;
        put(&first, g, head + 1);
    }
    for (size_t i = 0; i < spec_n_keys; i++) {
        char err[256];
        char *value[] = {(char *)spec_keys[i].dflt, NULL};
        if (value[0] != NULL && !spec_set(&first, &spec_keys[i], value, 1, false, err, sizeof(err)))
            abort();
    }
    return &first;
}

void spec_groups_new(struct spec *spec)
{
    *spec = *spec_default();
    spec_groups_hold(spec);
}

void spec_copy(struct spec_copy *copy, const struct spec *spec)
{
    static const struct spec_source nowhere;

    *copy = (struct spec_copy){
        .spec = *spec,
        .exec = *spec->exec,
        .place = *spec->place,
        .life = *spec->life,
        .around = *spec->around,
        .logs = *spec->logs,
        .cgroup = *spec->cgroup,
        .check = *spec->check,
    };
    copy->spec.exec = &copy->exec;
    copy->spec.place = &copy->place;
    copy->spec.life = &copy->life;
    copy->spec.around = &copy->around;
    copy->spec.logs = &copy->logs;
    copy->spec.cgroup = &copy->cgroup;
    copy->spec.check = &copy->check;
    copy->spec.source = &nowhere;
}
