/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/spec_type.h"

#define AT(field) offsetof(struct spec, field)
#define NONE 0

const struct spec_key spec_keys[] = {
    {"command", KEY_ARGV, KEY_F_PROCESS | KEY_F_REQUIRED | KEY_F_EXPANDS, AT(command), NULL},
    {"type", KEY_SERVICE_TYPE, KEY_F_PROCESS, AT(type), "simple"},
    {"remain-after-exit", KEY_BOOL, 0, AT(remain_after_exit), "no"},
    {"pid-file", KEY_PATH, KEY_F_PROCESS | KEY_F_EXPANDS, AT(pid_file), NULL},
    {"directory", KEY_PATH, KEY_F_PROCESS | KEY_F_HOME | KEY_F_EXPANDS, AT(directory), NULL},
    {"umask", KEY_OCTAL, KEY_F_PROCESS, AT(umask), "0022"},
    {"environment", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_ENVIRONMENT | KEY_F_EXPANDS, AT(environment), NULL},
    {"environment-file", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_PATHS | KEY_F_EXPANDS, AT(environment_files),
     NULL},
    {"user", KEY_USER, KEY_F_PROCESS, AT(user), NULL},
    {"group", KEY_GROUP, KEY_F_PROCESS, AT(group), NULL},
    {"supplementary-groups", KEY_GROUPS, KEY_F_PROCESS, AT(supplementary_groups), NULL},
    {"clear-environment", KEY_BOOL, KEY_F_PROCESS, AT(clear_environment), "no"},
    {"stdin", KEY_INPUT, KEY_F_PROCESS | KEY_F_EXPANDS, AT(input), "null"},
    {"tty", KEY_PATH, KEY_F_PROCESS | KEY_F_EXPANDS, AT(tty), NULL},
    {"capabilities", KEY_CAPABILITIES, KEY_F_PROCESS, AT(capabilities), NULL},
    {"capability-bounding-set", KEY_CAPABILITY_BOUNDS, KEY_F_PROCESS, AT(capability_bounding_set), NULL},
    {"no-new-privileges", KEY_BOOL, KEY_F_PROCESS, AT(no_new_privileges), "no"},
    {"parent-death-signal", KEY_DEATH_SIGNAL, KEY_F_PROCESS, AT(parent_death_signal), "none"},
    {"private-tmp", KEY_BOOL, KEY_F_PROCESS, AT(private_tmp), "no"},
    {"read-only-paths", KEY_STRV, KEY_F_PROCESS | KEY_F_PATHS | KEY_F_EXPANDS, AT(read_only_paths), NULL},
    {"nice", KEY_NICE, KEY_F_PROCESS, AT(nice), NULL},
    {"io-class", KEY_IO, KEY_F_PROCESS, AT(io), NULL},
    {"cpu-affinity", KEY_CPUS, KEY_F_PROCESS, AT(cpus), NULL},
    {"oom-score-adj", KEY_OOM_SCORE_ADJ, KEY_F_PROCESS, AT(oom_score_adj), NULL},
    {"limit-as", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_AS]), NULL},
    {"limit-core", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_CORE]), NULL},
    {"limit-cpu", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_CPU]), NULL},
    {"limit-data", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_DATA]), NULL},
    {"limit-fsize", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_FSIZE]), NULL},
    {"limit-locks", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_LOCKS]), NULL},
    {"limit-memlock", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_MEMLOCK]), NULL},
    {"limit-msgqueue", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_MSGQUEUE]), NULL},
    {"limit-nice", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_NICE]), NULL},
    {"limit-nofile", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_NOFILE]), NULL},
    {"limit-nproc", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_NPROC]), NULL},
    {"limit-rss", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_RSS]), NULL},
    {"limit-rtprio", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_RTPRIO]), NULL},
    {"limit-rttime", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_RTTIME]), NULL},
    {"limit-sigpending", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_SIGPENDING]), NULL},
    {"limit-stack", KEY_LIMIT, KEY_F_PROCESS, AT(limits[SPEC_LIMIT_STACK]), NULL},
    {"instances", KEY_INSTANCES, 0, AT(instances), NULL},
    {"enabled", KEY_BOOL, 0, AT(enabled), "yes"},
    {"essential", KEY_BOOL, 0, AT(essential), "no"},
    {"start", KEY_START, 0, AT(start), "auto"},
    {"schedule", KEY_SCHEDULE, 0, AT(schedule), NULL},
    {"persistent", KEY_BOOL, 0, AT(persistent), "no"},
    {"listen", KEY_LISTEN, KEY_F_PROCESS | KEY_F_EXPANDS, AT(listen), NULL},
    {"after", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_AFTER]), NULL},
    {"before", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_BEFORE]), NULL},
    {"requires", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_REQUIRES]), NULL},
    {"requisite", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_REQUISITE]), NULL},
    {"wants", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_WANTS]), NULL},
    {"binds-to", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_BINDS_TO]), NULL},
    {"part-of", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_PART_OF]), NULL},
    {"conflicts", KEY_NAMES, KEY_F_EXPANDS, AT(deps[DEP_CONFLICTS]), NULL},
    {"restart", KEY_RESTART, 0, AT(restart), "always"},
    {"success-exit", KEY_EXIT_SET, 0, AT(success_exit), "0"},
    {"restart-prevent-exit", KEY_EXIT_SET, 0, AT(restart_prevent_exit), NULL},
    {"restart-delay", KEY_DURATION, 0, AT(restart_delay), "100ms"},
    {"restart-delay-max", KEY_DURATION, 0, AT(restart_delay_max), "30s"},
    {"restart-reset", KEY_DURATION, 0, AT(restart_reset), "10s"},
    {"restart-limit", KEY_UINT, 0, AT(restart_limit), "0"},
    {"start-timeout", KEY_DURATION, 0, AT(start_timeout), "1m30s"},
    {"ready", KEY_READY, KEY_F_PROCESS | KEY_F_EXPANDS, AT(ready), "exec"},
    {"notify-access", KEY_NOTIFY_ACCESS, KEY_F_PROCESS, AT(notify_access), NULL},
    {"watchdog", KEY_WATCHDOG, KEY_F_PROCESS, AT(watchdog), "off"},
    {"watchdog-signal", KEY_SIGNAL, 0, AT(watchdog_signal), "ABRT"},
    {"fd-store", KEY_UINT, KEY_F_PROCESS, AT(fd_store), "0"},
    {"stop-timeout", KEY_DURATION, 0, AT(stop_timeout), "10s"},
    {"stop-signal", KEY_SIGNAL, 0, AT(stop_signal), "TERM"},
    {"kill-mode", KEY_KILL_MODE, 0, AT(kill_mode), "group"},
    {"reload-signal", KEY_SIGNAL, 0, AT(reload_signal), NULL},
    {"pre-start", KEY_HOOK, KEY_F_EXPANDS, AT(pre_start), NULL},
    {"post-start", KEY_HOOK, KEY_F_EXPANDS, AT(post_start), NULL},
    {"reload-command", KEY_HOOK, KEY_F_EXPANDS, AT(reload_command), NULL},
    {"stop-command", KEY_HOOK, KEY_F_EXPANDS, AT(stop_command), NULL},
    {"post-stop", KEY_HOOK, KEY_F_EXPANDS, AT(post_stop), NULL},
    {"log", KEY_LOG, KEY_F_PROCESS | KEY_F_EXPANDS, AT(log), "inherit"},
    {"log-error", KEY_LOG, KEY_F_PROCESS | KEY_F_EXPANDS, AT(log_error), NULL},
    {"log-max-size", KEY_SIZE, 0, AT(logging.max_size), "10M"},
    {"log-max-age", KEY_DURATION, 0, AT(logging.max_age), "0"},
    {"log-keep", KEY_UINT, 0, AT(logging.keep), "5"},
    {"log-compress", KEY_BOOL, 0, AT(logging.compress), "no"},
    {"log-format", KEY_LOG_FORMAT, 0, AT(logging.format), "plain"},
    {"log-timestamp", KEY_LOG_TIMESTAMP, 0, AT(logging.timestamp), "no"},
    {"log-prefix", KEY_LOG_PREFIX, KEY_F_EXPANDS, AT(logging.prefix), NULL},
    {"log-mode", KEY_OCTAL, 0, AT(logging.mode), "0640"},
    {"log-owner", KEY_OWNER, 0, AT(logging.owner), NULL},
    {"log-rate-limit", KEY_LOG_RATE, 0, AT(logging.rate), "off"},
    {"log-when-full", KEY_LOG_WHEN_FULL, 0, AT(logging.when_full), "block"},
    {"cgroup.memory-max", KEY_SIZE_LIMIT, 0, AT(cgroup.memory_max), NULL},
    {"cgroup.memory-high", KEY_SIZE_LIMIT, 0, AT(cgroup.memory_high), NULL},
    {"cgroup.swap-max", KEY_SIZE_LIMIT, 0, AT(cgroup.swap_max), NULL},
    {"cgroup.cpu-max", KEY_CPU_MAX, 0, AT(cgroup.cpu_max), NULL},
    {"cgroup.cpu-weight", KEY_WEIGHT, 0, AT(cgroup.cpu_weight), NULL},
    {"cgroup.io-weight", KEY_WEIGHT, 0, AT(cgroup.io_weight), NULL},
    {"cgroup.pids-max", KEY_COUNT_LIMIT, 0, AT(cgroup.pids_max), NULL},
    {"check.command", KEY_ARGV, KEY_F_EXPANDS, AT(check.command), NULL},
    {"check.tcp", KEY_CHECK_TCP, KEY_F_EXPANDS, AT(check.tcp), NULL},
    {"check.http", KEY_CHECK_HTTP, KEY_F_EXPANDS, AT(check.http), NULL},
    {"check.http-status", KEY_STATUSES, 0, AT(check.http_status), "200-399"},
    {"check.http-body", KEY_TEXT, 0, AT(check.http_body), NULL},
    {"check.max-memory", KEY_SIZE_LIMIT, KEY_F_POSITIVE, AT(check.max_memory), NULL},
    {"check.max-cpu", KEY_PERCENT, 0, AT(check.max_cpu), NULL},
    {"check.interval", KEY_DURATION, KEY_F_POSITIVE, AT(check.interval), "10s"},
    {"check.timeout", KEY_DURATION, KEY_F_POSITIVE, AT(check.timeout), "5s"},
    {"check.start-period", KEY_DURATION, 0, AT(check.start_period), "0"},
    {"check.failures", KEY_UINT, KEY_F_POSITIVE, AT(check.failures), "3"},
    {"check.successes", KEY_UINT, KEY_F_POSITIVE, AT(check.successes), "1"},
    {"check.on-failure", KEY_ON_FAILURE, KEY_F_EXPANDS, AT(check.on_failure), "restart"},

};

