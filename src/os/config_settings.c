/* SPDX-License-Identifier: MIT */
/*
 * The settings of supd itself: keys at the top of a file, and control { }.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/suggest.h"
#include "os/config_ids.h"
#include "os/config_place.h"

#define ERR_SIZE 512

/* The one value of a setting, NULL with the error told when it is anything else. */
static const char *setting_value(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    if (entry->kind == CONFIG_VALUE && entry->values[0][0] != '\0')
        return entry->values[0];
    if (entry->kind == CONFIG_VALUE)
        config_build_entry_error(b, p, entry, ": the value is empty: leave the key out, or give it a value");
    else
        config_build_entry_error(b, p, entry, ": it takes one value, not a %s",
                                 entry->kind == CONFIG_LIST ? "list" : "section");
    return NULL;
}

static bool check_absolute(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    if (entry->values[0][0] == '/')
        return true;
    config_build_entry_error(b, p, entry, ": '%s' is not an absolute path: write it from '/' on", entry->values[0]);
    return false;
}

/* Is its value one of WORDS, ended by NULL?  Else that is told. */
static bool is_one_of(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                      const char *const *words)
{
    const char *value = entry->values[0];
    char all[128] = "";
    size_t used = 0;
    size_t n = 0;

    for (; words[n] != NULL; n++) {
        if (strcmp(value, words[n]) == 0)
            return true;
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", n > 0 ? ", " : "", words[n]);
    }
    const char *near = suggest_nearest(value, words, n);
    if (near != NULL)
        config_build_entry_error(b, p, entry, ": '%s' is none of %s; did you mean '%s'?", value, all, near);
    else
        config_build_entry_error(b, p, entry, ": '%s' is none of %s", value, all);
    return false;
}

static void set_watch(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    static const char *const words[] = {"auto", "pidfd", "netlink", "poll", "ptrace", NULL};

    if (is_one_of(b, p, entry, words))
        config_build_replace(&b->config->settings.watch, entry->values[0]);
}

static void set_cgroup(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    static const char *const words[] = {"auto", "optional", "no", NULL};

    if (is_one_of(b, p, entry, words))
        config_build_replace(&b->config->settings.cgroup, entry->values[0]);
}

static void set_log_level(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    static const char *const words[] = {"error", "warning", "info", "debug", NULL};

    if (is_one_of(b, p, entry, words))
        log_level_parse(entry->values[0], &b->config->settings.log_level);
}

static void set_slots(struct config_build *b, const struct placed *p, const struct config_entry *entry, unsigned *slots)
{
    const char *value = entry->values[0];
    size_t len = strspn(value, "0123456789");

    if (value[len] != '\0' || len > 6) {
        config_build_entry_error(b, p, entry, ": '%s' is not a number from 0, which means no bound, to 999999", value);
        return;
    }
    *slots = (unsigned)strtoul(value, NULL, 10);
}

static void set_top_key(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    if (setting_value(b, p, entry) == NULL)
        return;
    if (strcmp(entry->key, "log-level") == 0)
        set_log_level(b, p, entry);
    else if (strcmp(entry->key, "watch") == 0)
        set_watch(b, p, entry);
    else if (strcmp(entry->key, "cgroup") == 0)
        set_cgroup(b, p, entry);
    else if (strcmp(entry->key, "start-slots") == 0)
        set_slots(b, p, entry, &b->config->settings.start_slots);
    else if (strcmp(entry->key, "check-slots") == 0)
        set_slots(b, p, entry, &b->config->settings.check_slots);
    else if (check_absolute(b, p, entry))
        config_build_replace(strcmp(entry->key, "state-dir") == 0 ? &b->config->settings.state_dir
                                                                  : &b->config->settings.runtime_dir,
                             entry->values[0]);
}

/* Settings may stand in any file, each in one. */
void config_build_top(struct config_build *b, const struct placed *p)
{
    for (size_t i = 0; i < p->section->n_entries; i++) {
        const struct config_entry *entry = &p->section->entries[i];
        size_t k = 0;
        while (strcmp(config_top_keys[k], entry->key) != 0)
            k++;

        if (b->tops[k].line != 0) {
            config_build_entry_error(b, p, entry, " is given twice, first in %s:%u: give it once",
                                     b->files[b->tops[k].file], b->tops[k].line);
            continue;
        }
        b->tops[k].file = p->file;
        b->tops[k].line = entry->line;
        set_top_key(b, p, entry);
    }
}

static void set_socket(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (!check_absolute(b, p, entry))
        return;
    if (strlen(entry->values[0]) > max) {
        config_build_entry_error(b, p, entry, ": the path of a socket is at most %zu bytes long: choose a shorter one",
                                 max);
        return;
    }
    config_build_replace(&b->config->settings.socket, entry->values[0]);
}

static void set_group(struct config_build *b, const struct placed *p, const struct config_entry *entry, char **name,
                      gid_t *gid)
{
    char err[ERR_SIZE];

    if (!b->internal && !ids_group(entry->values[0], gid, err, sizeof(err))) {
        config_build_entry_error(b, p, entry, ": %s", err);
        return;
    }
    config_build_replace(name, entry->values[0]);
}

static void set_control_key(struct config_build *b, const struct placed *p, const struct config_entry *entry)
{
    struct settings *settings = &b->config->settings;
    bool ok = true;

    if (setting_value(b, p, entry) == NULL)
        return;
    if (strcmp(entry->key, "socket") == 0)
        set_socket(b, p, entry);
    else if (strcmp(entry->key, "admin-group") == 0)
        set_group(b, p, entry, &settings->admin_group, &settings->admin_gid);
    else if (strcmp(entry->key, "read-group") == 0)
        set_group(b, p, entry, &settings->read_group, &settings->read_gid);
    else if (strcmp(entry->key, "resolved-admin-gid") == 0)
        ok = config_ids_number(entry->values[0], &settings->admin_gid);
    else
        ok = config_ids_number(entry->values[0], &settings->read_gid);
    if (!ok)
        config_build_entry_error(b, p, entry, ": '%s' is not a number", entry->values[0]);
}

/* Of a dump: a group and its number are there together or not at all. */
static void check_number(struct config_build *b, const struct placed *p, const char *group, const char *number)
{
    if ((config_section_find(p->section, group) == NULL) != (config_section_find(p->section, number) == NULL))
        config_build_error(b, p->file, p->section->line, "control: %s and %s belong together", group, number);
}

void config_build_control(struct config_build *b)
{
    const struct placed *p = &b->control;

    if (p->section == NULL)
        return;
    for (size_t i = 0; i < p->section->n_entries; i++) {
        if (!config_build_given_before(b, p, i))
            set_control_key(b, p, &p->section->entries[i]);
    }
    if (b->internal) {
        check_number(b, p, "admin-group", "resolved-admin-gid");
        check_number(b, p, "read-group", "resolved-read-gid");
    }
}
