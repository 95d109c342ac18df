/* SPDX-License-Identifier: MIT */
#include "supd/commands.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "base/signames.h"
#include "core/instance.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/command_call.h"
#include "supd/events.h"
#include "supd/lists.h"
#include "supd/logs.h"
#include "supd/order.h"
#include "supd/process.h"
#include "supd/reload.h"
#include "supd/remember.h"
#include "supd/scale.h"
#include "supd/show.h"
#include "supd/upgrade.h"
#include "supd/usage.h"
#include "supd/waiters.h"

/* ---- verbs ---- */

/* Which keys are wanted, in which order; *N is 0 where none are named: all, each under its name. */
static bool fields_param(struct call *call, enum proto_key fields[PROTO_N_KEYS], size_t *n)
{
    json_t *names = json_object_get(call->params, "fields");
    const json_t *name;
    size_t i;

    *n = 0;
    if (!names || json_is_null(names))
        return true;
    if (!json_is_array(names) || json_array_size(names) == 0 || json_array_size(names) > PROTO_N_KEYS) {
        call_refuse_param(call, "fields", "must be an array of keys of a service");
        return false;
    }
    json_array_foreach(names, i, name)
    {
        if (json_is_string(name) && proto_key_find(json_string_value(name), &fields[i]))
            continue;
        call_refuse_param(call, "fields", "must be an array of keys of a service");
        return false;
    }
    *n = json_array_size(names);
    return true;
}

static void service_list(struct call *call)
{
    json_t *names;
    struct selection selection;
    enum proto_key fields[PROTO_N_KEYS];
    size_t n_fields;

    if (!call_known_params(call, (const char *const[]){"names", "fields", NULL}) ||
        !call_names_param(call, false, &names) || !fields_param(call, fields, &n_fields) ||
        !call_select(call, names, &selection))
        return;
    lists_answer(call->sup, call->reply, selection.items, selection.n, fields, n_fields);
    free(selection.items);
}

static void service_graph(struct call *call)
{
    json_t *names;
    struct selection selection;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, false, &names) ||
        !call_select(call, names, &selection))
        return;
    reply_result(call->reply, order_view(call->sup, selection.items, selection.n));
    free(selection.items);
}

struct lifecycle_verb {
    enum svc_event_type event;
    bool can_wait;
};

static enum wait_kind wait_kind_of(enum svc_event_type event)
{
    switch (event) {
    case SVC_EV_START:
        return WAIT_START;
    case SVC_EV_RESTART:
        return WAIT_RESTART;
    case SVC_EV_RELOAD:
        return WAIT_RELOAD;
    default:
        return WAIT_STOP;
    }
}

/* One service of those that a command concerns. */
static void take_step(struct waiter *waiter, const struct order_step *step, bool wait)
{
    struct service *service = step->service;
    struct wait_from from = wait_from(service);
    const char *did = step->event == SVC_EV_START ? "started" : step->event == SVC_EV_STOP ? "stopped" : "restarted";
    char text[SVC_REASON_MAX];
    const struct svc_event event = {.type = step->event, .text = step->note ? text : NULL};
    const char *refusal = step->event == SVC_EV_RELOAD ? svc_refuses_reload(service->svc, service->spec) : NULL;
    char err[512];

    snprintf(text, sizeof text, "%s: %s", did, step->note ? step->note : "");
    if (service->removing && step->event != SVC_EV_STOP)
        waiter_add_done(waiter, service, false, "it is being removed from the configuration");
    else if (refusal)
        waiter_add_done(waiter, service, false, refusal);
    else if (!service_command_event(service, &event, err, sizeof err))
        waiter_add_done(waiter, service, step->wanted, err);
    else if (wait && !step->wanted)
        waiter_add(waiter, service, wait_kind_of(step->event), from);
    else
        waiter_add_done(waiter, service, true, svc_state_name(service->svc->state));
    if (step->note)
        waiter_note(waiter, step->note);
}

