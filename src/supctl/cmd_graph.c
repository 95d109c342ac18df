/* SPDX-License-Identifier: MIT */
/* tree, why */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/params.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/words.h"

/* What the answer of service.graph says, by number. */
struct nodes {
    const json_t *services;
    json_t *by_name; /* name -> number */
    bool *shown;
    bool *below; /* somebody needs it */
    struct table_style style;
};

/* What one service needs another for; the order of the words. */
static const char *const needs[] = {"binds-to", "requires", "requisite", "wants", "part-of", "after"};
#define N_NEEDS (sizeof needs / sizeof *needs)

static size_t number_of(const struct nodes *nodes, const char *name)
{
    const json_t *number = json_object_get(nodes->by_name, name);

    return number ? (size_t)json_integer_value(number) : SIZE_MAX;
}

static bool has_name(const json_t *service, const char *key, const char *name)
{
    const json_t *each;
    size_t i;

    json_array_foreach(json_object_get(service, key), i, each)
    {
        if (strcmp(json_string_value(each), name) == 0)
            return true;
    }
    return false;
}

/* "requires, after"; "" where SERVICE does not need NAME. */
static const char *need_words(const json_t *service, const char *name, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < N_NEEDS; i++) {
        if (has_name(service, needs[i], name))
            len += (size_t)snprintf(buf + len, size - len, "%s%s", len > 0 ? ", " : "", needs[i]);
    }
    return buf;
}

static void print_clean(const char *text)
{
    char *clean = text_clean(text);

    fputs(clean, stdout);
    free(clean);
}

/* "running, pid 4711", "waiting: for db to be ready" */
static void print_state(const struct nodes *nodes, const json_t *service)
{
    const char *reason = json_string_value(json_object_get(service, "reason"));
    const json_t *pid = json_object_get(service, "pid");
    const char *state = text_member(service, "state");

    fputs(nodes->style.colour ? table_colour_code(words_colour(service)) : "", stdout);
    print_clean(state);
    fputs(nodes->style.colour ? table_colour_code(TABLE_PLAIN) : "", stdout);
    if (json_is_integer(pid))
        printf(", pid %lld", (long long)json_integer_value(pid));
    if (reason) {
        fputs(": ", stdout);
        print_clean(proto_reason_beside(state, reason));
    }
}

/* ---- tree ---- */

static void print_below(struct nodes *nodes, size_t number, const char *prefix);

static void print_node(struct nodes *nodes, size_t number, const char *how)
{
    const json_t *service = json_array_get(nodes->services, number);
    bool again = nodes->shown[number];

    print_clean(text_member(service, "name"));
    if (how[0] != '\0')
        printf(" (%s)", how);
    fputs("  ", stdout);
    print_state(nodes, service);
    puts(again ? "  [shown above]" : "");
}

static void print_child(struct nodes *nodes, size_t number, const char *how, const char *prefix, bool last)
{
    bool utf8 = nodes->style.utf8;
    bool again = nodes->shown[number];

    fputs(prefix, stdout);
    fputs(last ? (utf8 ? "└─ " : "`- ") : (utf8 ? "├─ " : "|- "), stdout);
    print_node(nodes, number, how);
    if (again)
        return;
    char *deeper = xasprintf("%s%s", prefix, last ? "   " : utf8 ? "│  " : "|  ");
    print_below(nodes, number, deeper);
    free(deeper);
}

/* What NUMBER needs, each once, in order of name. */
static void print_below(struct nodes *nodes, size_t number, const char *prefix)
{
    const json_t *service = json_array_get(nodes->services, number);
    size_t held = SIZE_MAX;
    char held_how[128] = "";
    char how[128];

    nodes->shown[number] = true;
    for (size_t i = 0; i < json_array_size(nodes->services); i++) {
        const char *name = text_member(json_array_get(nodes->services, i), "name");

        if (i == number || need_words(service, name, how, sizeof how)[0] == '\0')
            continue;
        /* One behind, to know which is the last. */
        if (held != SIZE_MAX)
            print_child(nodes, held, held_how, prefix, false);
        held = i;
        memcpy(held_how, how, sizeof held_how);
    }
    if (held != SIZE_MAX)
        print_child(nodes, held, held_how, prefix, true);
}

static void print_root(struct nodes *nodes, size_t number)
{
    if (nodes->shown[number])
        return;
    print_node(nodes, number, "");
    print_below(nodes, number, "");
}

static void find_below(struct nodes *nodes)
{
    const json_t *service;
    const json_t *name;
    size_t i;
    size_t k;

    json_array_foreach(nodes->services, i, service)
    {
        for (size_t need = 0; need < N_NEEDS; need++) {
            json_array_foreach(json_object_get(service, needs[need]), k, name)
            {
                size_t number = number_of(nodes, json_string_value(name));

                if (number != SIZE_MAX && number != i)
                    nodes->below[number] = true;
            }
        }
    }
}

