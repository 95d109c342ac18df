/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/spec_group.h"
#include "core/spec_type.h"

#define IN(id, type, field) SPEC_##id, offsetof(struct type, field)
#define AT(field) IN(SELF, spec, field)
#define AT_EXEC(field) IN(EXEC, spec_exec, field)
#define AT_PLACE(field) IN(PLACE, spec_place, field)
#define AT_LIFE(field) IN(LIFE, spec_life, field)
#define AT_AROUND(field) IN(AROUND, spec_around, field)
#define AT_LOGS(field) IN(LOGS, spec_logs, field)
#define AT_CGROUP(field) IN(CGROUP, spec_cgroup, field)
#define AT_CHECK(field) IN(CHECK, spec_check, field)
#define NONE 0

const struct spec_key spec_keys[] = {
    {"command", KEY_ARGV, KEY_F_PROCESS | KEY_F_REQUIRED | KEY_F_EXPANDS, AT(command), NULL},
    {"type", KEY_SERVICE_TYPE, KEY_F_PROCESS, AT(type), "simple"},
    {"remain-after-exit", KEY_BOOL, 0, AT(remain_after_exit), "no"},
    {"pid-file", KEY_PATH, KEY_F_PROCESS | KEY_F_EXPANDS, AT_PLACE(pid_file), NULL},
    {"directory", KEY_PATH, KEY_F_PROCESS | KEY_F_HOME | KEY_F_EXPANDS, AT_PLACE(directory), NULL},
    {"umask", KEY_OCTAL, KEY_F_PROCESS, AT_EXEC(umask), "0022"},
    {"environment", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_ENVIRONMENT | KEY_F_EXPANDS, AT_PLACE(environment),
     NULL},
    {"environment-file", KEY_STRV, KEY_F_PROCESS | KEY_F_ADDS | KEY_F_PATHS | KEY_F_EXPANDS,
     AT_PLACE(environment_files), NULL},
    {"user", KEY_USER, KEY_F_PROCESS, AT_EXEC(user), NULL},
    {"group", KEY_GROUP, KEY_F_PROCESS, AT_EXEC(group), NULL},
    {"supplementary-groups", KEY_GROUPS, KEY_F_PROCESS, AT_EXEC(supplementary_groups), NULL},
    {"clear-environment", KEY_BOOL, KEY_F_PROCESS, AT_EXEC(clear_environment), "no"},
    {"stdin", KEY_INPUT, KEY_F_PROCESS | KEY_F_EXPANDS, AT_PLACE(input), "null"},
    {"tty", KEY_PATH, KEY_F_PROCESS | KEY_F_EXPANDS, AT_PLACE(tty), NULL},
    {"capabilities", KEY_CAPABILITIES, KEY_F_PROCESS, AT_EXEC(capabilities), NULL},
    {"capability-bounding-set", KEY_CAPABILITY_BOUNDS, KEY_F_PROCESS, AT_EXEC(capability_bounding_set), NULL},
    {"no-new-privileges", KEY_BOOL, KEY_F_PROCESS, AT_EXEC(no_new_privileges), "no"},
    {"parent-death-signal", KEY_DEATH_SIGNAL, KEY_F_PROCESS, AT_EXEC(parent_death_signal), "none"},
    {"private-tmp", KEY_BOOL, KEY_F_PROCESS, AT_EXEC(private_tmp), "no"},
    {"read-only-paths", KEY_STRV, KEY_F_PROCESS | KEY_F_PATHS | KEY_F_EXPANDS, AT_EXEC(read_only_paths), NULL},
    {"nice", KEY_NICE, KEY_F_PROCESS, AT_EXEC(nice), NULL},
    {"io-class", KEY_IO, KEY_F_PROCESS, AT_EXEC(io), NULL},
    {"cpu-affinity", KEY_CPUS, KEY_F_PROCESS, AT_EXEC(cpus), NULL},
    {"oom-score-adj", KEY_OOM_SCORE_ADJ, KEY_F_PROCESS, AT_EXEC(oom_score_adj), NULL},
    {"limit-as", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_AS]), NULL},
    {"limit-core", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_CORE]), NULL},
    {"limit-cpu", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_CPU]), NULL},
    {"limit-data", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_DATA]), NULL},
    {"limit-fsize", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_FSIZE]), NULL},
    {"limit-locks", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_LOCKS]), NULL},
    {"limit-memlock", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_MEMLOCK]), NULL},
    {"limit-msgqueue", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_MSGQUEUE]), NULL},
    {"limit-nice", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_NICE]), NULL},
    {"limit-nofile", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_NOFILE]), NULL},
    {"limit-nproc", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_NPROC]), NULL},
    {"limit-rss", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_RSS]), NULL},
    {"limit-rtprio", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_RTPRIO]), NULL},
    {"limit-rttime", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_RTTIME]), NULL},
    {"limit-sigpending", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_SIGPENDING]), NULL},
    {"limit-stack", KEY_LIMIT, KEY_F_PROCESS, AT_EXEC(limits[SPEC_LIMIT_STACK]), NULL},
    {"instances", KEY_INSTANCES, 0, AT_AROUND(instances), NULL},
    {"enabled", KEY_BOOL, 0, AT(enabled), "yes"},
    {"essential", KEY_BOOL, 0, AT(essential), "no"},
    {"start", KEY_START, 0, AT_AROUND(start), "auto"},
    {"schedule", KEY_SCHEDULE, 0, AT_AROUND(schedule), NULL},
    {"persistent", KEY_BOOL, 0, AT_AROUND(persistent), "no"},
    {"listen", KEY_LISTEN, KEY_F_PROCESS | KEY_F_EXPANDS, AT_AROUND(listen), NULL},
    {"after", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_AFTER]), NULL},
    {"before", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_BEFORE]), NULL},
    {"requires", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_REQUIRES]), NULL},
    {"requisite", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_REQUISITE]), NULL},
    {"wants", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_WANTS]), NULL},
    {"binds-to", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_BINDS_TO]), NULL},
    {"part-of", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_PART_OF]), NULL},
    {"conflicts", KEY_NAMES, KEY_F_EXPANDS, AT_AROUND(deps[DEP_CONFLICTS]), NULL},
    {"restart", KEY_RESTART, 0, AT_LIFE(restart), "always"},
    {"success-exit", KEY_EXIT_SET, 0, AT_LIFE(success_exit), "0"},
    {"restart-prevent-exit", KEY_EXIT_SET, 0, AT_LIFE(restart_prevent_exit), NULL},
    {"restart-delay", KEY_DURATION, 0, AT_LIFE(restart_delay), "100ms"},
    {"restart-delay-max", KEY_DURATION, 0, AT_LIFE(restart_delay_max), "30s"},
    {"restart-reset", KEY_DURATION, 0, AT_LIFE(restart_reset), "10s"},
    {"restart-limit", KEY_UINT, 0, AT_LIFE(restart_limit), "0"},
    {"start-timeout", KEY_DURATION, 0, AT_LIFE(start_timeout), "1m30s"},
    {"ready", KEY_READY, KEY_F_PROCESS | KEY_F_EXPANDS, AT_LIFE(ready), "exec"},
    {"notify-access", KEY_NOTIFY_ACCESS, KEY_F_PROCESS, AT_LIFE(notify_access), NULL},
    {"watchdog", KEY_WATCHDOG, KEY_F_PROCESS, AT_LIFE(watchdog), "off"},
    {"watchdog-signal", KEY_SIGNAL, 0, AT_LIFE(watchdog_signal), "ABRT"},
    {"fd-store", KEY_UINT, KEY_F_PROCESS, AT_LIFE(fd_store), "0"},
    {"stop-timeout", KEY_DURATION, 0, AT_LIFE(stop_timeout), "10s"},
    {"stop-signal", KEY_SIGNAL, 0, AT_LIFE(stop_signal), "TERM"},
    {"kill-mode", KEY_KILL_MODE, 0, AT_LIFE(kill_mode), "group"},
    {"reload-signal", KEY_SIGNAL, 0, AT_LIFE(reload_signal), NULL},
    {"pre-start", KEY_HOOK, KEY_F_EXPANDS, AT_AROUND(pre_start), NULL},
    {"post-start", KEY_HOOK, KEY_F_EXPANDS, AT_AROUND(post_start), NULL},
    {"reload-command", KEY_HOOK, KEY_F_EXPANDS, AT_AROUND(reload_command), NULL},
    {"stop-command", KEY_HOOK, KEY_F_EXPANDS, AT_AROUND(stop_command), NULL},
    {"post-stop", KEY_HOOK, KEY_F_EXPANDS, AT_AROUND(post_stop), NULL},
    {"log", KEY_LOG, KEY_F_PROCESS | KEY_F_EXPANDS, AT_LOGS(log), "inherit"},
    {"log-error", KEY_LOG, KEY_F_PROCESS | KEY_F_EXPANDS, AT_LOGS(log_error), NULL},
    {"log-max-size", KEY_SIZE, 0, AT_LOGS(logging.max_size), "10M"},
    {"log-max-age", KEY_DURATION, 0, AT_LOGS(logging.max_age), "0"},
    {"log-keep", KEY_UINT, 0, AT_LOGS(logging.keep), "5"},
    {"log-compress", KEY_BOOL, 0, AT_LOGS(logging.compress), "no"},
    {"log-format", KEY_LOG_FORMAT, 0, AT_LOGS(logging.format), "plain"},
    {"log-timestamp", KEY_LOG_TIMESTAMP, 0, AT_LOGS(logging.timestamp), "no"},
    {"log-prefix", KEY_LOG_PREFIX, KEY_F_EXPANDS, AT_LOGS(logging.prefix), NULL},
    {"log-mode", KEY_OCTAL, 0, AT_LOGS(logging.mode), "0640"},
    {"log-owner", KEY_OWNER, 0, AT_LOGS(logging.owner), NULL},
    {"log-rate-limit", KEY_LOG_RATE, 0, AT_LOGS(logging.rate), "off"},
    {"log-when-full", KEY_LOG_WHEN_FULL, 0, AT_LOGS(logging.when_full), "block"},
    {"cgroup.memory-max", KEY_SIZE_LIMIT, 0, AT_CGROUP(memory_max), NULL},
    {"cgroup.memory-high", KEY_SIZE_LIMIT, 0, AT_CGROUP(memory_high), NULL},
    {"cgroup.swap-max", KEY_SIZE_LIMIT, 0, AT_CGROUP(swap_max), NULL},
    {"cgroup.cpu-max", KEY_CPU_MAX, 0, AT_CGROUP(cpu_max), NULL},
    {"cgroup.cpu-weight", KEY_WEIGHT, 0, AT_CGROUP(cpu_weight), NULL},
    {"cgroup.io-weight", KEY_WEIGHT, 0, AT_CGROUP(io_weight), NULL},
    {"cgroup.pids-max", KEY_COUNT_LIMIT, 0, AT_CGROUP(pids_max), NULL},
    {"check.command", KEY_ARGV, KEY_F_EXPANDS, AT_CHECK(command), NULL},
    {"check.tcp", KEY_CHECK_TCP, KEY_F_EXPANDS, AT_CHECK(tcp), NULL},
    {"check.http", KEY_CHECK_HTTP, KEY_F_EXPANDS, AT_CHECK(http), NULL},
    {"check.http-status", KEY_STATUSES, 0, AT_CHECK(http_status), "200-399"},
    {"check.http-body", KEY_TEXT, 0, AT_CHECK(http_body), NULL},
    {"check.max-memory", KEY_SIZE_LIMIT, KEY_F_POSITIVE, AT_CHECK(max_memory), NULL},
    {"check.max-cpu", KEY_PERCENT, 0, AT_CHECK(max_cpu), NULL},
    {"check.interval", KEY_DURATION, KEY_F_POSITIVE, AT_CHECK(interval), "10s"},
    {"check.timeout", KEY_DURATION, KEY_F_POSITIVE, AT_CHECK(timeout), "5s"},
    {"check.start-period", KEY_DURATION, 0, AT_CHECK(start_period), "0"},
    {"check.failures", KEY_UINT, KEY_F_POSITIVE, AT_CHECK(failures), "3"},
    {"check.successes", KEY_UINT, KEY_F_POSITIVE, AT_CHECK(successes), "1"},
    {"check.on-failure", KEY_ON_FAILURE, KEY_F_EXPANDS, AT_CHECK(on_failure), "restart"},

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
    return ops->set(&in, (char *)spec_own(spec, key->group) + key->offset);
}

char **spec_get(const struct spec *spec, const struct spec_key *key, bool *is_list)
{
    const struct key_type_ops *ops = key_type_ops(key->type);

    *is_list = ops->takes_list;
    return ops->get(key, spec_value(spec, key));
}

bool spec_key_equal(const struct spec *a, const struct spec *b, const struct spec_key *key)
{
    const struct key_type_ops *ops = key_type_ops(key->type);
    const void *x = spec_value(a, key);
    const void *y = spec_value(b, key);

    if (x == y)
        return true;
    if (ops->equal_in != NULL)
        return ops->equal_in(a, b);
    return ops->equal != NULL ? ops->equal(x, y) : memcmp(x, y, ops->size) == 0;
}
