/* SPDX-License-Identifier: MIT */
#include "supd/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/proto.h"
#include "os/keptfd.h"
#include "supd/process.h"

/* As systemd calls what comes without a name. */
#define DEFAULT_NAME "stored"

struct item {
    struct kept_fd what;
    int fd;
    bool stored; /* in the fd store */
};

struct kept {
    struct item *items; /* in the order in which they came */
    size_t n;
    uint64_t said; /* the life in which it was said that there is no room; 0: none */
    int *fds;      /* what kept_ready() hands out */
    char *names;
};

/* Among the sockets of the service, whose addresses never begin so. */
#define ADDRESS_MAX 16

static const char *address_of(uint32_t slot, char address[ADDRESS_MAX])
{
    snprintf(address, ADDRESS_MAX, "fd:%u", slot);
    return address;
}

static struct kept *get(struct service *service)
{
    if (!service->parts->kept)
        service_parts(service)->kept = xcalloc(1, sizeof *service->parts->kept);
    return service->parts->kept;
}

static void push(struct kept *kept, struct item item)
{
    kept->items = xreallocarray(kept->items, kept->n + 1, sizeof *kept->items);
    kept->items[kept->n++] = item;
}

/* ---- coming and going ---- */

static bool has_same(const struct kept *kept, int fd)
{
    for (size_t i = 0; i < kept->n; i++) {
        if (keptfd_same(kept->items[i].fd, fd))
            return true;
    }
    return false;
}

static bool is_taken(const struct kept *kept, uint32_t slot)
{
    for (size_t i = 0; i < kept->n; i++) {
        if (kept->items[i].what.slot == slot)
            return true;
    }
    return false;
}

static uint32_t free_slot(const struct kept *kept)
{
    uint32_t slot = 0;

    while (is_taken(kept, slot))
        slot++;
    return slot;
}

static void say_full(struct service *service)
{
    if (service->parts->kept->said == service->svc->life)
        return;
    service->parts->kept->said = service->svc->life;
    log_warning("%s: a descriptor that it wants to leave here is closed: fd-store = %u allows no more",
                service->spec->name, service->spec->life->fd_store);
}

static void add_one(struct service *service, const struct notify_msg *msg, int fd)
{
    struct kept *kept = get(service);
    struct keptfd_id id = keptfd_identify(fd);
    struct item item = {
        .what = {.slot = free_slot(kept), .no_poll = msg->no_poll, .dev = id.dev, .ino = id.ino, .access = id.access},
        .fd = fd,
    };
    char address[ADDRESS_MAX];

    if (has_same(kept, fd)) {
        close(fd);
        return;
    }
    if (kept->n >= service->spec->life->fd_store) {
        say_full(service);
        close(fd);
        return;
    }
    snprintf(item.what.name, sizeof item.what.name, "%s", msg->fd_name[0] ? msg->fd_name : DEFAULT_NAME);
    /* Recorded first: what the fd store has and no record names is let go of by the next supd. */
    persist_kept(service, &item.what);
    item.stored = store_add_socket(service, address_of(item.what.slot, address), fd);
    push(kept, item);
}

void kept_add(struct service *service, const struct notify_msg *msg, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_one(service, msg, fds[i]);
}

static void drop(struct service *service, size_t i)
{
    struct kept *kept = service->parts->kept;
    struct item item = kept->items[i];
    struct kept_fd nothing = {.slot = item.what.slot};
    char address[ADDRESS_MAX];

    memmove(kept->items + i, kept->items + i + 1, (--kept->n - i) * sizeof *kept->items);
    persist_kept(service, &nothing);
    if (item.stored)
        store_remove_socket(service, address_of(item.what.slot, address));
    close(item.fd);
}

void kept_remove(struct service *service, const char *name)
{
    struct kept *kept = service->parts->kept;

    for (size_t i = kept ? kept->n : 0; i-- > 0;) {
        if (strcmp(kept->items[i].what.name, name) == 0)
            drop(service, i);
    }
}

void kept_follow(struct service *service)
{
    struct kept *kept = service->parts->kept;
    const struct svc *svc = service->svc;
    size_t max = svc_is_busy(svc) || svc_wants_sockets(svc) ? service->spec->life->fd_store : 0;

    while (kept && kept->n > max)
        drop(service, kept->n - 1);
}

/* ---- for a start ---- */

