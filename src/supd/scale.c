/* SPDX-License-Identifier: MIT */
#include "supd/scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/graph.h"
#include "core/instance.h"
#include "core/instance_template.h"
#include "core/proto.h"
#include "supd/order.h"
#include "supd/roster.h"
#include "supd/waiters.h"

#define REMOVAL_REASON "removed by scale"

/* ---- the table of numbers ---- */

static struct scale *find(const struct supervisor *sup, const char *name)
{
    for (size_t i = 0; i < sup->n_scales; i++) {
        if (strcmp(sup->scales[i].name, name) == 0)
            return &sup->scales[i];
    }
    return NULL;
}

static void forget(struct supervisor *sup, struct scale *scale)
{
    *scale = sup->scales[--sup->n_scales];
}

static void remember(struct supervisor *sup, const struct scale *scale)
{
    struct scale *old = find(sup, scale->name);

    if (scale->count == scale->written) {
        if (old)
            forget(sup, old);
        return;
    }
    if (!old) {
        sup->scales = xreallocarray(sup->scales, sup->n_scales + 1, sizeof *sup->scales);
        old = &sup->scales[sup->n_scales++];
    }
    *old = *scale;
}

/* Does CONFIG still say what it said then? */
static const struct instance_template *holds(const struct scale *scale, const struct config *config)
{
    const struct instance_template *template = config_template(config, scale->name);

    return template && (uint32_t) template->base->around->instances.value == scale->written ? template : NULL;
}

/* ---- over configurations and crashes ---- */

static bool fit_one(const struct scale *scale, struct config *config, char *err, size_t err_size)
{
    const struct instance_template *template = holds(scale, config);
    char why[768];

    if (!template || instance_template_fit(template, &config->services, scale->count, why, sizeof why))
        return true;
    snprintf(err, err_size, "%s; `supctl scale %s %u` makes no such instance", why, scale->name, scale->written);
    return false;
}

static bool is_missing_in_list(void *ctx, const char *name)
{
    const struct spec_list *list = ctx;

    return instance_is(name) && spec_list_find(list, name) == NULL;
}

/* The file was checked as it is written; somebody may name an instance that scale has removed. */
static bool check_names(struct config *config, char *err, size_t err_size)
{
    const char *key;

    for (size_t i = 0; i < config->services.n; i++) {
        const struct spec *spec = config->services.items[i];
        const char *word = graph_missing_name(spec, is_missing_in_list, &config->services, &key);

        if (!word)
            continue;
        snprintf(err, err_size,
                 "%s %s %s, which `supctl scale` has removed: take that out, or write another number of "
                 "'instances' for '%.*s'",
                 spec->name, key, word, (int)instance_base_len(word), word);
        return false;
    }
    return true;
}

bool scale_fit(const struct supervisor *sup, struct config *config, char *err, size_t err_size)
{
    for (size_t i = 0; i < sup->n_scales; i++) {
        if (!fit_one(&sup->scales[i], config, err, err_size))
            return false;
    }
    return sup->n_scales == 0 || check_names(config, err, err_size);
}

bool scale_resume(struct supervisor *sup, const struct replay *replay)
{
    char err[1024];

    sup->n_scales = 0;
    for (size_t i = 0; i < replay->n_scales; i++) {
        if (holds(&replay->scales[i], sup->config))
            remember(sup, &replay->scales[i]);
    }
    if (scale_fit(sup, sup->config, err, sizeof err))
        return true;
    log_error("%s", err);
    return false;
}

void scale_forget_old(struct supervisor *sup)
{
    for (size_t i = sup->n_scales; i-- > 0;) {
        struct scale scale = sup->scales[i];

        if (holds(&scale, sup->config))
            continue;
        log_info("%s: the number of instances is that of the configuration again", scale.name);
        forget(sup, &sup->scales[i]);
        scale.count = scale.written;
        persist_scale(sup, &scale);
    }
}

/* ---- the command ---- */

