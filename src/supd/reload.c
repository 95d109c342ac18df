/* SPDX-License-Identifier: MIT */
#include "supd/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/plan.h"
#include "os/rundir.h"
#include "supd/helper_run.h"
#include "supd/logs.h"
#include "supd/order.h"
#include "supd/reload_helper.h"
#include "supd/roster.h"
#include "supd/scale.h"
#include "supd/waiters.h"

/* A helper that hangs longer than this (a file server that is gone) is given up. */
#define HELPER_TIMEOUT (60 * USEC_PER_SEC)
#define ANSWER_MAX ((size_t)256 * 1024 * 1024)

struct job {
    struct reload_options options;
    struct reply *reply; /* NULL: by signal, or the caller has hung up */
    bool by_signal;
    TAILQ_ENTRY(job) link;
};

struct reload {
    struct supervisor *sup;
    TAILQ_HEAD(, job) jobs; /* the first one is at work */
    struct helper_run helper;
    char *answer;
    size_t len;
    size_t room;
};

static void start_next(struct reload *reload);

/* ---- the helper ---- */

static void helper_clear(struct reload *reload)
{
    helper_run_clear(&reload->helper);
    free(reload->answer);
    reload->answer = NULL;
    reload->len = reload->room = 0;
}

/* ---- the end of a job ---- */

static void job_done(struct reload *reload)
{
    struct job *job = TAILQ_FIRST(&reload->jobs);

    TAILQ_REMOVE(&reload->jobs, job, link);
    free(job);
    helper_clear(reload);
    start_next(reload);
}

/* Nothing was changed, and why.  ERRORS (stolen) may be NULL. */
static void job_failed(struct reload *reload, const char *text, json_t *errors)
{
    struct supervisor *sup = reload->sup;
    struct job *job = TAILQ_FIRST(&reload->jobs);
    size_t i;
    json_t *error;

    if (!job->options.check) {
        log_error("the configuration is not taken: %s; the one in force stays", text);
        json_array_foreach(errors, i, error)
        {
            const char *file = json_string_value(json_object_get(error, "file"));
            long line = (long)json_integer_value(json_object_get(error, "line"));
            const char *message = json_string_value(json_object_get(error, "message"));

            if (line > 0)
                log_error("%s:%ld: %s", file, line, message);
            else
                log_error("%s: %s", file, message);
        }
        server_tell_reload(sup, false);
    }
    if (job->reply)
        reply_error(job->reply, PROTO_E_CONFIG, errors ? errors : json_array(), "%s", text);
    else
        json_decref(errors);
    if (job->by_signal)
        notify_ready(sup);
    job_done(reload);
}

/* It was asked for before the shutdown began: what it would start, nobody would stop any more. */
static void job_too_late(struct reload *reload)
{
    struct job *job = TAILQ_FIRST(&reload->jobs);

    log_warning("the configuration is not taken: supd is shutting down");
    server_tell_reload(reload->sup, false);
    if (job->reply)
        reply_error(job->reply, PROTO_E_REFUSED, NULL, "supd is shutting down");
    job_done(reload);
}

/* A step as the contract shows it.  KEYS is ended by NULL, or NULL. */
static json_t *step_to_json(enum plan_action action, const char *name, const char **keys, bool needs_restart,
                            bool restarted)
{
    json_t *array = json_array();

    for (; keys && *keys; keys++)
        json_array_append_new(array, json_string(*keys));
    return json_pack("{s:s, s:s, s:o, s:b, s:b}", "action", plan_action_name(action), "name", name, "keys", array,
                     "needs-restart", needs_restart, "restarted", restarted);
}

/* Runs SERVICE a process that a service of this SPEC would not?  One that is being stopped for good needs none. */
static bool needs_restart(const struct service *service, const struct spec *spec)
{
    return !service->parts->handler && svc_has_process(service->svc) && service->svc->desired_up &&
           service->svc->proc.digest != spec_process_digest(spec);
}