const size_t spec_n_keys = sizeof(spec_keys) / sizeof(spec_keys[0]);

bool spec_has_section(const char *name, size_t len)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        if (strncmp(spec_keys[i].name, name, len) == 0 && spec_keys[i].name[len] == '.')
            return true;
    }
    return false;
}

const struct spec_key *spec_key_find(const char *name)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        if (strcmp(spec_keys[i].name, name) == 0)
            return &spec_keys[i];
    }
    return NULL;
}

bool spec_set(struct spec *spec, const struct spec_key *key, char *const *values, size_t n, bool is_list, char *err,
              size_t err_size)
{
    const struct key_type_ops *ops = key_type_ops(key->type);
    const struct key_input in = {key, values, n, is_list, err, err_size};

    if (is_list && !ops->takes_list)
        return key_fail(&in, "it takes one value, not a list: leave the braces out");
    if (!is_list && n != 1)
        return key_fail(&in, "it takes one value, not %zu", n);
    return ops->set(&in, (char *)spec + key->offset);
}

char **spec_get(const struct spec *spec, const struct spec_key *key, bool *is_list)
{
    const struct key_type_ops *ops = key_type_ops(key->type);

    *is_list = ops->takes_list;
    return ops->get(key, (const char *)spec + key->offset);
}

bool spec_key_equal(const struct spec *a, const struct spec *b, const struct spec_key *key)
{
    const struct key_type_ops *ops = key_type_ops(key->type);
    const void *x = (const char *)a + key->offset;
    const void *y = (const char *)b + key->offset;

    if (ops->equal_in != NULL)
        return ops->equal_in(a, b);
    return ops->equal != NULL ? ops->equal(x, y) : memcmp(x, y, ops->size) == 0;
}
