/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/capnames.h"
#include "os/spawn_steps.h"

static void set_groups(const struct child *child, const char *name)
{
    const struct spec_ids *ids = &child->spec->exec->ids;

    if (setgroups(ids->n_groups, ids->groups) == 0)
        return;
    /* An ordinary user who asks for what he is anyway has the groups already. */
    if (errno == EPERM && ids->uid == geteuid() && ids->gid == getegid())
        return;
    spawn_fail(child, STEP_GROUP, "group %s: %s", name, spawn_error(errno));
}

bool spawn_is_other_user(const struct spec *spec)
{
    return spec->exec->ids.set && spec->exec->user != NULL;
}

static void change_ids(const struct child *child)
{
    const struct spec *spec = child->spec;
    const struct spec_ids *ids = &spec->exec->ids;
    char uid[16];
    char gid[16];

    if (!ids->set)
        return;
    snprintf(uid, sizeof(uid), "%u", ids->uid);
    snprintf(gid, sizeof(gid), "%u", ids->gid);
    const char *user = spec->exec->user != NULL ? spec->exec->user : uid;
    const char *group = spec->exec->group != NULL ? spec->exec->group : gid;

    set_groups(child, group);
    if (setresgid(ids->gid, ids->gid, ids->gid) == -1)
        spawn_fail(child, STEP_GROUP, "group %s: %s", group, spawn_error(errno));
    if (setresuid(ids->uid, ids->uid, ids->uid) == -1)
        spawn_fail(child, STEP_USER, "user %s: %s", user, spawn_error(errno));
}

/* ---- capabilities ---- */

struct caps {
    uint64_t permitted;
    uint64_t effective;
    uint64_t inheritable;
};

static bool read_caps(struct caps *caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) == -1)
        return false;
    *caps = (struct caps){
        .permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
        .effective = data[0].effective | (uint64_t)data[1].effective << 32,
        .inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
    };
    return true;
}

static bool write_caps(const struct caps *caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {(uint32_t)caps->effective, (uint32_t)caps->permitted, (uint32_t)caps->inheritable},
        {(uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32), (uint32_t)(caps->inheritable >> 32)},
    };

    return syscall(SYS_capset, &header, data) == 0;
}

/* Takes effect with the exec; needs a right that goes with the ids. */
static void limit_bounding_set(const struct child *child)
{
    const struct spec_caps *bounds = &child->spec->exec->capability_bounding_set;

    for (int number = 0; bounds->set && number < 64; number++) {
        if ((bounds->mask >> number & 1) != 0 || prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == -1)
            spawn_fail(child, STEP_CAPABILITIES, "capability-bounding-set: %s%s", spawn_error(errno),
                       errno == EPERM ? " (needs CAP_SETPCAP)" : "");
    }
}

static void keep_capabilities(const struct child *child)
{
    if (child->spec->exec->capabilities.set && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1)
        spawn_fail(child, STEP_CAPABILITIES, "capabilities: PR_SET_KEEPCAPS: %s", spawn_error(errno));
}

/* What may be raised must be permitted and inheritable; the others are taken from the set that supd may have handed on. */
static void raise_capabilities(const struct child *child, uint64_t wanted)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
        spawn_fail(child, STEP_CAPABILITIES, "capabilities: %s", spawn_error(errno));
    for (int number = 0; number < 64; number++) {
        if ((wanted >> number & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) == -1)
            spawn_fail(child, STEP_CAPABILITIES, "capabilities %s: %s", capability_to_name(number), spawn_error(errno));
    }
}

static void set_capabilities(const struct child *child)
{
    const struct spec_caps *wanted = &child->spec->exec->capabilities;
    const struct spec_caps *bounds = &child->spec->exec->capability_bounding_set;
    struct caps caps;

    if (!wanted->set && !bounds->set)
        return;
    if (!read_caps(&caps))
        spawn_fail(child, STEP_CAPABILITIES, "capabilities: capget: %s", spawn_error(errno));
    uint64_t missing = wanted->mask & ~caps.permitted;
    if (missing != 0)
        spawn_fail(child, STEP_CAPABILITIES, "capabilities %s: %s (supd itself does not have it)",
                   capability_to_name(__builtin_ctzll(missing)), spawn_error(EPERM));

    /* Inheritable ones that were dropped from the bounding set would still come through an exec, and so would the
     * ambient ones, which the kernel lowers with them. */
    if (wanted->set)
        caps.inheritable = wanted->mask;
    if (bounds->set)
        caps.inheritable &= bounds->mask;
    if (!write_caps(&caps))
        spawn_fail(child, STEP_CAPABILITIES, "capabilities: capset: %s", spawn_error(errno));
    if (wanted->set)
        raise_capabilities(child, wanted->mask);
}

void spawn_set_rights(const struct child *child)
{
    limit_bounding_set(child);
    keep_capabilities(child);
    change_ids(child);
    set_capabilities(child);
    if (child->spec->exec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        spawn_fail(child, STEP_NO_NEW_PRIVILEGES, "no-new-privileges: %s", spawn_error(errno));
}

/* After everything that changes credentials, for that clears it.  Where supd has died before, it will not die again. */
void spawn_set_death_signal(const struct child *child)
{
    int signo = child->spec->exec->parent_death_signal;

    if (signo == 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0) == -1)
        spawn_fail(child, STEP_OTHER, "parent-death-signal: %s", spawn_error(errno));
    if (getppid() != child->parent)
        raise(signo);
}
