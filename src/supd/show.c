/* SPDX-License-Identifier: MIT */
#include "supd/show.h"

#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/health.h"
#include "supd/kept.h"
#include "supd/messages.h"
#include "supd/order.h"
#include "supd/schedules.h"
#include "supd/sockets.h"
#include "supd/usage.h"

/* Those for which /proc, or the cgroup, is read. */
#define USAGE_KEYS (PROTO_KEY(PROTO_MEMORY) | PROTO_KEY(PROTO_CPU) | PROTO_KEY(PROTO_TASKS))
#define STOPPED_KEYS (PROTO_KEY(PROTO_STOPPED) | PROTO_KEY(PROTO_PAUSED))

/* What one service is shown with; what it borrows is in here. */
struct shown {
    struct proto_service service;
    char words[SVC_REASON_WORDS_MAX];
    json_t *sockets;
    json_t *fd_store;
};

/* Bytes; -1 where nothing holds them back. */
static int64_t memory_max(const struct service *service)
{
    const struct cgroup_limit *max = &service->spec->cgroup->memory_max;

    return cgroups_of(service) && max->set && !max->infinite ? (int64_t)max->value : -1;
}

/* NULL where it has no check, or does not run. */
static const char *shown_health(const struct service *service)
{
    const struct svc *svc = service->svc;

    if (!spec_has_check(service->spec->check) || !svc_has_process(svc) || svc->state == SVC_STOPPING)
        return NULL;
    return health_name(svc->health.state == HEALTH_NONE ? HEALTH_STARTING : svc->health.state);
}

/* What only the file tells, or what only few have. */
static void gather_rest(struct shown *shown, const struct service *service, proto_keys keys)
{
    struct proto_service *told = &shown->service;

    told->enabled = keys & PROTO_KEY(PROTO_ENABLED) && service_enabled(service);
    shown->sockets = keys & PROTO_KEY(PROTO_SOCKETS) && service->parts->sockets ? sockets_status(service) : NULL;
    shown->fd_store = keys & PROTO_KEY(PROTO_FD_STORE) && service->parts->kept ? kept_status(service) : NULL;
    told->sockets = shown->sockets;
    told->fd_store = shown->fd_store;
    told->memory_max = memory_max(service);
    told->cgroup = cgroups_of(service);
}

static void gather(struct shown *shown, const struct service *service, proto_keys keys, const struct usage_look *look,
                   struct timestamp now)
{
    shown->service = (struct proto_service){
        .name = service->spec->name,
        .svc = service->svc,
        .spec = service->spec,
        .now = now,
        .waits_for = order_words(service, shown->words, sizeof shown->words),
        .config_stale = service_config_stale(service),
        .used = usage_last(service),
        .next_run = schedules_next_run(service),
        .health = shown_health(service),
        .health_text = health_words(service),
        .status_text = messages_status(service),
    };
    if (keys & (USAGE_KEYS | STOPPED_KEYS))
        shown->service.usage = usage_look_at(look, service);
    gather_rest(shown, service, keys);
}

static void let_go(struct shown *shown)
{
    json_decref(shown->sockets);
    json_decref(shown->fd_store);
}

void show_list(struct json_out *out, struct service *const *services, size_t n, const enum proto_key *fields,
               size_t n_fields)
{
    proto_keys keys = fields ? 0 : PROTO_ALL_KEYS;
    struct timestamp now = clock_now();
    struct shown shown;

    for (size_t i = 0; i < n_fields; i++)
        keys |= PROTO_KEY(fields[i]);
    struct usage_look *look = usage_look_new(services, n, (keys & USAGE_KEYS) != 0);
    json_out_open(out, '[');
    for (size_t i = 0; i < n; i++) {
        gather(&shown, services[i], keys, look, now);
        if (fields)
            proto_service_row(out, &shown.service, fields, n_fields);
        else
            proto_service_object(out, &shown.service);
        let_go(&shown);
    }
    json_out_close(out, ']');
    usage_look_free(look);
}

json_t *show_service(const struct service *service)
{
    struct json_out out = {0};
    struct service *one = (struct service *)service;

    show_list(&out, &one, 1, NULL, 0);
    json_t *list = json_out_read(&out);
    json_t *object = json_incref(json_array_get(list, 0));
    json_decref(list);
    return object;
}

json_t *show_outcome(const struct service *service, bool ok, const char *message)
{
    return json_pack("{s:s, s:b, s:s, s:o}", "name", service->spec->name, "ok", ok, "message", message, "service",
                     show_service(service));
}
