/* SPDX-License-Identifier: MIT */
#include "os/config_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance.h"
#include "core/spec_type.h"
#include "os/config_ids.h"
#include "os/config_place.h"

#define ERR_SIZE 512

struct found_error {
    unsigned file;
    unsigned line;
    size_t number; /* keeps the order of what stands in one line */
    char *message;
};

struct config_build *config_build_new(bool internal)
{
    struct config_build *b = xcalloc(1, sizeof(*b));

    b->internal = internal;
    b->config = config_new();
    b->ids = config_ids_new();
    return b;
}

unsigned config_build_add_file(struct config_build *build, const char *path)
{
    build->files = strv_push(build->files, xstrdup(path));
    return build->n_files++;
}

/* Errors are shown on terminals and in logs, and the words in them come from the file. */
static void make_printable(char *message)
{
    for (; *message != '\0'; message++) {
        if ((unsigned char)*message < 0x20 || *message == 0x7f)
            *message = '?';
    }
}

void config_build_error(struct config_build *build, unsigned file, unsigned line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *message = xvasprintf(fmt, ap);
    va_end(ap);
    make_printable(message);

    build->errors = xreallocarray(build->errors, build->n_errors + 1, sizeof(*build->errors));
    build->errors[build->n_errors] = (struct found_error){file, line, build->n_errors, message};
    build->n_errors++;
}

/* "service "redis": " and its like, to begin a message with; to be freed. */
static char *place_words(const struct config_section *section)
{
    switch (section->type) {
    case CONFIG_TOP:
        return xstrdup("");
    case CONFIG_CONTROL:
        return xstrdup("control: ");
    case CONFIG_DEFAULTS:
        return xstrdup("defaults: ");
    case CONFIG_SERVICE:
        return xasprintf("service \"%s\": ", section->title);
    case CONFIG_ON_EVENT:
        return xasprintf("on-event \"%s\": ", section->title);
    }
    return xstrdup("");
}

void config_build_entry_error(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                              const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);

    char *place = place_words(p->section);
    config_build_error(b, p->file, entry->line, "%skey '%s'%s", place, entry->key, text);
    free(place);
    free(text);
}

void config_build_replace(char **to, const char *value)
{
    free(*to);
    *to = xstrdup(value);
}

bool config_build_given_before(struct config_build *b, const struct placed *p, size_t i)
{
    const struct config_entry *entry = &p->section->entries[i];

    if (i == 0 || strcmp(entry[-1].key, entry->key) != 0)
        return false;
    config_build_entry_error(b, p, entry, " is given twice, first in line %u: give it once", entry[-1].line);
    return true;
}

/* As spec_set(); a dump has its values expanded, and names of users and addresses in them, too. */
static bool set_value(const struct config_build *b, struct spec *spec, const struct spec_key *key,
                      const struct config_entry *entry, char *err, size_t err_size)
{
    bool is_list = entry->kind == CONFIG_LIST;

    if (b->internal || (key->flags & KEY_F_EXPANDS) == 0 || !instance_is(spec->name))
        return spec_set(spec, key, entry->values, entry->n, is_list, err, err_size);

    char **values = instance_expand_all(entry->values, spec->name, err, err_size);
    bool ok = values != NULL && spec_set(spec, key, values, entry->n, is_list, err, err_size);
    strv_free(values);
    return ok;
}

/* As in systemd's units: what `defaults` says does not hold for this one. */
static bool is_empty(const struct config_entry *entry)
{
    return entry->kind == CONFIG_LIST ? entry->n == 0 : entry->n == 1 && entry->values[0][0] == '\0';
}

/* Tells of each element of a list that is wrong by itself.  False: none is, so only all of them together are. */
static bool tell_elements(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                          const struct spec_key *key, const char *name)
{
    struct spec *scratch = spec_new(name);
    bool told = false;

    for (size_t i = 0; i < entry->n; i++) {
        char *value[] = {entry->values[i], NULL};
        struct config_entry one = *entry;
        char err[ERR_SIZE];

        one.values = value;
        one.n = 1;
        if (set_value(b, scratch, key, &one, err, sizeof(err)))
            continue;
        config_build_entry_error(b, p, entry, ": %s", err);
        told = true;
    }
    spec_free(scratch);
    return told;
}

