/* SPDX-License-Identifier: MIT */
#include "supd/show.h"

#include <stdlib.h>

#include "base/mem.h"
#include "os/clock.h"
#include "supd/cgroups.h"
#include "supd/health.h"
#include "supd/kept.h"
#include "supd/messages.h"
#include "supd/order.h"
#include "supd/schedules.h"
#include "supd/sockets.h"
#include "supd/usage.h"

/* A step of a list. */
#define SHOWN_AT_A_TIME 8

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
    return health_name(svc_rare(svc)->health.state == HEALTH_NONE ? HEALTH_STARTING : svc_rare(svc)->health.state);
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

struct show_item {
    struct service *service; /* NULL: it has gone before its turn, and */
    struct buf text;         /* this is what was to be said of it */
};

struct show_list {
    struct show_item *items;
    size_t n;
    size_t next; /* the first that is not written yet */
    bool opened;
    proto_keys keys;
    enum proto_key fields[PROTO_N_KEYS];
    size_t n_fields;
    struct usage_look *look;
};

struct show_list *show_list_new(struct service *const *services, size_t n, const enum proto_key *fields,
                                size_t n_fields)
{
    struct show_list *list = xcalloc(1, sizeof *list);

    list->items = xcalloc(n, sizeof *list->items);
    list->n = n;
    for (size_t i = 0; i < n; i++)
        list->items[i].service = services[i];
    list->keys = n_fields > 0 ? 0 : PROTO_ALL_KEYS;
    for (size_t i = 0; i < n_fields; i++) {
        list->fields[i] = fields[i];
        list->keys |= PROTO_KEY(fields[i]);
    }
    list->n_fields = n_fields;
    list->look = usage_look_new(services, n, (list->keys & USAGE_KEYS) != 0);
    return list;
}

static void put_one(const struct show_list *list, struct json_out *out, const struct service *service)
{
    struct shown shown;

    gather(&shown, service, list->keys, list->look, clock_now());
    if (list->n_fields > 0)
        proto_service_row(out, &shown.service, list->fields, list->n_fields);
    else
        proto_service_object(out, &shown.service);
    let_go(&shown);
}

bool show_list_step(struct show_list *list, struct json_out *out)
{
    if (!usage_look_prepare(list->look))
        return false;
    if (!list->opened)
        json_out_open(out, '[');
    list->opened = true;
    for (unsigned i = 0; i < SHOWN_AT_A_TIME && list->next < list->n; i++, list->next++) {
        const struct show_item *item = &list->items[list->next];

        if (item->service)
            put_one(list, out, item->service);
        else
            json_out_text(out, item->text.data, item->text.len);
    }
    if (list->next < list->n)
        return false;
    json_out_close(out, ']');
    return true;
}

void show_list_service_gone(struct show_list *list, const struct service *service)
{
    struct json_out out = {0};
    size_t i = list->next;

    while (i < list->n && list->items[i].service != service)
        i++;
    if (i == list->n)
        return;
    put_one(list, &out, service);
    list->items[i] = (struct show_item){.text = out.text};
}

void show_list_free(struct show_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        buf_free(&list->items[i].text);
    free(list->items);
    usage_look_free(list->look);
    free(list);
}

json_t *show_service(const struct service *service)
{
    struct json_out out = {0};
    struct service *one = (struct service *)service;
    struct show_list *whole = show_list_new(&one, 1, NULL, 0);

    while (!show_list_step(whole, &out))
        ;
    show_list_free(whole);
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