/* Is SERVICE to be up, with a process of an older configuration? */
static bool is_stale(const struct service *service)
{
    return !service->removing && service->svc->desired_up && service_config_stale(service);
}

static bool plan_names(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (strcmp(plan->steps[i].name, name) == 0)
            return true;
    }
    return false;
}

/* With RESTART also those whose change was taken earlier, without a restart. */
static json_t *plan_to_json(struct supervisor *sup, const struct plan *plan, bool restart)
{
    json_t *array = json_array();

    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_step *step = &plan->steps[i];
        bool needs = step->action == PLAN_CHANGE && needs_restart(service_find(sup, step->name), step->to);

        json_array_append_new(array, step_to_json(step->action, step->name, step->keys, needs, needs && restart));
    }
    for (struct service *s = TAILQ_FIRST(&sup->services); restart && s; s = TAILQ_NEXT(s, link)) {
        if (is_stale(s) && !plan_names(plan, s->spec->name))
            json_array_append_new(array, step_to_json(PLAN_CHANGE, s->spec->name, NULL, true, true));
    }
    return array;
}

/* Can a running supd change it? */
static bool is_fixed(const char *setting)
{
    static const char *const fixed[] = {"runtime-dir", "state-dir", "control.socket", "watch", "cgroup"};

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strcmp(setting, fixed[i]) == 0)
            return true;
    }
    return false;
}

/* Adds to RESULT which settings of supd itself are others now: those that it takes over, and a warning for each other. */
static void add_settings(const struct supervisor *sup, const struct settings *next, json_t *result)
{
    const char *names[16];
    size_t n = config_settings_diff(&sup->config->settings, next, names, sizeof names / sizeof *names);
    json_t *taken = json_array();
    json_t *warnings = json_array();

    for (size_t i = 0; i < n; i++) {
        if (is_fixed(names[i]))
            json_array_append_new(warnings, json_sprintf("%s: takes effect when supd is started again", names[i]));
        else
            json_array_append_new(taken, json_string(names[i]));
    }
    json_object_set_new(result, "settings", taken);
    json_object_set_new(result, "warnings", warnings);
}

/* ---- applying ---- */

/* Restarts every service whose process is of an older configuration.  What somebody has stopped is not brought back. */
static void restart_stale(struct supervisor *sup, struct waiter *waiter)
{
    size_t n;
    struct service **services = services_list(sup, &n);

    order_sort_for_stop(services, n, false);
    for (size_t i = 0; i < n; i++) {
        struct service *s = services[i];
        struct wait_from from = wait_from(s);
        char err[256];

        if (!is_stale(s))
            continue;
        if (!service_command(s, SVC_EV_RESTART, err, sizeof err))
            log_error("%s: %s", s->spec->name, err);
        else if (waiter)
            waiter_add(waiter, s, WAIT_RESTART, from);
    }
    free(services);
}

/* Backwards, as in a shutdown: who comes after others before those, and the last of several instances first. */
static void remove_all(struct supervisor *sup, const struct plan *plan, struct waiter *waiter)
{
    struct service **services = xcalloc(plan->n + 1, sizeof(*services));
    size_t n = 0;

    for (size_t i = plan->n; i-- > 0;) {
        if (plan->steps[i].action == PLAN_REMOVE)
            services[n++] = service_find(sup, plan->steps[i].name);
    }
    order_sort_for_stop(services, n, true);
    for (size_t i = 0; i < n; i++)
        roster_remove(services[i], REMOVAL_BY_CONFIG, waiter); /* "removed" is told once it is */
    free(services);
}

/* What those that have come with the configuration require. */
static void pull_added(struct supervisor *sup, const struct plan *plan)
{
    struct service **services = xcalloc(plan->n + 1, sizeof(*services));
    size_t n = 0;

    for (size_t i = 0; i < plan->n; i++) {
        struct service *service = service_find(sup, plan->steps[i].name);

        if (plan->steps[i].action == PLAN_ADD && service && service->svc->desired_up)
            services[n++] = service;
    }
    order_pull(sup, services, n);
    free(services);
}

