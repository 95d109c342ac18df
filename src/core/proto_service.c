/* SPDX-License-Identifier: MIT */
/* A service as the contract shows it.  Apart from proto.c so that a client links nothing of the state machine. */
#include "core/proto.h"

#include <string.h>

#include "base/signames.h"

static void number_if(struct json_out *out, bool known, uint64_t value)
{
    if (known)
        json_out_int(out, (int64_t)value);
    else
        json_out_null(out);
}

static void seconds_if(struct json_out *out, bool known, int64_t usec)
{
    if (known)
        json_out_seconds(out, usec);
    else
        json_out_null(out);
}

static void tree_or_empty(struct json_out *out, const json_t *array)
{
    if (array) {
        json_out_tree(out, array);
        return;
    }
    json_out_open(out, '[');
    json_out_close(out, ']');
}

/* ---- how it ended ---- */

static void put_number(struct json_out *out, const char *key, bool known, uint64_t value)
{
    json_out_key(out, key);
    number_if(out, known, value);
}

static void put_seconds(struct json_out *out, const char *key, int64_t usec)
{
    json_out_key(out, key);
    json_out_seconds(out, usec);
}

static void put_string(struct json_out *out, const char *key, const char *text)
{
    json_out_key(out, key);
    json_out_string(out, text);
}

static void put_bool(struct json_out *out, const char *key, bool value)
{
    json_out_key(out, key);
    json_out_bool(out, value);
}

static void put_usage(struct json_out *out, const struct usage *usage)
{
    if (usage == NULL || usage->cpu_from == USAGE_UNKNOWN) {
        json_out_null(out);
        return;
    }
    bool faults = usage->rest_from != USAGE_UNKNOWN;
    bool switches = usage->rest_from == USAGE_WAIT;

    json_out_open(out, '{');
    put_string(out, "source", usage_source_name(usage->cpu_from));
    put_seconds(out, "run-time", usage->run_time);
    put_seconds(out, "cpu-user", usage->cpu_user);
    put_seconds(out, "cpu-system", usage->cpu_system);
    put_number(out, "memory-peak", usage->memory_from != USAGE_UNKNOWN, usage->memory_peak);
    put_string(out, "memory-source", usage_source_name(usage->memory_from));
    put_number(out, "io-read", usage->has_io, usage->io_read);
    put_number(out, "io-written", usage->has_io, usage->io_written);
    put_number(out, "faults-minor", faults, usage->faults_minor);
    put_number(out, "faults-major", faults, usage->faults_major);
    put_number(out, "switches-voluntary", switches, usage->switches_voluntary);
    put_number(out, "switches-involuntary", switches, usage->switches_involuntary);
    json_out_close(out, '}');
}

void proto_exit(struct json_out *out, const struct exit_info *info, const struct usage *usage)
{
    if (info->how == EXIT_HOW_NONE) {
        json_out_null(out);
        return;
    }
    bool exited = info->how == EXIT_HOW_EXITED;
    bool signaled = info->how == EXIT_HOW_SIGNALED;
    char name[16];

    json_out_open(out, '{');
    put_string(out, "how", exit_how_name(info->how));
    json_out_key(out, "code");
    if (exited)
        json_out_int(out, info->code);
    else
        json_out_null(out);
    put_string(out, "signal", signaled ? signal_to_name(info->signal, name) : NULL);
    put_bool(out, "core", signaled && info->core);
    put_bool(out, "oom", signaled && info->oom);
    put_seconds(out, "at", info->at);
    put_string(out, "source", exit_source_name(info->source));
    json_out_key(out, "usage");
    put_usage(out, usage);
    json_out_close(out, '}');
}

json_t *proto_exit_tree(const struct exit_info *info, const struct usage *usage)
{
    struct json_out out = {0};

    proto_exit(&out, info, usage);
    return json_out_read(&out);
}

/* ---- the keys ---- */

static void tell_name(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->name);
}

static void tell_state(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, svc_state_name(service->svc->state));
}

static void tell_desired(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->svc->desired_up ? "up" : "down");
}

static void tell_ready(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, service->svc->state == SVC_RUNNING && service->svc->told != TOLD_STOPPING);
}

