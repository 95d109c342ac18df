/* SPDX-License-Identifier: MIT */
#include "supctl/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "supctl/text.h"
#include "supctl/words.h"

#define UNKNOWN (-1.0)

static const struct table_column columns[] = {
    {.heading = "NAME"},
    {.heading = "STATE", .colour = true},
    {.heading = "PID", .right = true},
    {.heading = "%CPU", .right = true},
    {.heading = "MEMORY", .right = true},
    {.heading = "TASKS", .right = true},
    {.heading = "UPTIME", .right = true},
    {.heading = "RESTARTS", .right = true, .wide = true},
    {.heading = "NOTE"},
};

struct top_row {
    const json_t *service;
    const char *name;
    double share;  /* percent of one processor, or UNKNOWN */
    double memory; /* bytes, or UNKNOWN */
};

struct top {
    json_t *services; /* the last look: an array; NULL before the first one */
    json_t *by_name;  /* the same by name */
    double at;
    struct top_row *rows;
    size_t n_rows;
};

struct top *top_new(void)
{
    return xcalloc(1, sizeof(struct top));
}

void top_free(struct top *top)
{
    json_decref(top->services);
    json_decref(top->by_name);
    free(top->rows);
    free(top);
}

static double number_of(const json_t *service, const char *key)
{
    const json_t *value = json_object_get(service, key);

    return json_is_number(value) ? json_number_value(value) : UNKNOWN;
}

static json_t *index_by_name(json_t *services)
{
    json_t *by_name = json_object();
    json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        json_object_set(by_name, text_member(service, "name"), service);
    }
    return by_name;
}

/* What a new life has used it has used since the last look; what ended meanwhile may make a sum smaller. */
static double share_of(const json_t *before, const json_t *service, double elapsed)
{
    double cpu = number_of(service, "cpu");
    double old = number_of(before, "cpu");

    if (cpu == UNKNOWN || !before || !(elapsed > 0))
        return UNKNOWN;
    if (old == UNKNOWN || number_of(before, "starts") != number_of(service, "starts"))
        old = 0;
    return cpu > old ? (cpu - old) / elapsed * 100 : 0;
}

void top_look(struct top *top, json_t *services, double at)
{
    json_t *before = top->by_name;
    json_t *service;
    size_t i;

    json_decref(top->services);
    top->services = json_incref(services);
    top->by_name = index_by_name(services);
    free(top->rows);
    top->n_rows = json_array_size(services);
    top->rows = xcalloc(top->n_rows + 1, sizeof *top->rows);
    json_array_foreach(services, i, service)
    {
        const char *name = text_member(service, "name");
        top->rows[i] = (struct top_row){
            .service = service,
            .name = name,
            .share = share_of(json_object_get(before, name), service, at - top->at),
            .memory = number_of(service, "memory"),
        };
    }
    json_decref(before);
    top->at = at;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct top_row *)a)->name, ((const struct top_row *)b)->name);
}

/* The largest first. */
static int compare(double a, double b)
{
    return (a < b) - (a > b);
}

static int by_memory(const void *a, const void *b)
{
    int order = compare(((const struct top_row *)a)->memory, ((const struct top_row *)b)->memory);

    return order != 0 ? order : by_name(a, b);
}

static int by_cpu(const void *a, const void *b)
{
    int order = compare(((const struct top_row *)a)->share, ((const struct top_row *)b)->share);

    return order != 0 ? order : by_memory(a, b);
}

static void add_row(struct table *table, const struct top_row *row, double now)
{
    double up = number_of(row->service, "uptime");
    char pid[32], share[32] = "-", memory[32], tasks[32], uptime[48], restarts[32];
    char *name = text_clean(row->name);
    char *state = text_clean(text_member(row->service, "state"));
    char *words = words_of_service(row->service, now);

    if (row->share != UNKNOWN)
        snprintf(share, sizeof share, "%.1f", row->share);
    const char *const cells[] = {
        *name ? name : "?",
        *state ? state : "?",
        text_integer(row->service, "pid", pid, sizeof pid),
        share,
        row->memory >= 0 ? size_human((uint64_t)row->memory, memory, sizeof memory) : "-",
        text_integer(row->service, "tasks", tasks, sizeof tasks),
        up != UNKNOWN ? text_duration_short(up, uptime, sizeof uptime) : "-",
        text_integer(row->service, "restarts", restarts, sizeof restarts),
        words,
    };
    table_add(table, words_colour(row->service), cells);
    free(words);
    free(state);
    free(name);
}

struct table *top_table(struct top *top, enum top_order order, size_t max, double now)
{
    static int (*const orders[])(const void *, const void *) = {
        [TOP_BY_CPU] = by_cpu,
        [TOP_BY_MEMORY] = by_memory,
        [TOP_BY_NAME] = by_name,
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);

    if (top->n_rows > 0)
        qsort(top->rows, top->n_rows, sizeof *top->rows, orders[order]);
    for (size_t i = 0; i < top->n_rows && i < max; i++)
        add_row(table, &top->rows[i], now);
    return table;
}

char *top_summary(const struct top *top)
{
    size_t running = 0, failed = 0;
    double share = UNKNOWN, memory = 0;
    char size[32];
    struct buf line = {0};

    for (size_t i = 0; i < top->n_rows; i++) {
        const struct top_row *row = &top->rows[i];
        const char *state = text_member(row->service, "state");

        running += strcmp(state, "running") == 0;
        failed += strcmp(state, "failed") == 0;
        if (row->share != UNKNOWN)
            share = (share == UNKNOWN ? 0 : share) + row->share;
        if (row->memory > 0)
            memory += row->memory;
    }
    buf_addf(&line, "%zu service%s, %zu running", top->n_rows, top->n_rows == 1 ? "" : "s", running);
    if (failed > 0)
        buf_addf(&line, ", %zu failed", failed);
    buf_add_string(&line, ";");
    if (share != UNKNOWN)
        buf_addf(&line, " %.1f %% CPU,", share);
    buf_addf(&line, " %s memory", size_human((uint64_t)memory, size, sizeof size));
    return buf_steal(&line);
}
