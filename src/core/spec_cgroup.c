/* SPDX-License-Identifier: MIT */
#include "core/spec_cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/spec.h"

static const char *const key_names[CGROUP_N_SETTINGS] = {
    "cgroup.memory-max", "cgroup.memory-high", "cgroup.swap-max",  "cgroup.pids-max",
    "cgroup.cpu-max",    "cgroup.cpu-weight",  "cgroup.io-weight",
};

static struct cgroup_setting limit(const char *file, enum cgroup_controller controller,
                                   const struct cgroup_limit *value)
{
    struct cgroup_setting setting = {.file = file, .controller = controller, .set = value->set};

    if (value->set && !value->infinite)
        snprintf(setting.value, sizeof setting.value, "%" PRIu64, value->value);
    else
        strcpy(setting.value, "max");
    return setting;
}

static struct cgroup_setting weight(const char *file, enum cgroup_controller controller, uint32_t value)
{
    struct cgroup_setting setting = {.file = file, .controller = controller, .set = value != 0};

    snprintf(setting.value, sizeof setting.value, "%" PRIu32, value != 0 ? value : 100);
    return setting;
}

static struct cgroup_setting cpu_max(const struct cgroup_cpu_max *max)
{
    struct cgroup_setting setting = {.file = "cpu.max", .controller = CGROUP_CPU, .set = max->set};

    if (max->set && !max->infinite)
        snprintf(setting.value, sizeof setting.value, "%" PRId64 " %" PRId64, max->quota, max->period);
    else
        strcpy(setting.value, "max");
    return setting;
}

void spec_cgroup_settings(const struct spec_cgroup *cgroup, struct cgroup_setting settings[CGROUP_N_SETTINGS])
{
    settings[0] = limit("memory.max", CGROUP_MEMORY, &cgroup->memory_max);
    settings[1] = limit("memory.high", CGROUP_MEMORY, &cgroup->memory_high);
    settings[2] = limit("memory.swap.max", CGROUP_MEMORY, &cgroup->swap_max);
    settings[3] = limit("pids.max", CGROUP_PIDS, &cgroup->pids_max);
    settings[4] = cpu_max(&cgroup->cpu_max);
    settings[5] = weight("cpu.weight", CGROUP_CPU, cgroup->cpu_weight);
    settings[6] = weight("io.weight", CGROUP_IO, cgroup->io_weight);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++)
        settings[i].key = key_names[i];
}

const char *spec_cgroup_need(const struct spec *spec)
{
    struct cgroup_setting settings[CGROUP_N_SETTINGS];

    spec_cgroup_settings(spec->cgroup, settings);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++) {
        if (settings[i].set)
            return settings[i].key;
    }
    return spec->life->kill_mode == KILL_MODE_CGROUP ? "kill-mode = cgroup" : NULL;
}