bool config_set_service_key(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                            struct spec *spec)
{
    const struct spec_key *key = spec_key_find(entry->key);
    char err[ERR_SIZE];

    if (key == NULL) {
        if (config_ids_set_internal(spec, entry))
            return true;
        config_build_entry_error(b, p, entry, ": the value makes no sense");
        return false;
    }
    if (entry->kind == CONFIG_SECTION) {
        config_build_entry_error(b, p, entry, " is no section: write %s = VALUE", entry->key);
        return false;
    }
    if (set_value(b, spec, key, entry, err, sizeof(err)))
        return true;
    if (is_empty(entry) && (key->flags & KEY_F_REQUIRED) == 0) {
        spec_reset(spec, key);
        return true;
    }
    const struct key_type_ops *ops = key_type_ops(key->type);
    if (entry->n < 2 || !ops->takes_list || ops->is_command || !tell_elements(b, p, entry, key, spec->name))
        config_build_entry_error(b, p, entry, ": %s", err);
    return false;
}

/* Unset, or something that can be looked up, or nobody; anything else was refused before. */
static bool has_value(const struct config_entry *entry)
{
    return entry == NULL || entry->kind == CONFIG_VALUE;
}

/* What `defaults` said of ids was resolved with them. */
bool config_build_resolve_ids(struct config_build *b, const struct placed *p, struct spec *spec)
{
    const struct config_entry *user = config_section_find(p->section, "user");
    const struct config_entry *group = config_section_find(p->section, "group");
    const struct config_entry *more = config_section_find(p->section, "supplementary-groups");

    if (b->internal) {
        bool ok = config_ids_are_whole(spec, p->section);
        if (!ok)
            config_build_error(b, p->file, p->section->line,
                               "service \"%s\": its user and groups and their ids do not belong together", spec->name);
        return ok;
    }
    if ((user == NULL && group == NULL && more == NULL) || !has_value(user) || !has_value(group))
        return true;

    struct config_ids_errors errors = config_ids_resolve(b->ids, spec);
    if (errors.user != NULL)
        config_build_entry_error(b, p, user != NULL ? user : group != NULL ? group : more, ": %s", errors.user);
    if (errors.group != NULL)
        config_build_entry_error(b, p, group != NULL ? group : user != NULL ? user : more, ": %s", errors.group);
    if (errors.supplementary != NULL)
        config_build_entry_error(b, p, more != NULL ? more : user != NULL ? user : group, ": %s", errors.supplementary);
    return errors.user == NULL && errors.group == NULL && errors.supplementary == NULL;
}

/* The same for the owners of its sockets and of its log. */
static bool resolve_owners(struct config_build *b, const struct placed *p, struct spec *spec)
{
    const struct config_entry *listen = config_section_find(p->section, "listen");
    const struct config_entry *owner = config_section_find(p->section, "log-owner");
    char err[ERR_SIZE];

    if (b->internal)
        return true;
    if (listen != NULL && !config_ids_resolve_listen(spec, err, sizeof(err))) {
        config_build_entry_error(b, p, listen, ": %s", err);
        return false;
    }
    if (owner != NULL && !config_ids_resolve_owner(spec, err, sizeof(err))) {
        config_build_entry_error(b, p, owner, ": %s", err);
        return false;
    }
    return true;
}

/* All that a section says; false when something of it is wrong. */
static bool apply_section(struct config_build *b, const struct placed *p, struct spec *spec)
{
    bool ok = true;

    for (size_t i = 0; i < p->section->n_entries; i++) {
        if (config_build_given_before(b, p, i) || !config_set_service_key(b, p, &p->section->entries[i], spec))
            ok = false;
    }
    ok = config_build_resolve_ids(b, p, spec) && ok;
    return resolve_owners(b, p, spec) && ok;
}

/* By the service itself, or for all. */
static bool is_given(const struct config_build *b, const struct placed *p, const char *key)
{
    return config_section_find(p->section, key) != NULL ||
           (b->defaults.section != NULL && config_section_find(b->defaults.section, key) != NULL);
}

/* Where `defaults` says something that no instance can take; told once, however many services have instances. */
static bool expand_defaults(struct config_build *b, struct spec *spec)
{
    char err[ERR_SIZE];

    if (instance_expand_spec(spec, err, sizeof(err)))
        return true;
    if (!b->defaults_told)
        config_build_error(b, b->defaults.file, b->defaults.section->line, "defaults: for service \"%s\": %s",
                           spec->name, err);
    b->defaults_told = true;
    return false;
}