/* What is to become of one section. */
struct change {
    struct supervisor *sup;
    const struct instance_template *template;
    struct scale scale;
    unsigned before;          /* so many are there now */
    struct spec_list added;   /* instances that are not there, or are on their way out */
    struct service **running; /* what has become of each of these; NULL: nothing so far */
};

/* All that are to come, before anything is done.  FIRST: with it and any other, two at one address are found. */
static bool make_added(struct change *change, const struct spec *first, char *err, size_t err_size)
{
    char why[768];

    for (unsigned k = change->before + 1; k <= change->scale.count; k++) {
        struct spec *spec = instance_template_make(change->template, k, why, sizeof why);

        if (!spec || (k > 1 && instance_clash(first, spec, why, sizeof why))) {
            snprintf(err, err_size, "%s@%u: %s", change->scale.name, k, why);
            spec_free(spec);
            return false;
        }
        spec_list_push(&change->added, spec);
    }
    change->running = xcalloc(change->added.n + 1, sizeof(struct service *));
    return true;
}

/* Once the change is made. */
static bool is_missing(void *ctx, const char *name)
{
    const struct change *change = ctx;
    unsigned number = instance_of(name, change->scale.name);
    const struct service *service = service_find(change->sup, name);

    if (number > 0)
        return number > change->scale.count;
    return instance_is(name) && (!service || service->removing);
}

static bool names_only_what_is_there(struct change *change, const struct spec *spec, char *err, size_t err_size)
{
    const char *key;
    const char *word = graph_missing_name(spec, is_missing, change, &key);

    if (!word)
        return true;
    size_t len = instance_base_len(word);
    snprintf(err, err_size,
             "%s %s %s, which would not be there: scale %.*s to %s or more, or take that out of the configuration",
             spec->name, key, word, (int)len, word, word + len + 1);
    return false;
}

/* Neither those that stay nor those that come may name one that is not there, as the configuration may not. */
static bool check_change(struct change *change, char *err, size_t err_size)
{
    for (struct service *s = TAILQ_FIRST(&change->sup->services); s; s = TAILQ_NEXT(s, link)) {
        bool goes = s->removing || instance_of(s->spec->name, change->scale.name) > change->scale.count;

        if (!goes && !names_only_what_is_there(change, s->spec, err, err_size))
            return false;
    }
    for (size_t i = 0; i < change->added.n; i++) {
        if (!names_only_what_is_there(change, change->added.items[i], err, err_size))
            return false;
    }
    return true;
}

/* Those that are on their way out, or those that are not there at all. */
static void add(struct change *change, bool on_their_way_out)
{
    for (size_t i = 0; i < change->added.n; i++) {
        struct spec *spec = change->added.items[i];

        if (!change->running[i] && (service_find(change->sup, spec->name) != NULL) == on_their_way_out)
            change->running[i] = roster_add(change->sup, spec);
    }
}

static void put_back(struct change *change)
{
    for (size_t i = change->added.n; i-- > 0;) {
        if (change->running[i])
            roster_remove(change->running[i], REMOVAL_REASON, NULL);
    }
}

/*
 * Those on their way out are kept before the number is recorded, so that no supd in between finds one that is to be
 * there and stopped; what such a supd would find too many, it would remove again.
 */
static int record(struct change *change)
{
    add(change, true);
    int rc = persist_scale(change->sup, &change->scale);
    if (rc < 0) {
        put_back(change);
        return rc;
    }
    remember(change->sup, &change->scale);
    return 0;
}

/* Backwards, as in a shutdown: the last one first. */
static void remove_surplus(struct change *change, bool wait, struct waiter *waiter)
{
    for (unsigned k = change->before; k > change->scale.count; k--) {
        char *name = instance_name(change->scale.name, k);
        struct service *service = service_find(change->sup, name);

        free(name);
        if (!service)
            continue;
        roster_remove(service, REMOVAL_REASON, wait ? waiter : NULL);
        if (!wait)
            waiter_add_done(waiter, service, true, svc_state_name(service->svc->state));
    }
}

