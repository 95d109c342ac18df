/* SPDX-License-Identifier: MIT */
/* supd's errors in words. */
#include "supctl/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/suggest.h"
#include "core/proto.h"
#include "supctl/text.h"

static void tell_unknown(const char *name, const char *const *known, size_t n)
{
    const char *near = n > 0 ? suggest_nearest(name, known, n) : NULL;

    if (proto_is_glob(name))
        complain("no service matches '%s'; 'supctl status' lists all", name);
    else if (near)
        complain("there is no service '%s'; did you mean '%s'?", name, near);
    else
        complain("there is no service '%s'; 'supctl status' lists all", name);
}

/* The names come from supd once more, for a mistake only. */
static int tell_unknown_services(struct client *client, const struct answer *answer)
{
    const json_t *unknown = json_object_get(answer->data, "names");
    struct answer list;
    const json_t *item;
    size_t i;

    if (json_array_size(unknown) == 0) {
        complain("%s", answer->message);
        return SUPCTL_UNKNOWN_SERVICE;
    }
    if (client_call(client, "service.list", NULL, &list) != SUPCTL_DONE)
        return SUPCTL_UNKNOWN_SERVICE;
    const char **known = xcalloc(json_array_size(list.result) + 1, sizeof *known);
    size_t n = 0;
    json_array_foreach(list.result, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name)
            known[n++] = name;
    }
    json_array_foreach(unknown, i, item)
    {
        if (json_is_string(item))
            tell_unknown(json_string_value(item), known, n);
    }
    free(known);
    answer_clear(&list);
    return SUPCTL_UNKNOWN_SERVICE;
}

/* Each as FILE:LINE: MESSAGE, alone on its line, as compilers do: editors know what to do with it. */
static int tell_config_errors(const struct answer *answer)
{
    const json_t *item;
    size_t i;

    json_array_foreach(answer->data, i, item)
    {
        const char *file = json_string_value(json_object_get(item, "file"));
        json_int_t line = json_integer_value(json_object_get(item, "line"));
        const char *message = json_string_value(json_object_get(item, "message"));
        if (!file || !message)
            continue;
        if (line > 0)
            complain_plainly("%s:%lld: %s", file, (long long)line, message);
        else
            complain_plainly("%s: %s", file, message);
    }
    /* Of what stands in no line of a file the message alone tells. */
    complain("%s; nothing was changed",
             json_array_size(answer->data) == 0 ? answer->message : "the configuration has errors");
    return SUPCTL_FAILED;
}

int client_tell_error(struct client *client, const struct answer *answer)
{
    switch (answer->code) {
    case PROTO_E_UNKNOWN_SERVICE:
        return tell_unknown_services(client, answer);
    case PROTO_E_NOT_PERMITTED:
        complain("supd refuses: %s; be root, the user of supd, or a member of its admin-group", answer->message);
        return SUPCTL_NOT_PERMITTED;
    case PROTO_E_CONFIG:
        return tell_config_errors(answer);
    case PROTO_E_TIMED_OUT:
        complain("timed out; what was asked for goes on: 'supctl status' shows how far it has come");
        return SUPCTL_TIMED_OUT;
    case PROTO_E_METHOD_NOT_FOUND:
        complain("this supd does not know that command; is it older than supctl? 'supctl version' tells");
        return SUPCTL_FAILED;
    default:
        complain("%s", answer->message);
        return SUPCTL_FAILED;
    }
}
