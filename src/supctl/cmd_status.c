/* SPDX-License-Identifier: MIT */
/* status */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "supctl/client.h"
#include "supctl/log_settle.h"
#include "supctl/params.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/view.h"
#include "supctl/words.h"

static const struct table_column columns[] = {
    {.heading = "NAME"},
    {.heading = "STATE", .colour = true},
    {.heading = "PID", .right = true},
    {.heading = "UPTIME", .right = true},
    {.heading = "RESTARTS", .right = true},
    {.heading = "MEMORY", .right = true, .wide = true},
    {.heading = "CPU", .right = true, .wide = true},
    {.heading = "NOTE"},
};

static const char *memory_of(const json_t *service, char *buf, size_t size)
{
    const json_t *memory = json_object_get(service, "memory");

    return json_is_integer(memory) ? size_human((uint64_t)json_integer_value(memory), buf, size) : "-";
}

static const char *seconds_of(const json_t *service, const char *key, char *buf, size_t size)
{
    const json_t *seconds = json_object_get(service, key);

    return json_is_number(seconds) ? text_duration_short(json_number_value(seconds), buf, size) : "-";
}

static void add_service(struct table *table, const json_t *service, double now)
{
    const char *name = text_member(service, "name");
    const char *state = text_member(service, "state");
    char pid[32], uptime[48], restarts[32], memory[32], cpu[48];
    char *clean_name = text_clean(*name ? name : "?");
    char *clean_state = text_clean(*state ? state : "?");
    char *words = words_of_service(service, now);
    const char *const cells[] = {
        clean_name,
        clean_state,
        text_integer(service, "pid", pid, sizeof pid),
        seconds_of(service, "uptime", uptime, sizeof uptime),
        text_integer(service, "restarts", restarts, sizeof restarts),
        memory_of(service, memory, sizeof memory),
        seconds_of(service, "cpu", cpu, sizeof cpu),
        words,
    };

    table_add(table, words_colour(service), cells);
    free(words);
    free(clean_state);
    free(clean_name);
}

static void print_table(const json_t *services, double now, const struct table_style *style)
{
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        add_service(table, service, now);
    }
    table_print(table, style, stdout);
    table_free(table);
}

static void settle_last_words(struct client *client, const json_t *services)
{
    json_t *telling = json_array();
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        if (view_tells_last_words(service))
            json_array_append(telling, (json_t *)service);
    }
    log_settle(client, telling);
    json_decref(telling);
}

static void print_views(struct client *client, const json_t *services, double now, const struct table_style *style)
{
    const json_t *service;
    size_t i;

    settle_last_words(client, services);

    json_array_foreach(services, i, service)
    {
        if (i > 0)
            putchar('\n');
        view_print(service, now, style, stdout);
    }
}

/* In full with --full, or where one service was asked for by its own name. */
static bool wants_views(const struct options *options, const json_t *services)
{
    if (options->given & OPTION_FULL)
        return true;
    return options->n_args == 1 && json_array_size(services) == 1 &&
           strcmp(options->args[0], text_member(json_array_get(services, 0), "name")) == 0;
}

static void print_services(const struct options *options, struct client *client, const json_t *services)
{
    struct table_style style = table_style_of_stdout();
    double now = text_now();

    if (json_array_size(services) == 0)
        puts("No services are configured.");
    else if (wants_views(options, services))
        print_views(client, services, now, &style);
    else
        print_table(services, now, &style);
}

static bool all_run(const json_t *services)
{
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        if (strcmp(text_member(service, "state"), "running") != 0)
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
            print_services(options, client, services);
        if (options->n_args > 0 && !all_run(services))
            status = SUPCTL_NOT_RUNNING;
    }
    json_decref(services);
    client_close(client);
    return status;
}
