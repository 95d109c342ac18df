/* SPDX-License-Identifier: MIT */
/*
 * The section cgroup { } of a service: limits that the kernel keeps for all of its processes together, and what has to be
 * written to which file of its control group (cgroup v2) for them.
 */
#ifndef SUPD_CORE_SPEC_CGROUP_H
#define SUPD_CORE_SPEC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spec;

enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_IO,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_N_CONTROLLERS,
};

/* A number of bytes or tasks, or none: "infinity". */
struct cgroup_limit {
    bool set;
    bool infinite;
    uint64_t value;
};

/* So much CPU time in each period, us. */
struct cgroup_cpu_max {
    bool set;
    bool infinite;
    int64_t quota;
    int64_t period;
};

struct spec_cgroup {
    struct cgroup_limit memory_max;
    struct cgroup_limit memory_high;
    struct cgroup_limit swap_max;
    struct cgroup_limit pids_max;
    struct cgroup_cpu_max cpu_max;
    uint32_t cpu_weight; /* 1 to 10000; 0: unset */
    uint32_t io_weight;
};

/* One file. */
struct cgroup_setting {
    const char *key; /* "cgroup.memory-max" */
    const char *file;
    enum cgroup_controller controller;
    bool set;       /* else VALUE is what the kernel begins with */
    char value[48]; /* what to write */
};

#define CGROUP_N_SETTINGS 7

/* All that there are, set or not. */
void spec_cgroup_settings(const struct spec_cgroup *cgroup, struct cgroup_setting settings[CGROUP_N_SETTINGS]);

/* The first key of SPEC that cannot be kept without a cgroup ("cgroup.memory-max", "kill-mode = cgroup"), or NULL. */
const char *spec_cgroup_need(const struct spec *spec);

#endif