/* From here on CONFIG is the one in force; its specs go into the services. */
static void apply(struct supervisor *sup, struct config *config, const struct plan *plan, struct waiter *waiter)
{
    remove_all(sup, plan, waiter);
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_step *step = &plan->steps[i];

        switch (step->action) {
        case PLAN_ADD:
            server_tell_service(sup, "added", step->name);
            roster_add(sup, spec_dup(step->to));
            break;
        case PLAN_REMOVE:
            break;
        case PLAN_CHANGE:
            server_tell_service(sup, "changed", step->name);
            service_set_spec(service_find(sup, step->name), spec_dup(step->to));
            break;
        }
    }
    services_sort(sup);
    order_build(sup);
    pull_added(sup, plan);
    spec_list_free(&config->services);
    config->services = (struct spec_list){0};
    config_free(sup->config);
    sup->config = config;
    sup->config_fallback = false;
    server_open_to_groups(sup);
    scale_forget_old(sup);
    if (!sup->verbose)
        log_set_level(config->settings.log_level);
}

/* The specs in force, borrowed, for plan_new(). */
static struct spec_list specs_in_force(const struct supervisor *sup)
{
    struct spec_list list = {.items = xcalloc(sup->by_name.n + 1, sizeof(struct spec *))};

    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (!s->removing && !logs_is_suplog(s))
            list.items[list.n++] = s->spec;
    }
    return list;
}

/* RESULT is stolen. */
static void take(struct reload *reload, struct config *config, const struct plan *plan, json_t *result)
{
    struct supervisor *sup = reload->sup;
    struct job *job = TAILQ_FIRST(&reload->jobs);
    struct waiter *waiter = NULL;

    if (job->reply)
        waiter = waiter_new(sup, job->reply, job->options.timeout, result);
    else
        json_decref(result);
    apply(sup, config, plan, waiter);
    if (job->options.restart)
        restart_stale(sup, waiter);
    if (plan->n > 0)
        log_info("the configuration is taken: %zu step%s", plan->n, plan->n == 1 ? "" : "s");
    else
        log_info("the configuration is taken: it says what the last one said");
    server_tell_reload(sup, true);
    notify_status(sup);
    if (job->by_signal)
        notify_ready(sup);
    if (waiter)
        waiter_start(waiter);
}

static void job_apply(struct reload *reload, struct config *config, const char *dump, size_t dump_len)
{
    struct supervisor *sup = reload->sup;
    struct job *job = TAILQ_FIRST(&reload->jobs);
    bool dry_run = job->options.dry_run;
    struct spec_list old = specs_in_force(sup);
    struct plan *plan = plan_new(&old, &config->services);
    json_t *result =
        json_pack("{s:b, s:o}", "applied", !dry_run, "plan", plan_to_json(sup, plan, job->options.restart));
    add_settings(sup, &config->settings, result);
    int rc = dry_run ? 0 : rundir_write_file(sup->runtime_dir, "config.good", dump, dump_len);

    if (rc < 0)
        log_warning("cannot keep the configuration in %s/config.good: %s", sup->runtime_dir, strerror(-rc));
    if (!dry_run) {
        take(reload, config, plan, result);
    } else {
        if (job->reply)
            reply_result(job->reply, result);
        else
            json_decref(result);
        config_free(config);
    }
    plan_free(plan);
    free(old.items);
    job_done(reload);
    mem_trim();
}

/* ---- reading the helper's answer ---- */

