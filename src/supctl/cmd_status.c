/* SPDX-License-Identifier: MIT */
/* status */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/params.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/words.h"

static const struct table_column columns[] = {
    {.heading = "NAME"},
    {.heading = "STATE", .colour = true},
    {.heading = "PID", .right = true},
    {.heading = "UPTIME", .right = true},
    {.heading = "RESTARTS", .right = true},
    {.heading = "NOTE"},
};

static const char *state_of(const json_t *service)
{
    const char *state = json_string_value(json_object_get(service, "state"));

    return state ? state : "?";
}

static enum table_colour colour_of(const json_t *service)
{
    const char *state = state_of(service);

    if (json_is_true(json_object_get(service, "stopped")) || json_is_true(json_object_get(service, "paused")))
        return TABLE_YELLOW;
    if (strcmp(state, "running") == 0)
        return TABLE_GREEN;
    if (strcmp(state, "failed") == 0)
        return TABLE_RED;
    if (strcmp(state, "stopped") == 0 || strcmp(state, "exited") == 0)
        return TABLE_PLAIN;
    return TABLE_YELLOW;
}

static const char *number(const json_t *service, const char *key, char *buf, size_t size)
{
    const json_t *value = json_object_get(service, key);

    if (!json_is_integer(value))
        return "-";
    snprintf(buf, size, "%lld", (long long)json_integer_value(value));
    return buf;
}

static void add_service(struct table *table, const json_t *service, double now)
{
    const json_t *uptime = json_object_get(service, "uptime");
    const char *name = json_string_value(json_object_get(service, "name"));
    char pid[32], time[48], restarts[32];
    char *clean_name = text_clean(name ? name : "?");
    char *clean_state = text_clean(state_of(service));
    char *words = words_of_service(service, now);
    const char *const cells[] = {
        clean_name,
        clean_state,
        number(service, "pid", pid, sizeof pid),
        json_is_number(uptime) ? text_duration_short(json_number_value(uptime), time, sizeof time) : "-",
        number(service, "restarts", restarts, sizeof restarts),
        words,
    };

    table_add(table, colour_of(service), cells);
    free(words);
    free(clean_state);
    free(clean_name);
}

static void print_table(const json_t *services)
{
    struct table_style style = table_style_of_stdout();
    double now = text_now();
    const json_t *service;
    size_t i;

    if (json_array_size(services) == 0) {
        puts("No services are configured.");
        return;
    }
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_array_foreach(services, i, service)
    {
        add_service(table, service, now);
    }
    table_print(table, &style, stdout);
    table_free(table);
}

static bool all_run(const json_t *services)
{
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        if (strcmp(state_of(service), "running") != 0)
            return false;
    }
    return true;
}

int cmd_status(const struct options *options)
{
    json_t *services;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    if (!client)
        return status;
    status = client_ask(client, "service.list", params_of_names(options->args, options->n_args), &services);
    if (status == SUPCTL_DONE) {
        if (options->given & OPTION_JSON)
            text_print_json(services);
        else
            print_table(services);
        if (options->n_args > 0 && !all_run(services))
            status = SUPCTL_NOT_RUNNING;
    }
    json_decref(services);
    client_close(client);
    return status;
}