static void lifecycle(struct call *call, const struct lifecycle_verb *verb)
{
    static const char *const with_wait[] = {"names", "wait", "timeout", NULL};
    static const char *const without[] = {"names", NULL};
    struct selection selection;
    json_t *names;
    bool wait = false;
    int64_t timeout = 0;

    if (!call_known_params(call, verb->can_wait ? with_wait : without) || !call_names_param(call, true, &names))
        return;
    if (!call_bool_param(call, "wait", &wait) || !call_timeout_param(call, &timeout))
        return;
    if (call->sup->phase != PHASE_RUN) {
        call_refuse(call, PROTO_E_REFUSED, "supd is shutting down");
        return;
    }
    if (!call_select(call, names, &selection))
        return;

    struct order_plan plan = order_plan(call->sup, verb->event, selection.items, selection.n);
    free(selection.items);
    if (plan.refusal) {
        call_refuse(call, PROTO_E_REFUSED, plan.refusal);
        order_plan_clear(&plan);
        return;
    }
    struct waiter *waiter = waiter_new(call->sup, call->reply, wait ? timeout : 0, NULL);
    for (size_t i = 0; i < plan.n; i++)
        take_step(waiter, &plan.steps[i], wait);
    order_plan_clear(&plan);
    waiter_start(waiter);
}

static void service_start(struct call *call)
{
    lifecycle(call, &(struct lifecycle_verb){SVC_EV_START, true});
}

static void service_stop(struct call *call)
{
    lifecycle(call, &(struct lifecycle_verb){SVC_EV_STOP, true});
}

static void service_restart(struct call *call)
{
    lifecycle(call, &(struct lifecycle_verb){SVC_EV_RESTART, true});
}

static void service_reload(struct call *call)
{
    lifecycle(call, &(struct lifecycle_verb){SVC_EV_RELOAD, true});
}

static void service_reset(struct call *call)
{
    lifecycle(call, &(struct lifecycle_verb){SVC_EV_RESET, false});
}

static bool scale_params(struct call *call, const char **name, json_int_t *instances)
{
    *name = json_string_value(json_object_get(call->params, "name"));
    *instances = json_integer_value(json_object_get(call->params, "instances"));
    if (!*name) {
        call_refuse_param(call, "name", "must be the name of a service with instances");
        return false;
    }
    if (json_is_integer(json_object_get(call->params, "instances")) && *instances >= 0 && *instances <= INSTANCES_MAX)
        return true;
    call_refuse_param(call, "instances", "must be a number from 0 to 10000");
    return false;
}

static void service_scale(struct call *call)
{
    json_int_t instances;
    const char *name;
    bool wait;
    int64_t timeout;

    if (!call_known_params(call, (const char *const[]){"name", "instances", "wait", "timeout", NULL}) ||
        !scale_params(call, &name, &instances) || !call_bool_param(call, "wait", &wait) ||
        !call_timeout_param(call, &timeout))
        return;
    if (call->sup->phase != PHASE_RUN) {
        call_refuse(call, PROTO_E_REFUSED, "supd is shutting down");
        return;
    }
    scale_request(call->sup, name, (unsigned)instances, wait, timeout, call->reply);
}

static bool signal_param(struct call *call, int *signo)
{
    json_t *json = json_object_get(call->params, "signal");

    *signo = -1;
    if (json_is_string(json))
        *signo = signal_from_name(json_string_value(json));
    else if (json_is_integer(json) && json_integer_value(json) > 0 && json_integer_value(json) <= SIGRTMAX)
        *signo = (int)json_integer_value(json);
    if (*signo > 0)
        return true;
    call_refuse_param(call, "signal", "must be the name or number of a signal, such as \"HUP\"");
    return false;
}

static json_t *signal_one(const struct service *service, int signo)
{
    char name[16];
    char text[128];

    if (!svc_has_process(service->svc))
        return show_outcome(service, false, "has no process");
    int rc = process_deliver(&service->main, signo);
    if (rc < 0)
        snprintf(text, sizeof text, "%s", strerror(-rc));
    else
        snprintf(text, sizeof text, "sent %s to pid %d", signal_to_name(signo, name), service->svc->proc.pid);
    return show_outcome(service, rc == 0, text);
}

