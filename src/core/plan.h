/* SPDX-License-Identifier: MIT */
/*
 * What a new configuration asks for, compared with the one in force.
 * Pure: two lists of specs in, a list of steps out, in order of name.
 */
#ifndef SUPD_CORE_PLAN_H
#define SUPD_CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/spec.h"

enum plan_action { PLAN_ADD, PLAN_REMOVE, PLAN_CHANGE };

struct plan_step {
    enum plan_action action;
    const char *name;        /* borrowed from the specs */
    const struct spec *from; /* NULL for PLAN_ADD */
    const struct spec *to;   /* NULL for PLAN_REMOVE */
    const char **keys;       /* PLAN_CHANGE: names of the keys that differ, ended by NULL; owned by the plan */
    bool needs_process;      /* PLAN_CHANGE: at least one of them needs a new process */
};

struct plan {
    struct plan_step *steps;
    size_t n;
};

/* Both lists sorted.  The specs must outlive the plan. */
struct plan *plan_new(const struct spec_list *from, const struct spec_list *to);
void plan_free(struct plan *plan);

const char *plan_action_name(enum plan_action action);

#endif
