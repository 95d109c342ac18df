/* SPDX-License-Identifier: MIT */
/*
 * What a configuration may say, one word a line, straight from the tables of the
 * program: "service KEY" and "setting NAME".  For options.sh.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/event.h"
#include "core/spec.h"
#include "os/config.h"

int main(void)
{
    for (size_t i = 0; i < spec_n_keys; i++)
        printf("service %s\n", spec_keys[i].name);

    for (size_t i = 0; event_rule_keys[i] != NULL; i++)
        printf("setting on-event.%s\n", event_rule_keys[i]);

    /* Two settings that agree in nothing: what differs between them is the list of all that there are. */
    char other[] = "other";
    const struct settings a = {.log_level = LOG_LEVEL_ERROR};
    const struct settings b = {
        .runtime_dir = other,
        .state_dir = other,
        .log_level = LOG_LEVEL_DEBUG,
        .watch = other,
        .cgroup = other,
        .socket = other,
        .admin_group = other,
        .read_group = other,
        .admin_gid = 1,
        .read_gid = 1,
    };
    const char *names[64];
    size_t n = config_settings_diff(&a, &b, names, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < n; i++)
        printf("setting %s\n", names[i]);
    return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
