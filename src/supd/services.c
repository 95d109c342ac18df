/* SPDX-License-Identifier: MIT */
/*
 * The table of services: who is in it, and what comes with being in it.
 */
#include "supd/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/slab.h"
#include "core/graph.h"
#include "core/instance.h"
#include "core/service_keep.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/events.h"
#include "supd/health.h"
#include "supd/kept.h"
#include "supd/lists.h"
#include "supd/logs.h"
#include "supd/main_search.h"
#include "supd/messages.h"
#include "supd/order.h"
#include "supd/process.h"
#include "supd/readiness.h"
#include "supd/remember.h"
#include "supd/schedules.h"
#include "supd/server.h"
#include "supd/sockets.h"
#include "supd/usage.h"
#include "supd/waiters.h"

static struct slab slab_of_services = SLAB_OF(struct service);
static struct slab slab_of_parts = SLAB_OF(struct service_parts);
static const struct service_parts no_parts;

static bool has_name(const void *item, const void *name)
{
    const struct service *service = item;

    return strcmp(service->spec->name, name) == 0;
}

static uint32_t hash_of(const void *item)
{
    const struct service *service = item;

    return lookup_hash_string(service->spec->name);
}

void services_init(struct supervisor *sup)
{
    sup->by_name = LOOKUP_OF(hash_of);
    TAILQ_INIT(&sup->services);
    TAILQ_INIT(&sup->condemned);
}

struct service_parts *service_parts(struct service *service)
{
    if (service->parts == &no_parts)
        service->parts = slab_new(&slab_of_parts);
    return (struct service_parts *)service->parts;
}

static void service_free(struct service *service)
{
    struct supervisor *sup = service->sup;

    waiters_service_gone(service);
    lists_service_gone(service);
    sockets_free(service);
    messages_free(service);
    events_forget(service);
    kept_free(service);
    readiness_free(service);
    schedules_free(service);
    health_free(service);
    logs_forget(service);
    main_search_free(service->parts->search);
    process_release(&service->main);
    process_forget_child(&service->main);
    usage_forget(service);
    process_free(service->parts->control);
    process_free(service->parts->check);
    cgroups_forget(service);
    queue_leave(service);
    if (service->queued == QUEUED_TO_DELETE)
        TAILQ_REMOVE(&sup->condemned, service, queue_link);
    order_service_gone(service);
    TAILQ_REMOVE(&sup->services, service, link);
    lookup_remove(&sup->by_name, service);
    loop_timer_free(service->timer);
    spec_free(service->spec);
    svc_keep_free(service->svc);
    if (service->parts != &no_parts)
        slab_free(&slab_of_parts, service_parts(service));
    slab_free(&slab_of_services, service);
}

void services_clear(struct supervisor *sup)
{
    struct service *service;

    while ((service = TAILQ_FIRST(&sup->services)))
        service_free(service);
    lookup_clear(&sup->by_name);
}

struct service *service_find(struct supervisor *sup, const char *name)
{
    return lookup_find(&sup->by_name, lookup_hash_string(name), has_name, name);
}

bool service_is_internal(const struct service *service)
{
    return strchr(service->spec->name, ':') != NULL;
}

struct service *service_add(struct supervisor *sup, struct spec *spec)
{
    struct service *service = slab_new(&slab_of_services);
    struct svc svc;

    service->sup = sup;
    service->parts = &no_parts;
    service->spec = spec;
    service->node = GRAPH_NONE; /* until order_build() */
    service->digest = spec_process_digest(spec);
    process_init(&service->main, service);
    TAILQ_INIT(&service->waits);
    svc_init(&svc, spec, clock_now());
    svc_set_enabled(&svc, service_enabled(service));
    schedules_recall(service, &svc);
    service->svc = svc_keep(NULL, &svc);
    events_configure(service);
    sockets_configure(service);
    TAILQ_INSERT_TAIL(&sup->services, service, link);
    lookup_add(&sup->by_name, service);
    return service;
}

bool service_enabled(const struct service *service)
{
    bool enabled;

    return remember_enabled(service->sup, service->spec->name, &enabled) ? enabled : service->spec->enabled;
}

unsigned services_count(const struct supervisor *sup)
{
    return (unsigned)sup->by_name.n - (unsigned)sup->n_handlers - (logs_suplog(sup) != NULL);
}

static int compare_names(const void *a, const void *b)
{
    const struct service *const *x = a;
    const struct service *const *y = b;

    return instance_compare((*x)->spec->name, (*y)->spec->name);
}

void services_sort(struct supervisor *sup)
{
    size_t n;
    struct service **list = services_list(sup, &n);

    qsort(list, n, sizeof(*list), compare_names);
    TAILQ_INIT(&sup->services);
    for (size_t i = 0; i < n; i++)
        TAILQ_INSERT_TAIL(&sup->services, list[i], link);
    free(list);
}

struct service **services_list(const struct supervisor *sup, size_t *n)
{
    struct service **list = xcalloc(sup->by_name.n + 1, sizeof(*list));

    *n = 0;
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link))
        list[(*n)++] = s;
    return list;
}

void service_set_spec(struct service *service, struct spec *spec)
{
    struct spec *old = service->spec;
    char *name = spec->name;
    bool rescheduled = !spec_key_equal(old, spec, spec_key_find("schedule"));

    /* Whoever has the service's name goes on having it. */
    spec->name = old->name;
    old->name = name;
    spec_free(old);
    service->spec = spec;
    service->digest = spec_process_digest(spec);
    sockets_configure(service);
    sockets_open_missing(service);
    readiness_free(service);
    health_free(service);
    logs_configure(service);
    service_event(service, &(struct svc_event){
                               .type = SVC_EV_CONFIG,
                               .stop = svc_stop_params(spec),
                               .rescheduled = rescheduled,
                           });
    service_tell_enabled(service);
    cgroups_apply(service);
}

void service_tell_enabled(struct service *service)
{
    enum svc_event_type type = service_enabled(service) ? SVC_EV_ENABLED : SVC_EV_DISABLED;

    service_event(service, &(struct svc_event){.type = type});
}

bool service_config_stale(const struct service *service)
{
    /* What tells of an event is not run again for another configuration: the next one is of that. */
    return !service_is_internal(service) && svc_has_process(service->svc) &&
           service->svc->proc.digest != service->digest;
}

static bool is_gone(const struct service *service)
{
    return service->removing && service->svc->state == SVC_STOPPED && service->queued != QUEUED_TO_START;
}

void service_consider_gone(struct service *service)
{
    if (!is_gone(service) || service->queued == QUEUED_TO_DELETE)
        return;
    service->queued = QUEUED_TO_DELETE;
    TAILQ_INSERT_TAIL(&service->sup->condemned, service, queue_link);
    queue_wake(service->sup);
}

void service_remove(struct service *service, const char *why)
{
    service->removing = true;
    service_parts(service)->removal = why;
    service_event(service, &(struct svc_event){.type = SVC_EV_STOP, .text = why});
}

void services_delete_gone(struct supervisor *sup)
{
    struct service *service;

    while ((service = TAILQ_FIRST(&sup->condemned))) {
        /* Not forgotten before the file says so: its old records would be taken for those of a new one of its name. */
        if (is_gone(service) && persist_removed(sup, service->spec->name) < 0)
            return;
        TAILQ_REMOVE(&sup->condemned, service, queue_link);
        service->queued = QUEUED_NOT;
        if (!is_gone(service))
            continue;
        log_info("%s: removed", service->spec->name);
        if (!service_is_internal(service))
            server_tell_service(sup, "removed", service->spec->name);
        service_free(service);
    }
}