/* The service NAME as the section and `defaults` make it; NULL with what is wrong told. */
static struct spec *build_spec(struct config_build *b, const struct placed *p, const char *name,
                               const struct spec *defaults, bool defaults_ok)
{
    const struct config_section *section = p->section;
    struct spec *spec = spec_dup(defaults);
    char err[ERR_SIZE];
    bool ok = defaults_ok;

    config_build_replace(&spec->name, name);
    config_build_replace(&spec_own_source(spec)->file, b->files[p->file]);
    spec->line = section->line;
    if (ok && instance_is(name) && !b->internal)
        ok = expand_defaults(b, spec);

    ok = apply_section(b, p, spec) && ok;
    spec_type_defaults(spec, is_given(b, p, "restart"), is_given(b, p, "start-timeout"));
    /* Where a value was refused already, its absence is no news. */
    if (ok && section->whole && !spec_validate(spec, err, sizeof(err))) {
        config_build_error(b, p->file, section->line, "service \"%s\": %s", section->title, err);
        ok = false;
    }
    if (spec->around->instances.set)
        spec_own_around(spec)->instances = (struct spec_int){0};
    if (ok)
        return spec;
    spec_free(spec);
    return NULL;
}

/* How many the section asks for; where it says it wrongly, one, which is told when that one is built. */
static struct spec_int count_instances(const struct config_section *section, const struct spec *defaults)
{
    const struct config_entry *entry = config_section_find(section, "instances");
    char err[ERR_SIZE];

    if (entry == NULL)
        return defaults->around->instances;

    struct spec *probe = spec_dup(defaults);
    struct spec_int count = {true, 1};
    if (entry->kind == CONFIG_VALUE &&
        spec_set(probe, spec_key_find("instances"), entry->values, entry->n, false, err, sizeof(err)))
        count = probe->around->instances;
    spec_free(probe);
    return count;
}

/* All are made, none is wrong; FIRST is the one of which the others' are known to be as good, and goes where it belongs. */
static void keep_first(struct config_build *b, const struct placed *p, struct spec *first, int count,
                       const struct spec *defaults)
{
    config_template_keep(b, p, first, count, defaults);
    if (count == 0)
        spec_free(first);
    else
        spec_list_push(&b->config->services, first);
}

/* What is wrong is wrong with the first of them already, as a rule: it is told once.  And with none, it is told too. */
static void build_instances(struct config_build *b, const struct placed *p, const struct spec *defaults,
                            bool defaults_ok, int count)
{
    struct spec *first = NULL;
    char err[ERR_SIZE];

    for (int k = 1; k <= count || k == 1; k++) {
        char *name = instance_name(p->section->title, (unsigned)k);
        struct spec *spec = build_spec(b, p, name, defaults, defaults_ok);
        free(name);
        if (spec == NULL)
            return;
        if (k == 1) {
            first = spec;
            keep_first(b, p, first, count, defaults);
            continue;
        }
        spec_list_push(&b->config->services, spec);
        if (k == 2 && instance_clash(first, spec, err, sizeof(err))) {
            config_build_error(b, p->file, p->section->line, "service \"%s\": %s", p->section->title, err);
            return;
        }
    }
}

static void build_service(struct config_build *b, const struct placed *p, const struct spec *defaults, bool defaults_ok)
{
    const struct config_section *section = p->section;
    struct spec_int instances = count_instances(section, defaults);

    if (section->title[0] == '\0')
        config_build_error(b, p->file, section->line, "a service needs a name: write service \"NAME\" { ... }");
    else if (b->internal ? !instance_name_valid(section->title) : !spec_name_valid(section->title))
        config_build_error(b, p->file, section->line,
                           "service \"%s\": a name is 1 to %d of A-Z a-z 0-9 . _ - and begins with neither . nor -",
                           section->title, SPEC_NAME_MAX);

    if (instances.set && !b->internal) {
        build_instances(b, p, defaults, defaults_ok, instances.value);
        return;
    }
    if (instances.set) {
        config_template_restore(b, p, defaults);
        return;
    }
    struct spec *spec = build_spec(b, p, section->title, defaults, defaults_ok);
    if (spec != NULL)
        spec_list_push(&b->config->services, spec);
}

