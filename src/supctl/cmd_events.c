/* SPDX-License-Identifier: MIT */
/* events */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/params.h"
#include "supctl/text.h"

/* "running -> backoff (exit 1)" */
static void print_change(const json_t *event)
{
    const json_t *pid = json_object_get(event, "pid");
    const json_t *info = json_object_get(event, "exit");
    const char *reason = text_member(event, "reason");
    const char *to = text_member(event, "to");
    bool ended = strcmp(to, "stopped") == 0 || strcmp(to, "backoff") == 0 || strcmp(to, "exited") == 0 ||
                 strcmp(to, "failed") == 0;
    char how[64];

    if (!*reason && ended && json_is_object(info))
        reason = text_exit(info, how, sizeof how);
    printf("%s -> %s", text_member(event, "from"), to);
    if (json_is_integer(pid))
        printf(", pid %lld", (long long)json_integer_value(pid));
    if (*reason) {
        char *clean = text_clean(proto_reason_beside(to, reason));
        printf(" (%s)", clean);
        free(clean);
    }
}

static void print_event(const json_t *event)
{
    const char *type = text_member(event, "type");
    char time[64];

    printf("%s ", text_time(json_number_value(json_object_get(event, "at")), true, time, sizeof time));
    if (strcmp(type, "reload") == 0) {
        puts(json_is_true(json_object_get(event, "ok")) ? "configuration read again"
                                                        : "configuration has errors, nothing was changed");
        return;
    }
    printf("%s: ", text_member(event, "name"));
    if (strcmp(type, "state") == 0)
        print_change(event);
    else
        fputs(type, stdout);
    putchar('\n');
}

/* Ends with the connection, or when nobody reads what is written. */
static int follow(struct client *client, const struct options *options)
{
    json_t *event;

    for (;;) {
        int status = client_next_event(client, true, &event);
        if (status != SUPCTL_DONE)
            return status;
        if (options->given & OPTION_JSON)
            text_print_json(event);
        else
            print_event(event);
        json_decref(event);
        if (!text_flush())
            return SUPCTL_FAILED;
    }
}

int cmd_events(const struct options *options)
{
    json_t *result;
    int status;
    struct client *client = client_open(options, CLIENT_NO_LIMIT, &status);

    if (!client)
        return status;
    status = client_ask(client, "events.subscribe", params_of_names(options->args, options->n_args), &result);
    json_decref(result);
    if (status == SUPCTL_DONE)
        status = follow(client, options);
    client_close(client);
    return status;
}
