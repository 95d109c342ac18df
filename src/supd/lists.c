/* SPDX-License-Identifier: MIT */
#include "supd/lists.h"

#include <stdlib.h>

#include "base/mem.h"
#include "os/clock.h"
#include "supd/show.h"

/* What is done in one turn of the loop, us. */
#define SLICE 300
/* So many may be under way: what each has to remember takes memory. */
#define LISTS_MAX 64

struct list {
    struct supervisor *sup;
    struct reply *reply;
    struct show_list *show;
    struct json_out out;
    TAILQ_ENTRY(list) link;
};

struct lists {
    TAILQ_HEAD(, list) under_way; /* the first is gone on with */
    size_t n;
    struct loop_timer *timer;
};

static void list_free(struct list *list)
{
    show_list_free(list->show);
    buf_free(&list->out.text);
    free(list);
}

static void leave(struct list *list)
{
    struct lists *lists = list->sup->lists;

    TAILQ_REMOVE(&lists->under_way, list, link);
    lists->n--;
}

static void on_caller_gone(void *ctx)
{
    struct list *list = ctx;

    leave(list);
    list_free(list);
}

/* For as long as a slice is.  True: it is whole. */
static bool go_on(struct list *list)
{
    int64_t end = clock_now().mono + SLICE;
    bool whole;

    do
        whole = show_list_step(list->show, &list->out);
    while (!whole && clock_now().mono < end);
    return whole;
}

static void send_answer(struct list *list)
{
    reply_end(list->reply, &list->out);
    list_free(list);
}

static void finish_first(struct lists *lists)
{
    struct list *list = TAILQ_FIRST(&lists->under_way);

    while (!show_list_step(list->show, &list->out))
        ;
    leave(list);
    send_answer(list);
}

static void on_turn(void *ctx)
{
    struct lists *lists = ctx;
    struct list *list = TAILQ_FIRST(&lists->under_way);

    if (list && go_on(list)) {
        leave(list);
        send_answer(list);
    }
    if (!TAILQ_EMPTY(&lists->under_way))
        loop_timer_set(lists->timer, 0);
}

static struct lists *get(struct supervisor *sup)
{
    if (sup->lists)
        return sup->lists;
    sup->lists = xcalloc(1, sizeof *sup->lists);
    TAILQ_INIT(&sup->lists->under_way);
    sup->lists->timer = loop_timer_new(sup->loop, on_turn, sup->lists);
    return sup->lists;
}

/* It takes longer: its caller waits. */
static void put_off(struct list *list)
{
    struct lists *lists = get(list->sup);

    if (lists->n == LISTS_MAX)
        finish_first(lists);
    TAILQ_INSERT_TAIL(&lists->under_way, list, link);
    lists->n++;
    reply_on_gone(list->reply, on_caller_gone, list);
    reply_before_others(list->reply);
    loop_timer_set(lists->timer, 0);
}

void lists_answer(struct supervisor *sup, struct reply *reply, struct service *const *services, size_t n,
                  const enum proto_key *fields, size_t n_fields)
{
    struct list *list = xcalloc(1, sizeof *list);

    list->sup = sup;
    list->reply = reply;
    list->show = show_list_new(services, n, fields, n_fields);
    reply_begin(reply, &list->out);
    if (go_on(list))
        send_answer(list);
    else
        put_off(list);
}

void lists_service_gone(struct service *service)
{
    struct list *list;

    if (!service->sup->lists)
        return;
    TAILQ_FOREACH(list, &service->sup->lists->under_way, link)
    {
        show_list_service_gone(list->show, service);
    }
}

void lists_finish(struct supervisor *sup)
{
    while (sup->lists && !TAILQ_EMPTY(&sup->lists->under_way))
        finish_first(sup->lists);
}

void lists_close(struct supervisor *sup)
{
    if (!sup->lists)
        return;
    loop_timer_free(sup->lists->timer);
    free(sup->lists);
    sup->lists = NULL;
}