static void tell_pid(struct json_out *out, const struct proto_service *service)
{
    number_if(out, svc_has_process(service->svc), (uint64_t)service->svc->proc.pid);
}

static void tell_adopted(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, svc_has_process(service->svc) && service->svc->adopted);
}

static void tell_since(struct json_out *out, const struct proto_service *service)
{
    json_out_seconds(out, service->svc->since.wall);
}

static void tell_uptime(struct json_out *out, const struct proto_service *service)
{
    seconds_if(out, svc_has_process(service->svc), service->now.mono - service->svc->started.mono);
}

static void tell_starts(struct json_out *out, const struct proto_service *service)
{
    json_out_int(out, (int64_t)service->svc->life);
}

static void tell_restarts(struct json_out *out, const struct proto_service *service)
{
    json_out_int(out, (int64_t)service->svc->restarts);
}

static void tell_next_start(struct json_out *out, const struct proto_service *service)
{
    const struct svc *svc = service->svc;
    int64_t left = svc->deadline - service->now.mono;

    seconds_if(out, svc->state == SVC_BACKOFF && svc->deadline != 0, left > 0 ? left : 0);
}

static void tell_reason(struct json_out *out, const struct proto_service *service)
{
    char words[SVC_REASON_WORDS_MAX];

    json_out_string(out, service->waits_for ? service->waits_for : svc_reason_words(service->svc, words, sizeof words));
}

static void tell_control(struct json_out *out, const struct proto_service *service)
{
    const struct svc_control *control = &svc_rare(service->svc)->control;

    if (control->role == ROLE_SERVICE) {
        json_out_null(out);
        return;
    }
    json_out_open(out, '{');
    put_string(out, "role", svc_role_name(control->role));
    put_number(out, "pid", svc_has_control(service->svc), (uint64_t)control->pid);
    json_out_close(out, '}');
}

static void tell_exit(struct json_out *out, const struct proto_service *service)
{
    proto_exit(out, &service->svc->exit, service->used);
}

static void tell_config_stale(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, service->config_stale);
}

static void tell_stopped(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, service->usage.known && service->usage.stopped);
}

static void tell_paused(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, service->usage.known && service->usage.paused);
}

static const char *path_of(const struct spec_log *log)
{
    return log->kind == LOG_KIND_FILE ? log->path : NULL;
}

static void tell_log(struct json_out *out, const struct proto_service *service)
{
    json_out_open(out, '{');
    put_string(out, "out", path_of(&service->spec->logs->log));
    put_string(out, "err", path_of(&service->spec->logs->log_error));
    json_out_close(out, '}');
}

static const char *kind_of(const struct spec_log *log, const struct spec *spec)
{
    switch (log->kind) {
    case LOG_KIND_FILE:
        return "file";
    case LOG_KIND_JOURNAL:
        return "journal";
    case LOG_KIND_SYSLOG:
        return "syslog";
    case LOG_KIND_NONE:
        return "none";
    case LOG_KIND_INHERIT:
        return spec->place->tty ? "tty" : "inherit";
    case LOG_KIND_UNSET:
        break;
    }
    return NULL;
}

static void tell_log_to(struct json_out *out, const struct proto_service *service)
{
    json_out_open(out, '{');
    put_string(out, "out", kind_of(&service->spec->logs->log, service->spec));
    put_string(out, "err", kind_of(&service->spec->logs->log_error, service->spec));
    json_out_close(out, '}');
}

static void tell_memory(struct json_out *out, const struct proto_service *service)
{
    number_if(out, service->usage.known, service->usage.memory);
}

static void tell_cpu(struct json_out *out, const struct proto_service *service)
{
    seconds_if(out, service->usage.known, service->usage.cpu);
}

static void tell_tasks(struct json_out *out, const struct proto_service *service)
{
    number_if(out, service->usage.known, service->usage.tasks);
}

static void tell_command(struct json_out *out, const struct proto_service *service)
{
    json_out_open(out, '[');
    for (char **word = service->spec->command; word && *word; word++)
        json_out_string(out, *word);
    json_out_close(out, ']');
}

static void tell_enabled(struct json_out *out, const struct proto_service *service)
{
    json_out_bool(out, service->enabled);
}

