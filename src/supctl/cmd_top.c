/* SPDX-License-Identifier: MIT */
/* top */
#include "supctl/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"
#include "supctl/client.h"
#include "supctl/params.h"
#include "supctl/screen.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/top.h"

#define USUAL_INTERVAL (2 * USEC_PER_SEC)
#define HEADER_LINES 3

static int64_t clock_mono(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

static int look(struct client *client, const struct options *options, struct top *top)
{
    json_t *services;

    client_renew(client);
    int status = client_ask(client, "service.list", params_of_names(options->args, options->n_args), &services);
    if (status == SUPCTL_DONE)
        top_look(top, services, (double)clock_mono() / (double)USEC_PER_SEC);
    json_decref(services);
    return status;
}

static int print_once(struct client *client, const struct options *options, struct top *top, int64_t interval)
{
    struct timespec ts = {.tv_sec = interval / USEC_PER_SEC, .tv_nsec = interval % USEC_PER_SEC * 1000};
    struct table_style style = table_style_of_stdout();

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        continue;
    int status = look(client, options, top);
    if (status != SUPCTL_DONE)
        return status;
    struct table *table = top_table(top, TOP_BY_CPU, SIZE_MAX, text_now());
    table_print(table, &style, stdout);
    table_free(table);
    return SUPCTL_DONE;
}

/* One line: what is too long would take two. */
static void put_line(FILE *out, const char *line, const struct table_style *style)
{
    char *fits = text_cut(line, style->width, style->utf8 ? "…" : "..");

    fprintf(out, "%s\n", fits);
    free(fits);
}

static bool draw(struct top *top, enum top_order order)
{
    static const char *const keys[] = {
        [TOP_BY_CPU] = "by CPU; m by memory, n by name, q quits",
        [TOP_BY_MEMORY] = "by memory; c by CPU, n by name, q quits",
        [TOP_BY_NAME] = "by name; c by CPU, m by memory, q quits",
    };
    struct table_style style = table_style_of_stdout();
    size_t lines = screen_lines();
    char *summary = top_summary(top);
    char *text;
    size_t len;
    FILE *out = mem_checked(open_memstream(&text, &len));

    put_line(out, summary, &style);
    put_line(out, keys[order], &style);
    struct table *table = top_table(top, order, lines > HEADER_LINES ? lines - HEADER_LINES : 1, text_now());
    table_print(table, &style, out);
    table_free(table);
    fclose(out);
    bool shown = screen_show(text);
    free(text);
    free(summary);
    return shown;
}

/* The order that KEY asks for, else the present one. */
static enum top_order order_of(int key, enum top_order present)
{
    switch (key) {
    case 'c':
        return TOP_BY_CPU;
    case 'm':
        return TOP_BY_MEMORY;
    case 'n':
        return TOP_BY_NAME;
    default:
        return present;
    }
}

/* A table again and again, until somebody has seen enough. */
static int follow(struct client *client, const struct options *options, struct top *top, int64_t interval)
{
    enum top_order order = TOP_BY_CPU;
    int64_t next = clock_mono() + interval;

    while (draw(top, order)) {
        int64_t left = next - clock_mono();
        int key = screen_wait(left > 0 ? left : 0);

        if (key == 'q' || key == SCREEN_END)
            return SUPCTL_DONE;
        order = order_of(key, order);
        if (key != SCREEN_TIME)
            continue;
        int status = look(client, options, top);
        if (status != SUPCTL_DONE)
            return status;
        next = clock_mono() + interval;
    }
    return SUPCTL_FAILED;
}

int cmd_top(const struct options *options)
{
    int64_t interval = options->given & OPTION_INTERVAL ? options->interval : USUAL_INTERVAL;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    if (!client)
        return status;
    struct top *top = top_new();
    status = look(client, options, top);
    if (status == SUPCTL_DONE && !(options->given & OPTION_ONCE) && screen_possible()) {
        screen_open();
        status = follow(client, options, top, interval);
        screen_close();
    } else if (status == SUPCTL_DONE) {
        status = print_once(client, options, top, interval);
    }
    top_free(top);
    client_close(client);
    return status;
}
