/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/buf.h"
#include "base/strv.h"
#include "core/event.h"
#include "core/instance_template.h"
#include "os/config.h"

/* In double quotes, so that libconfuse reads back the same bytes, whatever they are. */
static void put_quoted(struct buf *out, const char *s)
{
    static const char special[] = "\"\\\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                                  "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f";

    buf_add_char(out, '"');
    for (;;) {
        size_t plain = strcspn(s, special);

        buf_add(out, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        if (*s == '"' || *s == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, *s);
        } else {
            buf_addf(out, "\\x%02x", (unsigned char)*s);
        }
        s++;
    }
    buf_add_char(out, '"');
}

static void put_key(struct buf *out, const char *indent, const char *key)
{
    buf_add_string(out, indent);
    buf_add_string(out, key);
    buf_add_string(out, " = ");
}

static void put_value(struct buf *out, const char *indent, const char *key, const char *value)
{
    if (value == NULL)
        return;
    put_key(out, indent, key);
    put_quoted(out, value);
    buf_add_char(out, '\n');
}

static void put_number(struct buf *out, const char *indent, const char *key, uint32_t number)
{
    buf_addf(out, "%s%s = %u\n", indent, key, number);
}

static void put_list(struct buf *out, const char *key, char *const *values)
{
    put_key(out, "    ", key);
    buf_add_char(out, '{');
    for (size_t i = 0; values[i] != NULL; i++) {
        if (i > 0)
            buf_add_string(out, ", ");
        put_quoted(out, values[i]);
    }
    buf_add_string(out, "}\n");
}

static void put_settings(struct buf *out, const struct settings *settings)
{
    put_value(out, "", "runtime-dir", settings->runtime_dir);
    put_value(out, "", "state-dir", settings->state_dir);
    put_value(out, "", "log-level", log_level_name(settings->log_level));
    put_value(out, "", "watch", settings->watch);
    put_value(out, "", "cgroup", settings->cgroup);
    put_number(out, "", "start-slots", settings->start_slots);
    put_number(out, "", "check-slots", settings->check_slots);
    if (settings->socket == NULL && settings->admin_group == NULL && settings->read_group == NULL)
        return;

    buf_add_string(out, "control {\n");
    put_value(out, "    ", "socket", settings->socket);
    put_value(out, "    ", "admin-group", settings->admin_group);
    put_value(out, "    ", "read-group", settings->read_group);
    if (settings->admin_group != NULL)
        put_number(out, "    ", "resolved-admin-gid", settings->admin_gid);
    if (settings->read_group != NULL)
        put_number(out, "    ", "resolved-read-gid", settings->read_gid);
    buf_add_string(out, "}\n");
}

static void put_pair(struct buf *out, const char *key, char **values, bool is_list)
{
    if (values != NULL && is_list)
        put_list(out, key, values);
    else if (values != NULL)
        put_value(out, "    ", key, values[0]);
    strv_free(values);
}

static void put_ids(struct buf *out, const struct spec_ids *ids)
{
    if (!ids->set)
        return;
    put_number(out, "    ", "resolved-uid", ids->uid);
    put_number(out, "    ", "resolved-gid", ids->gid);
    buf_add_string(out, "    resolved-groups = {");
    for (size_t i = 0; i < ids->n_groups; i++)
        buf_addf(out, "%s%u", i > 0 ? ", " : "", ids->groups[i]);
    buf_add_string(out, "}\n");
    put_value(out, "    ", "resolved-user-name", ids->user_name);
    put_value(out, "    ", "resolved-home", ids->home);
    put_value(out, "    ", "resolved-shell", ids->shell);
}

static void end_section(struct buf *out, const struct spec *spec)
{
    put_ids(out, &spec->exec->ids);
    put_value(out, "    ", "origin-file", spec->source->file);
    put_number(out, "    ", "origin-line", spec->line);
    buf_add_string(out, "}\n");
}

static void put_spec_key(struct buf *out, const struct spec *spec, const struct spec_key *key)
{
    bool is_list;
    char **values = spec_get(spec, key, &is_list);

    put_pair(out, key->name, values, is_list);
}

/*
 * Written out too: another version of supd, which may have other ones, reads what was in force under this one.  Most
 * services differ from them in a few keys only.
 */
static void put_defaults(struct buf *out)
{
    buf_add_string(out, "defaults {\n");
    for (size_t i = 0; i < spec_n_keys; i++)
        put_spec_key(out, spec_default(), &spec_keys[i]);
    buf_add_string(out, "}\n");
}

/*
 * What differs from the defaults.  TEMPLATE: what is written of SPEC, its base, is as the instances need it; NULL: SPEC is
 * a service.
 */
static void put_service(struct buf *out, const struct spec *spec, const struct instance_template *template)
{
    buf_add_string(out, "service ");
    put_quoted(out, spec->name);
    buf_add_string(out, " {\n");
    for (size_t i = 0; i < spec_n_keys; i++) {
        const struct spec_key *key = &spec_keys[i];
        const struct instance_raw *raw = template != NULL ? instance_template_raw(template, key) : NULL;
        if (raw != NULL)
            put_pair(out, raw->key->name, strv_dup(raw->values), raw->is_list);
        else if (!spec_key_equal(spec, spec_default(), key))
            put_spec_key(out, spec, key);
    }
    end_section(out, spec);
}

static void put_on_event(struct buf *out, const struct spec *spec)
{
    bool is_list;

    buf_add_string(out, "on-event ");
    put_quoted(out, spec->name + strlen(EVENT_NAME_PREFIX));
    buf_add_string(out, " {\n");
    for (size_t i = 0; event_rule_keys[i] != NULL; i++) {
        char **values = event_rule_get(spec, event_rule_keys[i], &is_list);

        put_pair(out, event_rule_keys[i], values, is_list);
    }
    for (size_t i = 0; event_process_keys[i] != NULL; i++)
        put_spec_key(out, spec, spec_key_find(event_process_keys[i]));
    end_section(out, spec);
}

char *config_dump(const struct config *config)
{
    struct buf out = {0};

    buf_add_string(&out, "# Written by supd: the configuration in force. Do not edit.\n");
    put_settings(&out, &config->settings);
    put_defaults(&out);
    for (size_t i = 0; i < config->services.n; i++) {
        const struct spec *spec = config->services.items[i];

        if (spec->on_event != NULL)
            put_on_event(&out, spec);
        else
            put_service(&out, spec, NULL);
    }
    for (size_t i = 0; i < config->n_templates; i++)
        put_service(&out, config->templates[i]->base, config->templates[i]);
    return buf_steal(&out);
}
