/* SPDX-License-Identifier: MIT */
/*
 * What sections with `instances` say, kept beside the services that are made of them: core/instance_template.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance_template.h"
#include "os/config_ids.h"
#include "os/config_place.h"

static void push(struct config *config, struct instance_template *template)
{
    config->templates = xreallocarray(config->templates, config->n_templates + 1, sizeof(struct instance_template *));
    config->templates[config->n_templates++] = template;
}

static char **append(char **values, char *const *more)
{
    for (; more != NULL && *more != NULL; more++)
        values = strv_push(values, xstrdup(*more));
    return values;
}

/* Keeps KEY as written: by ENTRY (NULL: not given), or by `defaults`, or by both. */
static bool keep_key(struct config_build *b, const struct placed *p, struct instance_template *template,
                     const struct spec_key *key, const struct config_entry *entry, const struct spec *defaults)
{
    bool is_list = true;
    bool adds = (key->flags & KEY_F_ADDS) != 0;
    char **values = entry == NULL || adds ? spec_get(defaults, key, &is_list) : NULL;
    char err[512];

    if (entry != NULL) {
        is_list = adds || entry->kind == CONFIG_LIST;
        values = append(values, entry->values);
    }
    if (!instance_has_percent(values)) {
        strv_free(values);
        return true;
    }
    if (entry != NULL && key->type == KEY_LISTEN && !config_ids_resolve_raw_listen(values, err, sizeof(err))) {
        config_build_entry_error(b, p, entry, ": %s", err);
        strv_free(values);
        return false;
    }
    instance_template_put(template, key, values, is_list);
    return true;
}

bool config_template_keep(struct config_build *b, const struct placed *p, const struct spec *first, int count,
                          const struct spec *defaults)
{
    struct instance_template *template = instance_template_new(spec_dup(first));
    bool ok = true;

    config_build_replace(&template->base->name, p->section->title);
    spec_own_around(template->base)->instances = (struct spec_int){true, count};
    for (size_t i = 0; i < spec_n_keys; i++) {
        if ((spec_keys[i].flags & KEY_F_EXPANDS) != 0)
            ok =
                keep_key(b, p, template, &spec_keys[i], config_section_find(p->section, spec_keys[i].name), defaults) &&
                ok;
    }
    push(b->config, template);
    return ok;
}

static bool restore_key(struct config_build *b, const struct placed *p, struct instance_template *template,
                        const struct config_entry *entry)
{
    const struct spec_key *key = spec_key_find(entry->key);

    if (key == NULL || (key->flags & KEY_F_EXPANDS) == 0 || !instance_has_percent(entry->values))
        return config_set_service_key(b, p, entry, template->base);
    instance_template_put(template, key, append(NULL, entry->values), entry->kind == CONFIG_LIST);
    return true;
}

void config_template_restore(struct config_build *b, const struct placed *p, const struct spec *defaults)
{
    struct instance_template *template = instance_template_new(spec_dup(defaults));
    bool ok = true;

    config_build_replace(&template->base->name, p->section->title);
    for (size_t i = 0; i < p->section->n_entries; i++)
        ok = !config_build_given_before(b, p, i) && restore_key(b, p, template, &p->section->entries[i]) && ok;
    if (ok && (!spec_name_valid(p->section->title) || !config_ids_are_whole(template->base, p->section)))
        config_build_error(b, p->file, p->section->line,
                           "service \"%s\": what its instances are made of makes no sense", p->section->title);
    push(b->config, template);
}

const struct instance_template *config_template(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_templates; i++) {
        if (strcmp(config->templates[i]->base->name, name) == 0)
            return config->templates[i];
    }
    return NULL;
}
