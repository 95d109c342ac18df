/* SPDX-License-Identifier: MIT */
/*
 * Users and groups by name, through NSS: may block on the network.
 */
#ifndef SUPD_OS_IDS_H
#define SUPD_OS_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/spec.h"

/*
 * Resolves USER and GROUP (names or numbers; either may be NULL) into IDS.
 * Without a user IDS keeps our own uid.  Supplementary groups are those of the
 * user's login (getgrouplist(3)); a uid without a passwd entry needs a group and
 * has none.  MORE_GROUPS: others will be added, so that as root IDS is set though
 * there is neither user nor group.  Asking for other ids than our own without being root is an error.
 * On error returns false with ERR written, naming the word.
 */
bool ids_resolve(const char *user, const char *group, bool more_groups, struct spec_ids *ids, char *err,
                 size_t err_size);

/*
 * Adds the groups NAMES (NULL: none) to IDS, which ids_resolve() has set with
 * MORE_GROUPS.  Where it has not, because we are not root, we must have them
 * ourselves.  Returns as ids_resolve(); IDS may have some of them then.
 */
bool ids_supplementary(char *const *names, struct spec_ids *ids, char *err, size_t err_size);

/* The uid of user NAME (or a number). */
bool ids_user(const char *name, uid_t *uid, char *err, size_t err_size);

/* The gid of group NAME (or a number). */
bool ids_group(const char *name, gid_t *gid, char *err, size_t err_size);

#endif
