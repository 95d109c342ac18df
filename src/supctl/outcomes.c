/* SPDX-License-Identifier: MIT */
#include "supctl/outcomes.h"

#include <stdio.h>
#include <stdlib.h>

#include "supctl/log_tail.h"
#include "supctl/text.h"

bool outcome_tell(const json_t *outcome, double began)
{
    const char *name = json_string_value(json_object_get(outcome, "name"));
    const char *message = json_string_value(json_object_get(outcome, "message"));

    if (!json_is_true(json_object_get(outcome, "ok"))) {
        complain("%s: %s", name ? name : "?", message ? message : "failed");
        if (began > 0)
            log_tail_tell(json_object_get(outcome, "service"), began);
        return false;
    }
    char *clean = text_clean(message ? message : "done");
    printf("%s: %s\n", name ? name : "?", clean);
    free(clean);
    return true;
}

bool outcomes_tell(const json_t *outcomes, double began)
{
    const json_t *outcome;
    size_t i;
    bool good = true;

    json_array_foreach(outcomes, i, outcome)
    {
        good = outcome_tell(outcome, began) && good;
    }
    return good;
}

bool outcomes_good(const json_t *outcomes)
{
    const json_t *outcome;
    size_t i;

    json_array_foreach(outcomes, i, outcome)
    {
        if (!json_is_true(json_object_get(outcome, "ok")))
            return false;
    }
    return true;
}

json_t *outcomes_failed(const json_t *outcomes)
{
    json_t *services = json_array();
    const json_t *outcome;
    size_t i;

    json_array_foreach(outcomes, i, outcome)
    {
        if (!json_is_true(json_object_get(outcome, "ok")))
            json_array_append(services, json_object_get(outcome, "service"));
    }
    return services;
}