static void drop_dead(struct service *service)
{
    struct kept *kept = service->parts->kept;

    for (size_t i = kept->n; i-- > 0;) {
        if (!kept->items[i].what.no_poll && keptfd_is_dead(kept->items[i].fd))
            drop(service, i);
    }
}

void kept_ready(struct service *service, struct spawn_request *request)
{
    struct kept *kept = service->parts->kept;
    struct buf names = {0};

    if (!kept)
        return;
    drop_dead(service);
    if (kept->n == 0)
        return;
    size_t n = request->n_listen_fds;
    kept->fds = xreallocarray(kept->fds, n + kept->n, sizeof *kept->fds);
    if (n > 0) {
        memcpy(kept->fds, request->listen_fds, n * sizeof *kept->fds);
        buf_addf(&names, "%s", request->listen_names);
    }
    for (size_t i = 0; i < kept->n; i++) {
        kept->fds[n + i] = kept->items[i].fd;
        buf_addf(&names, "%s%s", n + i > 0 ? ":" : "", kept->items[i].what.name);
    }
    free(kept->names);
    kept->names = buf_steal(&names);
    request->listen_fds = kept->fds;
    request->n_listen_fds = n + kept->n;
    request->listen_names = kept->names;
}

/* ---- over our death ---- */

/* A slot may have been given to another while the news of that was on its way to the fd store. */
static bool is_it(int fd, const struct kept_fd *what)
{
    struct keptfd_id id = keptfd_identify(fd);

    return id.dev == what->dev && id.ino == what->ino && id.access == what->access;
}

/* What was handed over, or kept for us; -1: nothing. */
static int find_kept(struct service *service, const struct kept_fd *what, bool *stored)
{
    char address[ADDRESS_MAX];
    int fd = store_recover_socket(service, address_of(what->slot, address), stored);

    if (fd < 0 || is_it(fd, what))
        return fd;
    store_reject_socket(service, address, fd, stored);
    return -1;
}

static int copy(const struct service *service, const struct kept_fd *what)
{
    struct keptfd_id id = {.dev = what->dev, .ino = what->ino, .access = what->access};

    if (what->ino == 0 || !svc_has_process(service->svc) || service->main.pidfd < 0)
        return -ESRCH;
    return keptfd_take_copy(service->main.pidfd, service->svc->proc.pid, &id);
}

static void recover_one(struct service *service, const struct kept_fd *what)
{
    struct item item = {.what = *what};
    char address[ADDRESS_MAX];

    item.fd = find_kept(service, what, &item.stored);
    if (item.fd < 0) {
        item.fd = copy(service, what);
        item.stored = item.fd >= 0 && store_add_socket(service, address_of(what->slot, address), item.fd);
    }
    if (item.fd >= 0)
        push(get(service), item);
    else
        log_warning("%s: the descriptor '%s' that it has left with supd is lost: nobody has kept it, and its process "
                    "%s",
                    service->spec->name, what->name,
                    item.fd == -ESRCH ? "has it open no more" : "does not let us copy it");
}

void kept_recover(struct service *service, const struct svc_image *image)
{
    const struct svc *svc = service->svc;

    if (!svc_is_busy(svc) && !svc_wants_sockets(svc))
        return;
    for (size_t i = 0; image && i < image->n_kept; i++)
        recover_one(service, &image->kept[i]);
}

const struct kept_fd *kept_at(const struct service *service, size_t i)
{
    const struct kept *kept = service->parts->kept;

    return kept && i < kept->n ? &kept->items[i].what : NULL;
}

void kept_save(const struct service *service, json_t *array)
{
    const struct kept *kept = service->parts->kept;
    char address[ADDRESS_MAX];

    for (size_t i = 0; kept && i < kept->n; i++) {
        const struct item *item = &kept->items[i];

        json_array_append_new(array, json_pack("{s:s, s:i, s:b}", "listen", address_of(item->what.slot, address), "fd",
                                               item->fd, "stored", (int)item->stored));
    }
}

json_t *kept_status(const struct service *service)
{
    const struct kept *kept = service->parts->kept;
    json_t *array = json_array();

    for (size_t i = 0; kept && i < kept->n; i++)
        json_array_append_new(array, proto_string(kept->items[i].what.name));
    return array;
}

void kept_free(struct service *service)
{
    struct kept *kept = service->parts->kept;

    if (!kept)
        return;
    for (size_t i = 0; i < kept->n; i++)
        close(kept->items[i].fd);
    free(kept->items);
    free(kept->fds);
    free(kept->names);
    free(kept);
    service_parts(service)->kept = NULL;
}