static void print_tree(struct nodes *nodes, const struct options *options)
{
    size_t n = json_array_size(nodes->services);

    if (n == 0)
        puts("No services are configured.");
    /* Who was asked for comes first, whoever needs him; without names all were. */
    for (size_t i = 0; options->n_args > 0 && i < n; i++) {
        if (json_is_true(json_object_get(json_array_get(nodes->services, i), "asked")))
            print_root(nodes, i);
    }
    find_below(nodes);
    for (size_t i = 0; options->n_args == 0 && i < n; i++) {
        if (!nodes->below[i])
            print_root(nodes, i);
    }
    /* Those that need one another, and nobody else needs them. */
    for (size_t i = 0; options->n_args == 0 && i < n; i++)
        print_root(nodes, i);
}

/* ---- why ---- */

static void print_why(struct nodes *nodes, size_t number, const char *what, unsigned depth);

/* Those that NUMBER waits for, each with what that waits for in turn. */
static bool print_waits(struct nodes *nodes, const json_t *service, unsigned depth)
{
    const json_t *wait;
    size_t i;

    json_array_foreach(json_object_get(service, "waits-for"), i, wait)
    {
        print_why(nodes, number_of(nodes, text_member(wait, "name")), text_member(wait, "for"), depth);
    }
    return json_array_size(json_object_get(service, "waits-for")) > 0;
}

/* Where it has failed: those that it needs and that have, too. */
static void print_failures(struct nodes *nodes, const json_t *service, unsigned depth)
{
    static const char *const hard[] = {"binds-to", "requires", "requisite"};
    const json_t *name;
    size_t i;

    for (size_t need = 0; need < sizeof hard / sizeof *hard; need++) {
        json_array_foreach(json_object_get(service, hard[need]), i, name)
        {
            size_t number = number_of(nodes, json_string_value(name));
            const json_t *other = json_array_get(nodes->services, number);

            if (number != SIZE_MAX && strcmp(text_member(other, "state"), "failed") == 0)
                print_why(nodes, number, "", depth);
        }
    }
}

static void print_why(struct nodes *nodes, size_t number, const char *what, unsigned depth)
{
    const json_t *service = json_array_get(nodes->services, number);

    if (!service)
        return;
    printf("%*s", (int)(2 * depth), "");
    print_clean(text_member(service, "name"));
    fputs(": ", stdout);
    print_state(nodes, service);
    if (what[0] != '\0')
        printf(" (is to %s)", strcmp(what, "ready") == 0 ? "be ready" : what);
    if (nodes->shown[number]) {
        puts("  [shown above]");
        return;
    }
    putchar('\n');
    nodes->shown[number] = true;
    if (!print_waits(nodes, service, depth + 1) && strcmp(text_member(service, "state"), "failed") == 0)
        print_failures(nodes, service, depth + 1);
}

static void print_all_why(struct nodes *nodes, const struct options *options)
{
    (void)options;
    for (size_t i = 0; i < json_array_size(nodes->services); i++) {
        if (json_is_true(json_object_get(json_array_get(nodes->services, i), "asked")) && !nodes->shown[i])
            print_why(nodes, i, "", 0);
    }
}

/* ---- both ---- */

static int ask(const struct options *options, void (*print)(struct nodes *nodes, const struct options *options))
{
    struct nodes nodes = {.style = table_style_of_stdout()};
    json_t *services;
    json_t *service;
    size_t i;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    nodes.style.utf8 = table_locale_is_utf8();
    if (!client)
        return status;
    status = client_ask(client, "service.graph", params_of_names(options->args, options->n_args), &services);
    if (status == SUPCTL_DONE && options->given & OPTION_JSON) {
        text_print_json(services);
    } else if (status == SUPCTL_DONE) {
        nodes.services = services;
        nodes.by_name = json_object();
        nodes.shown = xcalloc(json_array_size(services) + 1, sizeof(*nodes.shown));
        nodes.below = xcalloc(json_array_size(services) + 1, sizeof(*nodes.below));
        json_array_foreach(services, i, service)
        {
            json_object_set_new(nodes.by_name, text_member(service, "name"), json_integer((json_int_t)i));
        }
        print(&nodes, options);
        json_decref(nodes.by_name);
        free(nodes.shown);
        free(nodes.below);
    }
    json_decref(services);
    client_close(client);
    return status;
}

int cmd_tree(const struct options *options)
{
    return ask(options, print_tree);
}

int cmd_why(const struct options *options)
{
    return ask(options, print_all_why);
}