static void service_signal(struct call *call)
{
    struct selection selection;
    json_t *names;
    int signo;

    if (!call_known_params(call, (const char *const[]){"names", "signal", NULL}) ||
        !call_names_param(call, true, &names) || !signal_param(call, &signo) || !call_select(call, names, &selection))
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < selection.n; i++)
        json_array_append_new(array, signal_one(selection.items[i], signo));
    free(selection.items);
    reply_result(call->reply, array);
}

static json_t *pause_one(struct service *service, bool on)
{
    char err[512];

    if (!cgroups_pause(service, on, err, sizeof err))
        return show_outcome(service, false, err);
    return show_outcome(service, true, on ? "paused" : "running");
}

static void pause_or_resume(struct call *call, bool on)
{
    struct selection selection;
    json_t *names;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, true, &names) ||
        !call_select(call, names, &selection))
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < selection.n; i++)
        json_array_append_new(array, pause_one(selection.items[i], on));
    free(selection.items);
    reply_result(call->reply, array);
}

static json_t *rotate_one(struct service *service)
{
    char err[256];

    if (!logs_rotate(service, err, sizeof err))
        return show_outcome(service, false, err);
    return show_outcome(service, true, "its log is being rotated");
}

/* Without names all that can be. */
static void log_rotate(struct call *call)
{
    struct selection selection;
    json_t *names;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, false, &names) ||
        !call_select(call, names, &selection))
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < selection.n; i++) {
        if (names || logs_rotates(selection.items[i]))
            json_array_append_new(array, rotate_one(selection.items[i]));
    }
    free(selection.items);
    reply_result(call->reply, array);
}

/* How far their logs are behind. */
static void log_pending(struct call *call)
{
    struct selection selection;
    json_t *names;
    size_t left = 0;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, false, &names) ||
        !call_select(call, names, &selection))
        return;
    for (size_t i = 0; i < selection.n; i++)
        left += logs_pending(selection.items[i]);
    free(selection.items);
    reply_result(call->reply, json_integer((json_int_t)left));
}

static void service_pause(struct call *call)
{
    pause_or_resume(call, true);
}

static void service_resume(struct call *call)
{
    pause_or_resume(call, false);
}

static void config_check(struct call *call)
{
    if (!call_known_params(call, (const char *const[]){NULL}))
        return;
    reload_request(call->sup, &(struct reload_options){.check = true}, call->reply);
}

static void config_reload(struct call *call)
{
    struct reload_options options = {0};

    if (!call_known_params(call, (const char *const[]){"dry-run", "restart", "timeout", NULL}) ||
        !call_bool_param(call, "dry-run", &options.dry_run) || !call_bool_param(call, "restart", &options.restart) ||
        !call_timeout_param(call, &options.timeout))
        return;
    if (!call->admin && !options.dry_run) {
        call_refuse(call, PROTO_E_NOT_PERMITTED, "not permitted: config.reload without dry-run needs admin-group");
        return;
    }
    if (call->sup->phase != PHASE_RUN) {
        call_refuse(call, PROTO_E_REFUSED, "supd is shutting down");
        return;
    }
    reload_request(call->sup, &options, call->reply);
}

static void events_subscribe(struct call *call)
{
    json_t *names;

    if (!call_known_params(call, (const char *const[]){"names", NULL}) || !call_names_param(call, false, &names))
        return;
    reply_subscribe(call->reply, names);
    reply_result(call->reply, json_true());
}