static void answer_complete(struct reload *reload)
{
    struct job *job = TAILQ_FIRST(&reload->jobs);
    const char *text = reload->answer + 1;
    size_t len = reload->len - 1;
    struct config_errors errors;
    json_error_t error;
    char why[1024];

    if (reload->sup->phase != PHASE_RUN && !job->options.check && !job->options.dry_run) {
        job_too_late(reload);
        return;
    }
    if (reload->len == 0 || (reload->answer[0] != RELOAD_ANSWER_GOOD && reload->answer[0] != RELOAD_ANSWER_ERRORS)) {
        job_failed(reload, "the process that reads the configuration ended without an answer", NULL);
        return;
    }
    if (reload->answer[0] == RELOAD_ANSWER_ERRORS) {
        job_failed(reload, "the configuration has errors", json_loadb(text, len, 0, &error));
        return;
    }

    struct config *config = config_load_dump("config.good", text, len, &errors);
    if (errors.n > 0) {
        job_failed(reload, "the configuration cannot be read back", reload_errors_to_json(&errors));
        config_free(config);
    } else if (!scale_fit(reload->sup, config, why, sizeof why)) {
        job_failed(reload, why, NULL);
        config_free(config);
    } else if (job->options.check) {
        if (job->reply)
            reply_result(job->reply, json_pack("{s:b, s:i}", "ok", 1, "services", (int)config->services.n));
        config_free(config);
        job_done(reload);
    } else {
        job_apply(reload, config, text, len);
    }
    config_errors_clear(&errors);
}

static void on_readable(void *ctx)
{
    struct reload *reload = ctx;

    for (;;) {
        if (reload->room - reload->len < 65536) {
            reload->room = reload->room ? 2 * reload->room : 131072;
            reload->answer = xreallocarray(reload->answer, reload->room, 1);
        }
        ssize_t n = read(reload->helper.fd, reload->answer + reload->len, reload->room - reload->len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        reload->len += (size_t)n;
        if (reload->len > ANSWER_MAX) {
            job_failed(reload, "the configuration is too large", NULL);
            return;
        }
    }
    reload->answer[reload->len] = '\0';
    answer_complete(reload);
}

static void on_timeout(void *ctx)
{
    job_failed(ctx, "reading the configuration takes too long: is one of its files on a file system that hangs?", NULL);
}

static void start_next(struct reload *reload)
{
    struct job *job = TAILQ_FIRST(&reload->jobs);
    char text[128];

    if (!job)
        return;
    int rc = reload_helper_start(reload->sup->config_path, &reload->helper.fd, &reload->helper.pidfd);
    if (rc < 0) {
        snprintf(text, sizeof text, "no process to read the configuration can be made: %s", strerror(-rc));
        job_failed(reload, text, NULL);
        return;
    }
    helper_run_begin(&reload->helper, reload->sup->loop, HELPER_TIMEOUT, on_readable, reload);
}

/* The caller has hung up: a reload goes on all the same, a question does not matter any more but is at work. */
static void on_caller_gone(void *ctx)
{
    struct job *job = ctx;

    job->reply = NULL;
}

void reload_request(struct supervisor *sup, const struct reload_options *options, struct reply *reply)
{
    if (!sup->reload) {
        sup->reload = xcalloc(1, sizeof *sup->reload);
        sup->reload->sup = sup;
        helper_run_init(&sup->reload->helper, sup->loop, on_timeout, sup->reload);
        TAILQ_INIT(&sup->reload->jobs);
    }
    struct reload *reload = sup->reload;
    struct job *job = xcalloc(1, sizeof *job);

    job->options = *options;
    job->reply = reply;
    job->by_signal = reply == NULL;
    if (reply)
        reply_on_gone(reply, on_caller_gone, job);
    TAILQ_INSERT_TAIL(&reload->jobs, job, link);
    if (TAILQ_FIRST(&reload->jobs) == job)
        start_next(reload);
}

bool reload_busy(const struct supervisor *sup)
{
    return sup->reload && !TAILQ_EMPTY(&sup->reload->jobs);
}

void reload_free(struct reload *reload)
{
    struct job *job;

    if (!reload)
        return;
    helper_clear(reload);
    while ((job = TAILQ_FIRST(&reload->jobs))) {
        TAILQ_REMOVE(&reload->jobs, job, link);
        free(job);
    }
    helper_run_free(&reload->helper);
    free(reload);
}
