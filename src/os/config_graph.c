/* SPDX-License-Identifier: MIT */
/*
 * What services say of one another, checked once all are read, and told where it is written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/graph.h"
#include "core/instance.h"
#include "os/config_place.h"

/* The services are sorted by title.  NULL: there is no section of that name. */
static const struct placed *find_section(const struct config_build *b, const char *name, size_t len)
{
    size_t low = 0;
    size_t high = b->n_services;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *title = b->services[middle].section->title;
        int order = strncmp(title, name, len);

        if (order == 0 && title[len] == '\0')
            return &b->services[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A service without instances, or one of which something is wrong that was told. */
static bool known(void *ctx, const char *name)
{
    const struct config_build *b = ctx;

    return instance_is(name) ? b->n_errors > 0 : find_section(b, name, strlen(name)) != NULL;
}

/* Where KEY of SPEC stands: its section, or `defaults`; with the entry. */
static const struct placed *find_place(const struct config_build *b, const struct spec *spec, const char *key,
                                       const struct config_entry **entry)
{
    const struct placed *place = find_section(b, spec->name, instance_base_len(spec->name));

    *entry = config_section_find(place->section, key);
    if (*entry == NULL && b->defaults.section != NULL) {
        *entry = config_section_find(b->defaults.section, key);
        if (*entry != NULL)
            return &b->defaults;
    }
    return place;
}

static bool inherited(void *ctx, const struct spec *spec, const char *key)
{
    const struct config_build *b = ctx;
    const struct config_entry *entry;

    return find_place(b, spec, key, &entry) == &b->defaults;
}

static void put_place(void *ctx, const struct spec *spec, const char *key, char *buf, size_t size)
{
    const struct config_build *b = ctx;
    const struct config_entry *entry;
    const struct placed *place = find_place(b, spec, key, &entry);

    snprintf(buf, size, "%s:%u", b->files[place->file], entry != NULL ? entry->line : place->section->line);
}

static void report(void *ctx, const struct spec *spec, const char *key, const char *text)
{
    struct config_build *b = ctx;
    const struct config_entry *entry;
    const struct placed *place = find_place(b, spec, key, &entry);

    config_build_error(b, place->file, entry != NULL ? entry->line : place->section->line,
                       "service \"%s\": key '%s': %s", spec->name, key, text);
}

void config_build_graph(struct config_build *b)
{
    const struct graph_faults faults = {
        .ctx = b, .known = known, .inherited = inherited, .place = put_place, .report = report};
    const struct spec_list *list = &b->config->services;

    /* What supd wrote itself was checked before. */
    if (!b->internal)
        graph_check(list->items, list->n, &faults);
}