/* What those that have come require. */
static void pull_added(struct change *change)
{
    struct service **services = xcalloc(change->added.n + 1, sizeof(*services));
    size_t n = 0;

    for (size_t i = 0; i < change->added.n; i++) {
        if (change->running[i]->svc->desired_up)
            services[n++] = change->running[i];
    }
    order_pull(change->sup, services, n);
    free(services);
}

static void add_missing(struct change *change, bool wait, struct waiter *waiter)
{
    add(change, false);
    services_sort(change->sup);
    order_build(change->sup);
    pull_added(change);
    for (size_t i = 0; i < change->added.n; i++) {
        struct service *service = change->running[i];
        const struct svc *svc = service->svc;
        struct wait_from from = {.life = svc->life};

        server_tell_service(change->sup, "added", service->spec->name);
        if (wait && svc->desired_up && !svc->idle)
            waiter_add(waiter, service, WAIT_START, from);
        else
            waiter_add_done(waiter, service, true,
                            svc_rare(svc)->reason[0] ? svc_rare(svc)->reason : svc_state_name(svc->state));
    }
}

static void tell(const struct change *change)
{
    const struct scale *scale = &change->scale;

    if (scale->count == scale->written)
        log_info("%s: %u instances, as the configuration says", scale->name, scale->count);
    else
        log_info("%s: %u instances instead of %u, until the configuration says another number or supd is stopped",
                 scale->name, scale->count, scale->written);
}

static void carry_out(struct change *change, bool wait, int64_t timeout, struct reply *reply)
{
    struct supervisor *sup = change->sup;
    int rc = record(change);

    if (rc < 0) {
        reply_error(reply, PROTO_E_REFUSED, NULL, "not done, because it cannot be recorded in %s/state: %s",
                    sup->runtime_dir, strerror(-rc));
        return;
    }
    struct waiter *waiter = waiter_new(sup, reply, wait ? timeout : 0, NULL);
    tell(change);
    remove_surplus(change, wait, waiter);
    add_missing(change, wait, waiter);
    notify_status(sup);
    waiter_start(waiter);
}

/* What was not added is not needed. */
static void clear(struct change *change)
{
    for (size_t i = 0; i < change->added.n; i++) {
        if (!change->running || !change->running[i])
            spec_free(change->added.items[i]);
    }
    free(change->added.items);
    free(change->running);
}

static void refuse(struct supervisor *sup, const char *name, struct reply *reply)
{
    size_t len = instance_base_len(name);

    if (name[len] != '\0')
        reply_error(reply, PROTO_E_REFUSED, NULL, "%s is one instance: scale '%.*s'", name, (int)len, name);
    else if (service_find(sup, name))
        reply_error(reply, PROTO_E_REFUSED, NULL,
                    "%s has no instances: give its section the key 'instances', then `supctl reread`", name);
    else
        reply_error(reply, PROTO_E_UNKNOWN_SERVICE, json_pack("{s:[s]}", "names", name), "unknown service: %s", name);
}

void scale_request(struct supervisor *sup, const char *name, unsigned count, bool wait, int64_t timeout,
                   struct reply *reply)
{
    const struct instance_template *template = config_template(sup->config, name);
    struct change change = {.sup = sup, .template = template};
    char err[1024];

    if (!template) {
        refuse(sup, name, reply);
        return;
    }
    const struct scale *old = find(sup, name);
    snprintf(change.scale.name, sizeof change.scale.name, "%s", name);
    change.scale.written = (uint32_t) template->base->around->instances.value;
    change.scale.count = count;
    change.before = old ? old->count : change.scale.written;
    struct spec *first = instance_template_make(template, 1, err, sizeof err);
    if (!first || !make_added(&change, first, err, sizeof err) || !check_change(&change, err, sizeof err))
        reply_error(reply, PROTO_E_REFUSED, NULL, "nothing is done: %s", err);
    else
        carry_out(&change, wait, timeout, reply);
    spec_free(first);
    clear(&change);
}
