/* SPDX-License-Identifier: MIT */
/* The limits of services, from cgroup { } into the files of their cgroups. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/spec_cgroup.h"
#include "supd/cgroups.h"
#include "supd/cgroups_inner.h"

/* BFQ has weights of its own, 1 to 1000, with the same middle. */
static int write_bfq_weight(const char *path, const char *value)
{
    unsigned long weight = strtoul(value, NULL, 10);
    char text[32];

    if (weight > 100)
        weight = 100 + (weight - 100) * 900 / 9900;
    snprintf(text, sizeof text, "%lu", weight);
    return cgroup_write(path, "io.bfq.weight", text);
}

static int write_setting(const char *path, const struct cgroup_setting *setting)
{
    int rc = cgroup_write(path, setting->file, setting->value);

    if (rc == -ENOENT && setting->controller == CGROUP_IO)
        return write_bfq_weight(path, setting->value);
    return rc;
}

/* False with ERR written where a limit that is SET cannot be kept. */
static bool put_setting(struct cgroups *cgroups, const char *path, const struct cgroup_setting *setting, char *err,
                        size_t err_size)
{
    struct cgroup_tree *tree = &cgroups->tree;
    enum cgroup_controller controller = setting->controller;

    if (!setting->set) {
        if (tree->enabled[controller])
            write_setting(path, setting);
        return true;
    }
    if (!cgroup_tree_enable(tree, controller)) {
        snprintf(err, err_size, "%s: %s", setting->key, tree->why[controller] ? tree->why[controller] : tree->reason);
        return false;
    }
    int rc = write_setting(path, setting);
    if (rc < 0)
        snprintf(err, err_size, "%s: %s/%s: %s", setting->key, path, setting->file, strerror(-rc));
    return rc == 0;
}

bool cgroups_put_limits(struct service *service, bool running, char *err, size_t err_size)
{
    struct cgroups *cgroups = service->sup->cgroups;
    struct cgroup_setting settings[CGROUP_N_SETTINGS];

    spec_cgroup_settings(service->spec->cgroup, settings);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++) {
        if (put_setting(cgroups, service->parts->cgroup->path, &settings[i], err, err_size))
            continue;
        if (running)
            log_error("%s: %s", service->spec->name, err);
        else if (cgroups->optional)
            log_warning("%s: skipped: %s", service->spec->name, err);
        else
            return false;
    }
    return true;
}

void cgroups_apply(struct service *service)
{
    const char *need = spec_cgroup_need(service->spec);
    char err[512];

    if (cgroups_of(service)) {
        cgroups_put_limits(service, true, err, sizeof err);
        cgroups_watch_memory(service);
    } else if (need && svc_has_process(service->svc)) {
        log_warning("%s: %s takes effect when it is started again: its process has no cgroup", service->spec->name,
                    need);
    }
}
