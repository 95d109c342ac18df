/* SPDX-License-Identifier: MIT */
#include "core/instance_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance.h"

struct instance_template *instance_template_new(struct spec *base)
{
    struct instance_template *template = xcalloc(1, sizeof(*template));

    template->base = base;
    return template;
}

void instance_template_free(struct instance_template *template)
{
    if (template == NULL)
        return;
    for (size_t i = 0; i < template->n_raw; i++)
        strv_free(template->raw[i].values);
    free(template->raw);
    spec_free(template->base);
    free(template);
}

void instance_template_put(struct instance_template *template, const struct spec_key *key, char **values, bool is_list)
{
    template->raw = xreallocarray(template->raw, template->n_raw + 1, sizeof(*template->raw));
    template->raw[template->n_raw++] = (struct instance_raw){key, values, is_list};
}

const struct instance_raw *instance_template_raw(const struct instance_template *template, const struct spec_key *key)
{
    for (size_t i = 0; i < template->n_raw; i++) {
        if (template->raw[i].key == key)
            return &template->raw[i];
    }
    return NULL;
}

bool instance_has_percent(char *const *values)
{
    for (; values != NULL && *values != NULL; values++) {
        if (strchr(*values, '%') != NULL)
            return true;
    }
    return false;
}

static bool put_expanded(struct spec *spec, const struct instance_raw *raw, char *err, size_t err_size)
{
    char why[512];
    char **values = instance_expand_all(raw->values, spec->name, why, sizeof(why));
    struct spec_key put = *raw->key;

    put.flags &= ~(unsigned)KEY_F_ADDS; /* what it is added to is among the values */
    bool ok = values != NULL && spec_set(spec, &put, values, strv_len(values), raw->is_list, why, sizeof(why));
    if (!ok)
        snprintf(err, err_size, "key '%s': %s", raw->key->name, why);
    strv_free(values);
    return ok;
}

struct spec *instance_template_make(const struct instance_template *template, unsigned number, char *err,
                                    size_t err_size)
{
    struct spec *spec = spec_dup(template->base);
    bool ok = true;

    free(spec->name);
    spec->name = instance_name(template->base->name, number);
    if (spec->around->instances.set)
        spec_own_around(spec)->instances = (struct spec_int){0};
    for (size_t i = 0; ok && i < template->n_raw; i++)
        ok = put_expanded(spec, &template->raw[i], err, err_size);
    if (ok && spec_validate(spec, err, err_size))
        return spec;
    spec_free(spec);
    return NULL;
}

/* Those of 1 to COUNT that LIST has not. */
static bool make_missing(const struct instance_template *template, const struct spec_list *list, unsigned count,
                         struct spec_list *missing, char *err, size_t err_size)
{
    char why[640];

    for (unsigned k = 1; k <= count; k++) {
        char *name = instance_name(template->base->name, k);
        bool there = spec_list_find(list, name) != NULL;
        struct spec *spec = there ? NULL : instance_template_make(template, k, why, sizeof(why));

        if (!there && spec == NULL)
            snprintf(err, err_size, "%s: %s", name, why);
        free(name);
        if (!there && spec == NULL)
            return false;
        if (spec != NULL)
            spec_list_push(missing, spec);
    }
    return true;
}

bool instance_template_fit(const struct instance_template *template, struct spec_list *list, unsigned count, char *err,
                           size_t err_size)
{
    struct spec_list missing = {0};
    size_t kept = 0;

    if (!make_missing(template, list, count, &missing, err, err_size)) {
        spec_list_free(&missing);
        return false;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (instance_of(list->items[i]->name, template->base->name) > count)
            spec_free(list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->n = kept;
    for (size_t i = 0; i < missing.n; i++)
        spec_list_push(list, missing.items[i]);
    free(missing.items);
    spec_list_sort(list);
    return true;
}
