/* SPDX-License-Identifier: MIT */
/* A service as the contract shows it.  Apart from proto.c so that a client links nothing of the state machine. */
#include "core/proto.h"

#include "base/signames.h"

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new_nocheck(object, key, value);
}

static json_t *number_if(bool known, uint64_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

static json_t *usage_of(const struct usage *usage)
{
    if (usage->cpu_from == USAGE_UNKNOWN)
        return json_null();

    json_t *object = json_object();
    bool faults = usage->rest_from != USAGE_UNKNOWN;
    bool switches = usage->rest_from == USAGE_WAIT;
    set(object, "source", proto_string(usage_source_name(usage->cpu_from)));
    set(object, "run-time", proto_seconds(usage->run_time));
    set(object, "cpu-user", proto_seconds(usage->cpu_user));
    set(object, "cpu-system", proto_seconds(usage->cpu_system));
    set(object, "memory-peak", number_if(usage->memory_from != USAGE_UNKNOWN, usage->memory_peak));
    set(object, "memory-source", proto_string(usage_source_name(usage->memory_from)));
    set(object, "io-read", number_if(usage->has_io, usage->io_read));
    set(object, "io-written", number_if(usage->has_io, usage->io_written));
    set(object, "faults-minor", number_if(faults, usage->faults_minor));
    set(object, "faults-major", number_if(faults, usage->faults_major));
    set(object, "switches-voluntary", number_if(switches, usage->switches_voluntary));
    set(object, "switches-involuntary", number_if(switches, usage->switches_involuntary));
    return object;
}

json_t *proto_exit(const struct exit_info *info)
{
    if (info->how == EXIT_HOW_NONE)
        return json_null();

    bool exited = info->how == EXIT_HOW_EXITED;
    bool signaled = info->how == EXIT_HOW_SIGNALED;
    char name[16];
    json_t *object = json_object();
    set(object, "how", json_string_nocheck(exit_how_name(info->how)));
    set(object, "code", exited ? json_integer(info->code) : json_null());
    set(object, "signal", signaled ? json_string(signal_to_name(info->signal, name)) : json_null());
    set(object, "core", json_boolean(signaled && info->core));
    set(object, "oom", json_boolean(signaled && info->oom));
    set(object, "at", proto_seconds(info->at));
    set(object, "source", json_string_nocheck(exit_source_name(info->source)));
    set(object, "usage", usage_of(&info->usage));
    return object;
}

static json_t *path_of(const struct spec_log *log)
{
    return log->kind == LOG_KIND_FILE ? proto_string(log->path) : json_null();
}

static json_t *kind_of(const struct spec_log *log, const struct spec *spec)
{
    switch (log->kind) {
    case LOG_KIND_FILE:
        return json_string("file");
    case LOG_KIND_JOURNAL:
        return json_string("journal");
    case LOG_KIND_SYSLOG:
        return json_string("syslog");
    case LOG_KIND_NONE:
        return json_string("none");
    case LOG_KIND_INHERIT:
        return json_string(spec->tty ? "tty" : "inherit");
    case LOG_KIND_UNSET:
        break;
    }
    return json_null();
}

static json_t *log_of(const struct spec *spec)
{
    json_t *object = json_object();

    set(object, "out", path_of(&spec->log));
    set(object, "err", path_of(&spec->log_error));
    return object;
}

static json_t *log_kinds_of(const struct spec *spec)
{
    json_t *object = json_object();

    set(object, "out", kind_of(&spec->log, spec));
    set(object, "err", kind_of(&spec->log_error, spec));
    return object;
}

static json_t *command_of(const struct spec *spec)
{
    json_t *array = json_array();

    for (char **word = spec->command; word && *word; word++)
        json_array_append_new(array, proto_string(*word));
    return array;
}

static json_t *next_start(const struct svc *svc, int64_t now)
{
    if (svc->state != SVC_BACKOFF || svc->deadline == 0)
        return json_null();
    return proto_seconds(svc->deadline > now ? svc->deadline - now : 0);
}

static json_t *control_of(const struct svc *svc)
{
    if (svc->control.role == ROLE_SERVICE)
        return json_null();

    json_t *object = json_object();
    set(object, "role", json_string_nocheck(svc_role_name(svc->control.role)));
    set(object, "pid", svc_has_control(svc) ? json_integer(svc->control.pid) : json_null());
    return object;
}

static void set_usage(json_t *object, const struct proto_usage *usage)
{
    set(object, "memory", usage->known ? json_integer((json_int_t)usage->memory) : json_null());
    set(object, "cpu", usage->known ? json_real(usage->cpu) : json_null());
    set(object, "tasks", usage->known ? json_integer((json_int_t)usage->tasks) : json_null());
}

json_t *proto_service(const char *name, const struct svc *svc, const struct spec *spec, bool config_stale,
                      const struct proto_usage *usage, struct timestamp now)
{
    bool alive = svc_has_process(svc);
    char words[SVC_REASON_WORDS_MAX];
    json_t *object = json_object();

    set(object, "name", proto_string(name));
    set(object, "state", json_string_nocheck(svc_state_name(svc->state)));
    set(object, "desired", json_string_nocheck(svc->desired_up ? "up" : "down"));
    set(object, "ready", json_boolean(svc->state == SVC_RUNNING && svc->told != TOLD_STOPPING));
    set(object, "pid", alive ? json_integer(svc->proc.pid) : json_null());
    set(object, "adopted", json_boolean(alive && svc->adopted));
    set(object, "since", proto_seconds(svc->since.wall));
    set(object, "uptime", alive ? proto_seconds(now.mono - svc->started.mono) : json_null());
    set(object, "starts", json_integer((json_int_t)svc->life));
    set(object, "restarts", json_integer((json_int_t)svc->restarts));
    set(object, "next-start-in", next_start(svc, now.mono));
    const char *reason = svc_reason_words(svc, words, sizeof words);
    set(object, "reason", reason ? proto_string(reason) : json_null());
    set(object, "control", control_of(svc));
    set(object, "exit", proto_exit(&svc->exit));
    set(object, "config-stale", json_boolean(config_stale));
    set(object, "stopped", json_boolean(usage->known && usage->stopped));
    set(object, "paused", json_boolean(usage->known && usage->paused));
    set(object, "log", log_of(spec));
    set(object, "log-to", log_kinds_of(spec));
    set_usage(object, usage);
    set(object, "command", command_of(spec));
    return object;
}
