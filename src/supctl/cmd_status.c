/* SPDX-License-Identifier: MIT */
/* status */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/log_settle.h"
#include "supctl/params.h"
#include "supctl/rows.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/view.h"

static void print_table(struct table *table, size_t n)
{
    struct table_style style = table_style_of_stdout();

    if (n == 0)
        puts("No services are configured.");
    else
        table_print(table, &style, stdout);
}

static void print_objects(const json_t *services)
{
    struct table *table = rows_table();
    double now = text_now();
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        rows_add_object(table, service, now);
    }
    print_table(table, json_array_size(services));
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

static void print_views(struct client *client, const json_t *services)
{
    struct table_style style = table_style_of_stdout();
    double now = text_now();
    const json_t *service;
    size_t i;

    if (json_array_size(services) == 0)
        print_table(NULL, 0);
    settle_last_words(client, services);
    json_array_foreach(services, i, service)
    {
        if (i > 0)
            putchar('\n');
        view_print(service, now, &style, stdout);
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

/* Views, or the table where it comes to that.  *RUN: all are running. */
static int show_whole(const struct options *options, struct client *client, bool *run)
{
    json_t *services;
    int status = client_ask(client, "service.list", params_of_names(options->args, options->n_args), &services);

    if (status != SUPCTL_DONE)
        return status;
    if (wants_views(options, services))
        print_views(client, services);
    else
        print_objects(services);
    *run = all_run(services);
    json_decref(services);
    return status;
}

/* The answer as it is. */
static int show_json(const struct options *options, struct client *client, bool *run)
{
    const char *result;
    size_t len;
    int status =
        client_ask_text(client, "service.list", params_of_names(options->args, options->n_args), NULL, &result, &len);

    if (status != SUPCTL_DONE)
        return status;
    fwrite(result, 1, len, stdout);
    putchar('\n');
    *run = true;
    if (options->n_args == 0)
        return status;
    json_t *services = json_loadb(result, len, 0, NULL);
    *run = all_run(services);
    json_decref(services);
    return status;
}

static int show_table(const struct options *options, struct client *client, bool *run)
{
    json_t *params = params_of_names(options->args, options->n_args);
    const char *result;
    size_t len, n;
    bool refused;

    json_object_set_new(params, "fields", rows_fields());
    int status = client_ask_text(client, "service.list", params, &refused, &result, &len);
    if (status == SUPCTL_DONE && refused)
        return show_whole(options, client, run); /* an older supd, which tells all or nothing */
    if (status != SUPCTL_DONE)
        return status;
    struct table *table = rows_table();
    if (rows_add(table, result, len, text_now(), &n, run)) {
        print_table(table, n);
    } else {
        complain(
            "supd has answered something else than it was asked for; 'supctl version' tells whether it is another one");
        status = SUPCTL_FAILED;
    }
    table_free(table);
    return status;
}

/* May it be one service that is to be shown in full? */
static bool may_be_one(const struct options *options)
{
    return options->n_args == 1 && !proto_is_glob(options->args[0]);
}

int cmd_status(const struct options *options)
{
    int status;
    bool run = true;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    if (!client)
        return status;
    if (options->given & OPTION_JSON)
        status = show_json(options, client, &run);
    else if (options->given & OPTION_FULL || may_be_one(options))
        status = show_whole(options, client, &run);
    else
        status = show_table(options, client, &run);
    if (status == SUPCTL_DONE && options->n_args > 0 && !run)
        status = SUPCTL_NOT_RUNNING;
    client_close(client);
    return status;
}
