/* SPDX-License-Identifier: MIT */
/*
 * The ids of many services: each user with his groups is looked up once.  And
 * the keys by which a dump carries what was found.
 */
#ifndef SUPD_OS_CONFIG_IDS_H
#define SUPD_OS_CONFIG_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spec.h"
#include "os/config_read.h"
#include "os/ids.h"

struct config_ids;

struct config_ids *config_ids_new(void);
void config_ids_free(struct config_ids *ids);

/* What is wrong with a user, with a group, with supplementary groups; NULL: nothing. */
struct config_ids_errors {
    const char *user;
    const char *group;
    const char *supplementary;
};

/* Sets spec->ids from its user and groups.  Errors live as long as IDS; without any, the ids are set. */
struct config_ids_errors config_ids_resolve(struct config_ids *ids, struct spec *spec);

/*
 * Puts numbers in place of the names of users and groups in spec->listen.  False with ERR written when one is not known.
 */
bool config_ids_resolve_listen(struct spec *spec, char *err, size_t err_size);

/* The same of spec->logging.owner. */
bool config_ids_resolve_owner(struct spec *spec, char *err, size_t err_size);

/*
 * As config_ids_resolve_listen(), in VALUES as they are written for instances, with %i and the like in them, which no name of an owner may have.
 */
bool config_ids_resolve_raw_listen(char **values, char *err, size_t err_size);

/* Decimal digits only. */
bool config_ids_number(const char *text, uint32_t *number);

/* A key of a dump, config_service_internals.  False when its value makes no sense. */
bool config_ids_set_internal(struct spec *spec, const struct config_entry *entry);

/* Of a dump: are the ids there that go with user and groups, and none without them?  A copy that has lost them must not let a
 * service run with supd's own. */
bool config_ids_are_whole(const struct spec *spec, const struct config_section *section);

#endif