static void supd_info(struct call *call)
{
    struct supervisor *sup = call->sup;
    struct timestamp now = clock_now();
    struct utsname uts;
    const char *cgroup;
    const char *state_dir;
    const char *reason;

    if (!call_known_params(call, (const char *const[]){NULL}))
        return;
    uname(&uts);
    json_t *info =
        json_pack("{s:s, s:i, s:o, s:o, s:s, s:b}", "version", PACKAGE_VERSION, "pid", (int)getpid(), "since",
                  proto_seconds(sup->started.wall), "uptime", proto_seconds(now.mono - sup->started.mono), "config",
                  sup->config_path, "config-fallback", sup->config_fallback);
    json_object_set_new(info, "runtime-dir", json_string(sup->runtime_dir));
    json_object_set_new(info, "socket", json_string(sup->socket_path));
    json_object_set_new(info, "instance", json_string(sup->lock.instance));
    json_object_set_new(info, "watch", json_string(watcher_way(sup->watcher)));
    json_object_set_new(info, "watch-reason", json_string(watcher_reason(sup->watcher)));
    json_object_set_new(info, "services", json_integer((json_int_t)services_count(sup)));
    json_object_set_new(info, "on-event", events_status(sup));
    json_object_set_new(info, "running", json_integer((json_int_t)sup->n_running));
    json_object_set_new(info, "clients", json_integer((json_int_t)server_clients(sup->server)));
    json_object_set_new(info, "kernel", json_string(uts.release));
    state_dir = remember_dir(sup, &reason);
    json_object_set_new(info, "state-dir", proto_string(state_dir));
    json_object_set_new(info, "state-dir-reason", proto_string(reason));
    cgroup = cgroups_path(sup, &reason);
    json_object_set_new(info, "cgroup", proto_string(cgroup));
    json_object_set_new(info, "cgroup-reason", proto_string(reason));
    json_object_set_new(info, "pressure", usage_pressure(sup));
    reply_result(call->reply, info);
}

static void supd_upgrade(struct call *call)
{
    if (call_known_params(call, (const char *const[]){NULL}))
        upgrade_request(call->sup, call->reply);
}

static void supd_shutdown(struct call *call)
{
    struct supervisor *sup = call->sup;
    bool leave;

    if (!call_known_params(call, (const char *const[]){"leave-services", NULL}) ||
        !call_bool_param(call, "leave-services", &leave))
        return;
    if (leave) {
        log_info("leaving, and leaving the services as they are, by command");
        reply_result(call->reply, json_true());
        shutdown_leave(sup);
        return;
    }
    int rc = persist_shutdown(sup);
    if (rc < 0) {
        reply_error(call->reply, PROTO_E_REFUSED, NULL, "not done, because it cannot be recorded in %s/state: %s",
                    sup->runtime_dir, strerror(-rc));
        return;
    }
    reply_result(call->reply, json_true());
    shutdown_begin(sup);
}

static const struct verb {
    const char *method;
    bool admin; /* changes something */
    void (*fn)(struct call *call);
} verbs[] = {
    {"service.list", false, service_list},
    {"service.graph", false, service_graph},
    {"service.start", true, service_start},
    {"service.stop", true, service_stop},
    {"service.restart", true, service_restart},
    {"service.pause", true, service_pause},
    {"service.resume", true, service_resume},
    {"service.reload", true, service_reload},
    {"service.signal", true, service_signal},
    {"service.reset", true, service_reset},
    {"service.enable", true, command_service_enable},
    {"service.disable", true, command_service_disable},
    {"service.scale", true, service_scale},
    {"log.rotate", true, log_rotate},
    {"log.pending", false, log_pending},
    {"config.check", false, config_check},
    {"config.reload", false, config_reload}, /* a dry run changes nothing */
    {"events.subscribe", false, events_subscribe},
    {"supd.info", false, supd_info},
    {"supd.upgrade", true, supd_upgrade},
    {"supd.shutdown", true, supd_shutdown},
};

void command_run(struct supervisor *sup, const char *method, const json_t *params, bool admin, struct reply *reply)
{
    struct call call = {.sup = sup, .params = params, .admin = admin, .reply = reply};

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].method, method) != 0)
            continue;
        if (verbs[i].admin && !admin)
            reply_error(reply, PROTO_E_NOT_PERMITTED, NULL, "not permitted: %s needs admin-group", method);
        else
            verbs[i].fn(&call);
        return;
    }
    reply_error(reply, PROTO_E_METHOD_NOT_FOUND, NULL, "no such method: %s", method);
}
