/* SPDX-License-Identifier: MIT */
/*
 * What a section with `instances` says, kept so that any number of services can be made of it later.
 *
 * Owns the values as they were written, where %i, %n or %% stand in them.  All else is the same for every instance and is
 * kept as one spec, with its users and groups looked up, so that making an instance looks up nothing.
 *
 * Pure.
 */
#ifndef SUPD_CORE_INSTANCE_TEMPLATE_H
#define SUPD_CORE_INSTANCE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/spec.h"

/* A value that differs from one instance to the next. */
struct instance_raw {
    const struct spec_key *key;
    char **values;
    bool is_list;
};

struct instance_template {
    struct spec *base; /* named as the section; `instances` as written */
    struct instance_raw *raw;
    size_t n_raw;
};

/* Takes BASE over. */
struct instance_template *instance_template_new(struct spec *base);
void instance_template_free(struct instance_template *template);

/* KEY, which KEY_F_EXPANDS, has these VALUES (a vector, taken over) as written; once a key. */
void instance_template_put(struct instance_template *template, const struct spec_key *key, char **values, bool is_list);

/* As written; NULL: it is the same for all instances, and in the base. */
const struct instance_raw *instance_template_raw(const struct instance_template *template, const struct spec_key *key);

/*
 * The instance of that NUMBER, whole and valid, to be freed; NULL with ERR (ERR_SIZE bytes) written, with the key but
 * without the place: what is expanded to it makes no sense.
 */
struct spec *instance_template_make(const struct instance_template *template, unsigned number, char *err,
                                    size_t err_size);

/* Has one of VALUES (a vector, or NULL) a % in it? */
bool instance_has_percent(char *const *values);

/*
 * Gives LIST, which is sorted, the instances 1 to COUNT of the template and no others of its name; those that are
 * there stay as they are.  False with ERR written and nothing changed where one of them cannot be made.
 */
bool instance_template_fit(const struct instance_template *template, struct spec_list *list, unsigned count, char *err,
                           size_t err_size);

#endif
