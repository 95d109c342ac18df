/* SPDX-License-Identifier: MIT */
#include "core/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/event.h"
#include "core/instance.h"

static void add_step(struct plan *plan, enum plan_action action, const struct spec *from, const struct spec *to)
{
    struct plan_step *step = &plan->steps[plan->n++];

    *step = (struct plan_step){
        .action = action,
        .name = from != NULL ? from->name : to->name,
        .from = from,
        .to = to,
    };
}

/* Behind the N KEYS, which have room for them, those of the rule that differ. */
static size_t compare_rules(const struct spec *from, const struct spec *to, const char **keys, size_t n)
{
    if (from->on_event == NULL && to->on_event == NULL)
        return n;
    for (size_t i = 0; event_rule_keys[i] != NULL; i++) {
        if (!event_rule_key_equal(from, to, event_rule_keys[i]))
            keys[n++] = event_rule_keys[i];
    }
    return n;
}

/* A step only where a key differs. */
static void compare_specs(struct plan *plan, const struct spec *from, const struct spec *to)
{
    const char **keys = xcalloc(spec_n_keys + EVENT_RULE_KEYS + 1, sizeof(*keys));
    bool needs_process = false;
    size_t n = compare_rules(from, to, keys, 0);

    for (size_t i = 0; i < spec_n_keys; i++) {
        if (spec_key_equal(from, to, &spec_keys[i]))
            continue;
        /* Of a rule it is `timeout`. */
        if (from->on_event != NULL && strcmp(spec_keys[i].name, "start-timeout") == 0)
            continue;
        keys[n++] = spec_keys[i].name;
        needs_process = needs_process || (spec_keys[i].flags & KEY_F_PROCESS) != 0;
    }
    if (n == 0) {
        free(keys);
        return;
    }

    add_step(plan, PLAN_CHANGE, from, to);
    plan->steps[plan->n - 1].keys = keys;
    plan->steps[plan->n - 1].needs_process = needs_process;
}

struct plan *plan_new(const struct spec_list *from, const struct spec_list *to)
{
    struct plan *plan = xcalloc(1, sizeof(*plan));
    size_t i = 0;
    size_t j = 0;

    plan->steps = xcalloc(from->n + to->n, sizeof(*plan->steps));
    while (i < from->n || j < to->n) {
        int order = i == from->n ? 1 : j == to->n ? -1 : instance_compare(from->items[i]->name, to->items[j]->name);

        if (order < 0)
            add_step(plan, PLAN_REMOVE, from->items[i++], NULL);
        else if (order > 0)
            add_step(plan, PLAN_ADD, NULL, to->items[j++]);
        else
            compare_specs(plan, from->items[i++], to->items[j++]);
    }
    return plan;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->n; i++)
        free(plan->steps[i].keys);
    free(plan->steps);
    free(plan);
}

const char *plan_action_name(enum plan_action action)
{
    static const char *const names[] = {
        [PLAN_ADD] = "add",
        [PLAN_REMOVE] = "remove",
        [PLAN_CHANGE] = "change",
    };

    return names[action];
}
