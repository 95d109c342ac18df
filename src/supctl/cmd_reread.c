/* SPDX-License-Identifier: MIT */
/* reread */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supctl/client.h"
#include "supctl/params.h"
#include "supctl/text.h"

/* "change redis: environment, log (restart pending)" */
static void print_step(const json_t *step, bool dry_run)
{
    const char *action = json_string_value(json_object_get(step, "action"));
    const char *name = json_string_value(json_object_get(step, "name"));
    const json_t *key;
    size_t i;

    printf("%s %s", action ? action : "?", name ? name : "?");
    json_array_foreach(json_object_get(step, "keys"), i, key)
    {
        printf("%s%s", i == 0 ? ": " : ", ", json_is_string(key) ? json_string_value(key) : "?");
    }
    if (json_is_true(json_object_get(step, "restarted")))
        fputs(" (restarted)", stdout);
    else if (json_is_true(json_object_get(step, "needs-restart")))
        fputs(dry_run ? " (needs a restart)" : " (restart pending)", stdout);
    putchar('\n');
}

static void print_plan(const json_t *result, bool dry_run)
{
    const json_t *plan = json_object_get(result, "plan");
    const json_t *settings = json_object_get(result, "settings");
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(result, "warnings"), i, item)
    {
        if (json_is_string(item))
            complain("warning: %s", json_string_value(item));
    }
    json_array_foreach(settings, i, item)
    {
        if (json_is_string(item))
            printf("change supd itself: %s\n", json_string_value(item));
    }
    if (json_array_size(plan) + json_array_size(settings) == 0)
        puts("nothing to do");
    json_array_foreach(plan, i, item)
    {
        print_step(item, dry_run);
    }
}

int cmd_reread(const struct options *options)
{
    bool dry_run = options->given & OPTION_DRY_RUN;
    json_t *params = json_object();
    json_t *result;
    int status;

    struct client *client = client_open(options, client_limit(options, CLIENT_NO_LIMIT, CLIENT_GRACE), &status);
    if (!client) {
        json_decref(params);
        return status;
    }
    if (dry_run)
        json_object_set_new(params, "dry-run", json_true());
    if (options->given & OPTION_RESTART)
        json_object_set_new(params, "restart", json_true());
    params_add_timeout(params, options);

    status = client_ask(client, "config.reload", params, &result);
    if (status == SUPCTL_DONE && options->given & OPTION_JSON)
        text_print_json(result);
    else if (status == SUPCTL_DONE)
        print_plan(result, dry_run);
    json_decref(result);
    client_close(client);
    return status;
}
