/* SPDX-License-Identifier: MIT */
/* Keys that name other services. */
#include <string.h>

#include "core/instance.h"
#include "core/spec_type.h"

const char *spec_dep_name(enum spec_dep dep)
{
    static const char *const names[] = {
        [DEP_AFTER] = "after", [DEP_BEFORE] = "before",     [DEP_REQUIRES] = "requires", [DEP_REQUISITE] = "requisite",
        [DEP_WANTS] = "wants", [DEP_BINDS_TO] = "binds-to", [DEP_PART_OF] = "part-of",   [DEP_CONFLICTS] = "conflicts",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == SPEC_N_DEPS, "a dependency has no name");

    return names[dep];
}

/* Which of them exist is seen when all are read, and %i of an instance only when it is made: core/graph.h. */
static bool set_names(const struct key_input *in, void *to)
{
    for (size_t i = 0; i < in->n; i++) {
        const char *name = in->values[i];

        if (strchr(name, '%') == NULL && !instance_name_valid(name))
            return key_fail(in, "'%s' is not the name of a service%s", name,
                            strpbrk(name, " ,") != NULL ? ": write several as {\"a\", \"b\"}" : "");
    }
    return key_vector_set(in, to);
}

const struct key_type_ops key_type_names = {
    .takes_list = true,
    .size = sizeof(char **),
    .set = set_names,
    .get = key_vector_get,
    .dup = key_vector_dup,
    .free = key_vector_free,
    .equal = key_vector_equal,
};
