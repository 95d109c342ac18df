/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/spawn_steps.h"

static void set_groups(const struct child *child, const char *name)
{
    const struct spec_ids *ids = &child->spec->ids;

    if (setgroups(ids->n_groups, ids->groups) == 0)
        return;
    /* An ordinary user who asks for what he is anyway has the groups already. */
    if (errno == EPERM && ids->uid == geteuid() && ids->gid == getegid())
        return;
    spawn_fail(child, STEP_GROUP, "group %s: %s", name, strerror(errno));
}

void spawn_change_ids(const struct child *child)
{
    const struct spec *spec = child->spec;
    const struct spec_ids *ids = &spec->ids;
    char uid[16];
    char gid[16];

    if (!ids->set)
        return;
    snprintf(uid, sizeof(uid), "%u", ids->uid);
    snprintf(gid, sizeof(gid), "%u", ids->gid);
    const char *user = spec->user != NULL ? spec->user : uid;
    const char *group = spec->group != NULL ? spec->group : gid;

    set_groups(child, group);
    if (setresgid(ids->gid, ids->gid, ids->gid) == -1)
        spawn_fail(child, STEP_GROUP, "group %s: %s", group, strerror(errno));
    if (setresuid(ids->uid, ids->uid, ids->uid) == -1)
        spawn_fail(child, STEP_USER, "user %s: %s", user, strerror(errno));
}
