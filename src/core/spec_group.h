/* SPDX-License-Identifier: MIT */
/*
 * The groups that the settings of services fall into, which specs have in common: who has one is counted, and who changes
 * it gets one of its own before.  Most services say the same about most of what can be said, so what they cost is what
 * they say differently.
 */
#ifndef SUPD_CORE_SPEC_GROUP_H
#define SUPD_CORE_SPEC_GROUP_H

#include "core/spec.h"

/* SPEC is as one of which nothing is given, without a name. */
void spec_groups_new(struct spec *spec);
/* SPEC, a plain copy of another, has its groups too. */
void spec_groups_hold(struct spec *spec);
void spec_groups_release(struct spec *spec);

/* What SPEC says in other memory and the same words as OTHER it has in common with it from now on. */
void spec_share(struct spec *spec, const struct spec *other);

/* The value of KEY. */
const void *spec_value(const struct spec *spec, const struct spec_key *key);

/* Applies what the types of the keys of GROUP say: to each value in it, its members that begin at GROUP_OF. */
void spec_values_dup(enum spec_group group, void *group_of);
void spec_values_free(enum spec_group group, void *group_of);

/* A spec with its groups beside it, for who has no other memory: a copy of which all that it points to is the other's. */
struct spec_copy {
    struct spec spec;
    struct spec_exec exec;
    struct spec_place place;
    struct spec_life life;
    struct spec_around around;
    struct spec_logs logs;
    struct spec_cgroup cgroup;
    struct spec_check check;
};

/* COPY must not be moved, and says nothing of where the spec was written. */
void spec_copy(struct spec_copy *copy, const struct spec *spec);

#endif