static int compare_places(const struct placed *a, const struct placed *b)
{
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return a->section->line < b->section->line ? -1 : a->section->line > b->section->line;
}

static int compare_services(const void *a, const void *b)
{
    const struct placed *x = a;
    const struct placed *y = b;
    int order = strcmp(x->section->title, y->section->title);

    return order != 0 ? order : compare_places(x, y);
}

static void refuse_duplicates(struct config_build *b)
{
    size_t first = 0;

    for (size_t i = 1; i < b->n_services; i++) {
        const struct placed *one = &b->services[first];
        const struct placed *two = &b->services[i];
        if (strcmp(one->section->title, two->section->title) != 0)
            first = i;
        else if (one->section->title[0] != '\0')
            config_build_error(b, two->file, two->section->line, "service \"%s\" is defined twice, first in %s:%u",
                               two->section->title, b->files[one->file], one->section->line);
    }
}

static void build_services(struct config_build *b)
{
    struct spec *defaults = spec_new("defaults");
    bool defaults_ok = b->defaults.section == NULL || apply_section(b, &b->defaults, defaults);

    if (b->n_services > 0)
        qsort(b->services, b->n_services, sizeof(*b->services), compare_services);
    refuse_duplicates(b);
    for (size_t i = 0; i < b->n_services; i++)
        build_service(b, &b->services[i], defaults, defaults_ok);
    spec_free(defaults);
    config_event_build(b);
    spec_list_sort(&b->config->services);
    config_build_graph(b);
}

static void add_service(struct config_build *b, const struct placed *p)
{
    if (b->n_services == b->services_room) {
        b->services_room = 2 * b->services_room + 16;
        b->services = xreallocarray(b->services, b->services_room, sizeof(*b->services));
    }
    b->services[b->n_services++] = *p;
}

/* `control` and `defaults`: one in all files together, without a name. */
static void add_single(struct config_build *b, const struct placed *p, struct placed *to, const char *name)
{
    if (p->section->title[0] != '\0')
        config_build_error(b, p->file, p->section->line, "'%s' takes no name: write %s { ... }", name, name);
    if (to->section != NULL) {
        config_build_error(b, p->file, p->section->line, "'%s' is given twice, first in %s:%u: put all into one", name,
                           b->files[to->file], to->section->line);
        config_section_free(p->section);
        return;
    }
    *to = *p;
}

void config_build_add_section(struct config_build *build, unsigned file, struct config_section *section)
{
    struct placed p = {section, file};

    switch (section->type) {
    case CONFIG_TOP:
        config_build_top(build, &p);
        config_section_free(section);
        break;
    case CONFIG_CONTROL:
        add_single(build, &p, &build->control, "control");
        break;
    case CONFIG_DEFAULTS:
        add_single(build, &p, &build->defaults, "defaults");
        break;
    case CONFIG_SERVICE:
        add_service(build, &p);
        break;
    case CONFIG_ON_EVENT:
        config_event_add(build, &p);
        break;
    }
}

static int compare_errors(const void *a, const void *b)
{
    const struct found_error *x = a;
    const struct found_error *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void hand_over_errors(struct config_build *b, struct config_errors *errors)
{
    *errors = (struct config_errors){0};
    if (b->n_errors == 0)
        return;

    qsort(b->errors, b->n_errors, sizeof(*b->errors), compare_errors);
    errors->items = xcalloc(b->n_errors, sizeof(*errors->items));
    errors->n = b->n_errors;
    for (size_t i = 0; i < b->n_errors; i++) {
        const struct found_error *e = &b->errors[i];
        errors->items[i] = (struct config_error){xstrdup(b->files[e->file]), e->line, e->message};
    }
    /* Half a configuration is none. */
    spec_list_free(&b->config->services);
}

struct config *config_build_finish(struct config_build *build, struct config_errors *errors)
{
    struct config *config = build->config;

    config_build_control(build);
    build_services(build);
    hand_over_errors(build, errors);

    for (size_t i = 0; i < build->n_services; i++)
        config_section_free(build->services[i].section);
    if (build->defaults.section != NULL)
        config_section_free(build->defaults.section);
    if (build->control.section != NULL)
        config_section_free(build->control.section);
    config_ids_free(build->ids);
    config_event_free(build);
    free(build->services);
    free(build->errors);
    strv_free(build->files);
    free(build);
    return config;
}