static void tell_next_run(struct json_out *out, const struct proto_service *service)
{
    seconds_if(out, service->next_run > 0, service->next_run);
}

static void tell_sockets(struct json_out *out, const struct proto_service *service)
{
    tree_or_empty(out, service->sockets);
}

static void tell_fd_store(struct json_out *out, const struct proto_service *service)
{
    tree_or_empty(out, service->fd_store);
}

static void tell_cgroup(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->cgroup);
}

static void tell_memory_max(struct json_out *out, const struct proto_service *service)
{
    number_if(out, service->memory_max >= 0, (uint64_t)service->memory_max);
}

static void tell_health(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->health);
}

static void tell_health_text(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->health_text);
}

static void tell_status_text(struct json_out *out, const struct proto_service *service)
{
    json_out_string(out, service->status_text);
}

static const struct {
    const char *name;
    void (*tell)(struct json_out *out, const struct proto_service *service);
} keys[] = {
    [PROTO_NAME] = {"name", tell_name},
    [PROTO_STATE] = {"state", tell_state},
    [PROTO_DESIRED] = {"desired", tell_desired},
    [PROTO_READY] = {"ready", tell_ready},
    [PROTO_PID] = {"pid", tell_pid},
    [PROTO_ADOPTED] = {"adopted", tell_adopted},
    [PROTO_SINCE] = {"since", tell_since},
    [PROTO_UPTIME] = {"uptime", tell_uptime},
    [PROTO_STARTS] = {"starts", tell_starts},
    [PROTO_RESTARTS] = {"restarts", tell_restarts},
    [PROTO_NEXT_START_IN] = {"next-start-in", tell_next_start},
    [PROTO_REASON] = {"reason", tell_reason},
    [PROTO_CONTROL] = {"control", tell_control},
    [PROTO_EXIT] = {"exit", tell_exit},
    [PROTO_CONFIG_STALE] = {"config-stale", tell_config_stale},
    [PROTO_STOPPED] = {"stopped", tell_stopped},
    [PROTO_PAUSED] = {"paused", tell_paused},
    [PROTO_LOG] = {"log", tell_log},
    [PROTO_LOG_TO] = {"log-to", tell_log_to},
    [PROTO_MEMORY] = {"memory", tell_memory},
    [PROTO_CPU] = {"cpu", tell_cpu},
    [PROTO_TASKS] = {"tasks", tell_tasks},
    [PROTO_COMMAND] = {"command", tell_command},
    [PROTO_ENABLED] = {"enabled", tell_enabled},
    [PROTO_NEXT_RUN] = {"next-run", tell_next_run},
    [PROTO_SOCKETS] = {"sockets", tell_sockets},
    [PROTO_FD_STORE] = {"fd-store", tell_fd_store},
    [PROTO_CGROUP] = {"cgroup", tell_cgroup},
    [PROTO_MEMORY_MAX] = {"memory-max", tell_memory_max},
    [PROTO_HEALTH] = {"health", tell_health},
    [PROTO_HEALTH_TEXT] = {"health-text", tell_health_text},
    [PROTO_STATUS_TEXT] = {"status-text", tell_status_text},
};
_Static_assert(sizeof keys / sizeof *keys == PROTO_N_KEYS, "a key is not told");

const char *proto_key_name(enum proto_key key)
{
    return keys[key].name;
}

bool proto_key_find(const char *name, enum proto_key *key)
{
    for (size_t i = 0; i < PROTO_N_KEYS; i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        *key = (enum proto_key)i;
        return true;
    }
    return false;
}

void proto_service_object(struct json_out *out, const struct proto_service *service)
{
    json_out_open(out, '{');
    for (size_t i = 0; i < PROTO_N_KEYS; i++) {
        json_out_key(out, keys[i].name);
        keys[i].tell(out, service);
    }
    json_out_close(out, '}');
}

void proto_service_row(struct json_out *out, const struct proto_service *service, const enum proto_key *wanted,
                       size_t n)
{
    json_out_open(out, '[');
    for (size_t i = 0; i < n; i++)
        keys[wanted[i]].tell(out, service);
    json_out_close(out, ']');
}
