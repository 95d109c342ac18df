/* SPDX-License-Identifier: MIT */
#include "supd/command_call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_NAMES 1000

void call_refuse(struct call *call, enum proto_error code, const char *text)
{
    reply_error(call->reply, code, NULL, "%s", text);
    call->reply = NULL;
}

void call_refuse_param(struct call *call, const char *key, const char *want)
{
    reply_error(call->reply, PROTO_E_INVALID_PARAMS, NULL, "%s: %s", key, want);
    call->reply = NULL;
}

bool call_known_params(struct call *call, const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)call->params, key, value)
    {
        const char *const *k = known;

        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k) {
            call_refuse_param(call, key, "no such parameter of this method");
            return false;
        }
    }
    return true;
}

bool call_bool_param(struct call *call, const char *key, bool *value)
{
    json_t *json = json_object_get(call->params, key);

    *value = json_is_true(json);
    if (!json || json_is_boolean(json) || json_is_null(json))
        return true;
    call_refuse_param(call, key, "must be true or false");
    return false;
}

bool call_timeout_param(struct call *call, int64_t *usec)
{
    json_t *json = json_object_get(call->params, "timeout");
    double seconds = json_number_value(json);

    *usec = 0;
    if (!json || json_is_null(json))
        return true;
    if (!json_is_number(json) || !isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        call_refuse_param(call, "timeout", "must be a number of seconds");
        return false;
    }
    *usec = (int64_t)(seconds * (double)USEC_PER_SEC);
    if (*usec == 0)
        *usec = 1;
    return true;
}

bool call_names_param(struct call *call, bool required, json_t **names)
{
    size_t i;
    json_t *name;

    *names = json_object_get(call->params, "names");
    if (json_is_null(*names))
        *names = NULL;
    if (!*names && !required)
        return true;
    if (!json_is_array(*names) || (required && json_array_size(*names) == 0)) {
        call_refuse_param(call, "names", "must be an array of names or globs");
        return false;
    }
    /* Each is matched with every service. */
    if (json_array_size(*names) > MAX_NAMES) {
        call_refuse_param(call, "names", "too many: at most 1000, or use a glob");
        return false;
    }
    json_array_foreach(*names, i, name)
    {
        if (!json_is_string(name)) {
            call_refuse_param(call, "names", "must be an array of names or globs");
            return false;
        }
    }
    return true;
}

static bool name_selected(json_t *names, bool *matched, const char *name)
{
    bool selected = false;
    size_t i;
    json_t *pattern;

    json_array_foreach(names, i, pattern)
    {
        if (proto_name_matches(json_string_value(pattern), name)) {
            matched[i] = true;
            selected = true;
        }
    }
    return selected;
}

bool call_select(struct call *call, json_t *names, struct selection *selection)
{
    struct supervisor *sup = call->sup;
    size_t n_names = json_array_size(names);
    bool *matched = xcalloc(n_names + 1, sizeof *matched);
    json_t *unknown = json_array();

    selection->n = 0;
    selection->items = xcalloc(sup->by_name.n + 1, sizeof(struct service *));
    struct service *only = n_names == 1 ? service_find(sup, json_string_value(json_array_get(names, 0))) : NULL;

    /* While one is on its way out there may be instances of the same name. */
    if (only && !only->removing && !service_is_internal(only)) {
        matched[0] = true;
        selection->items[selection->n++] = only;
    } else {
        for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
            if (service_is_internal(s))
                continue;
            if (!names || name_selected(names, matched, s->spec->name))
                selection->items[selection->n++] = s;
        }
    }

    for (size_t i = 0; i < n_names; i++) {
        if (!matched[i])
            json_array_append(unknown, json_array_get(names, i));
    }
    free(matched);
    if (json_array_size(unknown) == 0) {
        json_decref(unknown);
        return true;
    }
    free(selection->items);
    const char *first = json_string_value(json_array_get(unknown, 0));
    reply_error(call->reply, PROTO_E_UNKNOWN_SERVICE, json_pack("{s:O}", "names", unknown), "%s: %s",
                proto_is_glob(first) ? "no service matches" : "unknown service", first);
    json_decref(unknown);
    call->reply = NULL;
    return false;
}
