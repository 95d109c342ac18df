/* SPDX-License-Identifier: MIT */
/*
 * service.enable and service.disable: what supd starts with, over what the configuration says.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "supd/command_call.h"
#include "supd/remember.h"
#include "supd/show.h"

/* One that waits for the disk. */
struct enabling {
    struct supervisor *sup;
    struct reply *reply; /* NULL: the caller has hung up */
    char **names;
    bool enabled;
};

static void on_gone(void *ctx)
{
    struct enabling *enabling = ctx;

    enabling->reply = NULL;
}

/* It holds now. */
static json_t *tell(const struct enabling *enabling)
{
    const char *word = enabling->enabled ? "enabled" : "disabled";
    json_t *outcomes = json_array();

    for (char **name = enabling->names; *name; name++) {
        struct service *service = service_find(enabling->sup, *name);

        if (!service)
            continue;
        log_info("%s: %s by command", *name, word);
        service_tell_enabled(service);
        json_array_append_new(outcomes, show_outcome(service, true, word));
    }
    return outcomes;
}

static void on_remembered(void *ctx, const char *error)
{
    struct enabling *enabling = ctx;
    json_t *outcomes = error ? NULL : tell(enabling);

    if (enabling->reply && error)
        reply_error(enabling->reply, PROTO_E_REFUSED, NULL, "not done, because it could not be remembered: %s", error);
    else if (enabling->reply)
        reply_result(enabling->reply, outcomes);
    else
        json_decref(outcomes);
    strv_free(enabling->names);
    free(enabling);
}

/* What agrees with the configuration needs no memory, and so the configuration decides again. */
static void enable_or_disable(struct call *call, bool enabled)
{
    struct selection selection;
    struct remember_changes changes = {0};
    json_t *names;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, true, &names) ||
        !call_select(call, names, &selection))
        return;
    struct enabling *enabling = xcalloc(1, sizeof *enabling);
    *enabling = (struct enabling){.sup = call->sup, .reply = call->reply, .enabled = enabled};
    reply_on_gone(call->reply, on_gone, enabling);
    changes.items = xcalloc(selection.n + 1, sizeof *changes.items);
    for (size_t i = 0; i < selection.n; i++) {
        const struct service *service = selection.items[i];
        bool forget = service->spec->enabled == enabled;
        bool before;
        bool known = remember_enabled(call->sup, service->spec->name, &before);

        enabling->names = strv_push(enabling->names, xstrdup(service->spec->name));
        if (forget ? known : !known || before != enabled)
            changes.items[changes.n++] =
                (struct remember_change){.name = xstrdup(service->spec->name), .forget = forget, .enabled = enabled};
    }
    free(selection.items);
    remember_change(call->sup, changes, on_remembered, enabling);
}

void command_service_enable(struct call *call)
{
    enable_or_disable(call, true);
}

void command_service_disable(struct call *call)
{
    enable_or_disable(call, false);
}
