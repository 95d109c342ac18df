/* SPDX-License-Identifier: MIT */
/*
 * on-event "NAME" { ... }: each section is a spec beside those of the services, core/event.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/event.h"
#include "os/config_place.h"

#define ERR_SIZE 512

void config_event_add(struct config_build *b, const struct placed *p)
{
    b->on_events = xreallocarray(b->on_events, b->n_on_events + 1, sizeof(*b->on_events));
    b->on_events[b->n_on_events++] = *p;
}

void config_event_free(struct config_build *b)
{
    for (size_t i = 0; i < b->n_on_events; i++)
        config_section_free(b->on_events[i].section);
    free(b->on_events);
}

static bool is_rule_key(const char *key)
{
    for (size_t i = 0; event_rule_keys[i] != NULL; i++) {
        if (strcmp(event_rule_keys[i], key) == 0)
            return true;
    }
    return false;
}

static bool set_key(struct config_build *b, const struct placed *p, const struct config_entry *entry, struct spec *spec)
{
    char err[ERR_SIZE];

    if (!is_rule_key(entry->key))
        return config_set_service_key(b, p, entry, spec);
    if (entry->kind == CONFIG_SECTION) {
        config_build_entry_error(b, p, entry, " is no section: write %s = VALUE", entry->key);
        return false;
    }
    if (event_rule_set(spec, entry->key, entry->values, entry->n, entry->kind == CONFIG_LIST, err, sizeof(err)))
        return true;
    config_build_entry_error(b, p, entry, ": %s", err);
    return false;
}

static bool check_name(struct config_build *b, const struct placed *p, size_t i)
{
    const char *title = p->section->title;

    if (title[0] == '\0') {
        config_build_error(b, p->file, p->section->line, "on-event needs a name: write on-event \"NAME\" { ... }");
        return false;
    }
    if (!spec_name_valid(title)) {
        config_build_error(b, p->file, p->section->line,
                           "on-event \"%s\": a name is 1 to %d of A-Z a-z 0-9 . _ - and begins with neither . nor -",
                           title, SPEC_NAME_MAX);
        return false;
    }
    for (size_t j = 0; j < i; j++) {
        const struct placed *other = &b->on_events[j];

        if (strcmp(other->section->title, title) == 0) {
            config_build_error(b, p->file, p->section->line, "on-event \"%s\" is defined twice, first in %s:%u", title,
                               b->files[other->file], other->section->line);
            return false;
        }
    }
    return true;
}

static void build(struct config_build *b, const struct placed *p, bool ok)
{
    const struct config_section *section = p->section;
    struct spec *spec = spec_new(section->title);
    char err[ERR_SIZE];

    event_spec_prepare(spec, section->title);
    config_build_replace(&spec_own_source(spec)->file, b->files[p->file]);
    spec->line = section->line;
    for (size_t i = 0; i < section->n_entries; i++) {
        if (config_build_given_before(b, p, i) || !set_key(b, p, &section->entries[i], spec))
            ok = false;
    }
    ok = config_build_resolve_ids(b, p, spec) && ok;
    if (ok && section->whole && !event_rule_validate(spec, err, sizeof(err))) {
        config_build_error(b, p->file, section->line, "on-event \"%s\": %s", section->title, err);
        ok = false;
    }
    if (ok)
        spec_list_push(&b->config->services, spec);
    else
        spec_free(spec);
}

void config_event_build(struct config_build *b)
{
    for (size_t i = 0; i < b->n_on_events; i++)
        build(b, &b->on_events[i], check_name(b, &b->on_events[i], i));
}
