/* SPDX-License-Identifier: MIT */
#include "supd/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "core/proto.h"
#include "core/socket_spec.h"
#include "os/sockets.h"
#include "supd/process.h"

#define FIRST_FD 3 /* where a process finds its first socket */

/* One entry of `listen`. */
struct listener {
    struct service *service;
    struct socket_spec spec;
    char address[SOCKET_ADDRESS_MAX];
    int fd;                   /* -1: not open */
    struct sockets_file file; /* of its path */
    struct loop_io *io;       /* while the service waits for something to come in */
    bool stored;              /* in the fd store */
    char error[256];          /* why it is not open; "" = it is, or was not tried */
};

struct sockets {
    size_t n;
    struct listener *items;
    int *fds; /* what sockets_ready() hands out */
    char *names;
};

/* ---- one socket ---- */

static void unwatch(struct listener *listener)
{
    loop_io_free(listener->io);
    listener->io = NULL;
}

/* It is not ours any more; the path stays. */
static void drop(struct listener *listener)
{
    unwatch(listener);
    if (listener->stored)
        store_remove_socket(listener->service, listener->address);
    listener->stored = false;
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    listener->error[0] = '\0';
}

/* Nobody is to come any more, although the process of the service may have it open for a while yet. */
static void take_down(struct listener *listener)
{
    if (listener->fd >= 0) {
        sockets_unlink(&listener->spec, &listener->file);
        log_debug("%s: %s is closed", listener->service->spec->name, listener->address);
    }
    drop(listener);
}

static void opened(struct listener *listener, int fd)
{
    listener->fd = fd;
    listener->file = sockets_file(&listener->spec);
    listener->error[0] = '\0';
    if (!listener->stored)
        listener->stored = store_add_socket(listener->service, listener->address, fd);
}

/* Of a path whose socket was opened for another configuration. */
static void set_owner(struct listener *listener)
{
    char err[256];

    if (listener->fd >= 0 && listener->file.ino != 0 && !sockets_set_owner(&listener->spec, err, sizeof err))
        log_warning("%s: listen %s: %s", listener->service->spec->name, listener->address, err);
}

static void open_listener(struct listener *listener)
{
    const char *name = listener->service->spec->name;
    char err[sizeof listener->error];
    int fd = sockets_open(&listener->spec, err, sizeof err);

    if (fd >= 0) {
        opened(listener, fd);
        log_debug("%s: %s is open", name, listener->address);
        return;
    }
    /* Each change of the service is a new try. */
    if (strcmp(err, listener->error) != 0)
        log_warning("%s: listen %s: %s", name, listener->address, err);
    memcpy(listener->error, err, sizeof err);
}

/* Was its path removed, or taken by somebody else? */
static bool path_is_lost(const struct listener *listener)
{
    struct sockets_file now = sockets_file(&listener->spec);

    return listener->fd >= 0 && socket_spec_has_path(&listener->spec) &&
           (now.ino == 0 || now.ino != listener->file.ino || now.dev != listener->file.dev);
}

/* ---- all of a service ---- */

static void on_readable(void *ctx)
{
    struct listener *listener = ctx;

    service_event(listener->service, &(struct svc_event){.type = SVC_EV_DEMAND});
}

static struct sockets *make_sockets(struct service *service)
{
    struct sockets *sockets = xcalloc(1, sizeof *sockets);
    char err[512];

    sockets->n = strv_len(service->spec->around->listen);
    sockets->items = xcalloc(sockets->n, sizeof *sockets->items);
    sockets->fds = xcalloc(sockets->n, sizeof *sockets->fds);
    for (size_t i = 0; i < sockets->n; i++) {
        struct listener *listener = &sockets->items[i];

        listener->service = service;
        listener->fd = -1;
        if (!socket_spec_parse(service->spec->around->listen[i], &listener->spec, err, sizeof err))
            abort(); /* spec_set() has read it */
        socket_spec_address(&listener->spec, listener->address);
    }
    return sockets;
}

static void free_sockets(struct sockets *sockets)
{
    free(sockets->items);
    free(sockets->fds);
    free(sockets->names);
    free(sockets);
}

/* What FROM has open is of use for TO. */
static void move(struct listener *from, struct listener *to)
{
    struct socket_spec wanted = to->spec;
    bool same_owner = from->spec.mode == wanted.mode && strcmp(from->spec.user, wanted.user) == 0 &&
                      strcmp(from->spec.group, wanted.group) == 0;

    unwatch(from);
    *to = *from;
    to->spec = wanted;
    from->fd = -1;
    from->stored = false;
    if (!same_owner)
        set_owner(to);
}

void sockets_configure(struct service *service)
{
    struct sockets *old = service->parts->sockets;
    struct sockets *new = strv_len(service->spec->around->listen) > 0 ? make_sockets(service) : NULL;

    if (old || new)
        service_parts(service)->sockets = new;
    for (size_t i = 0; old && i < old->n; i++) {
        for (size_t k = 0; new &&k < new->n; k++) {
            if (socket_spec_same(&old->items[i].spec, &new->items[k].spec))
                move(&old->items[i], &new->items[k]);
        }
        take_down(&old->items[i]);
    }
    if (old)
        free_sockets(old);
}

void sockets_open_missing(struct service *service)
{
    struct sockets *sockets = service->parts->sockets;

    for (size_t i = 0; sockets && svc_wants_sockets(service->svc) && i < sockets->n; i++) {
        if (sockets->items[i].fd < 0)
            open_listener(&sockets->items[i]);
    }
}

/* The first that is not open; NULL: all are. */
static struct listener *find_missing(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->n; i++) {
        if (sockets->items[i].fd < 0)
            return &sockets->items[i];
    }
    return NULL;
}

/* False where one cannot be watched. */
static bool watch(struct service *service, bool idle)
{
    struct sockets *sockets = service->parts->sockets;
    bool watched = true;

    for (size_t i = 0; i < sockets->n; i++) {
        struct listener *listener = &sockets->items[i];

        if (!idle)
            unwatch(listener);
        else if (listener->fd >= 0 && !listener->io)
            listener->io = loop_io_new(service->sup->loop, listener->fd, LOOP_READ, on_readable, listener);
        watched = watched && listener->io;
    }
    return watched;
}

void sockets_follow(struct service *service)
{
    struct sockets *sockets = service->parts->sockets;
    const struct svc *svc = service->svc;
    bool idle = svc->state == SVC_WAITING && svc->idle;

    if (!sockets)
        return;
    if (!svc_wants_sockets(svc)) {
        for (size_t i = 0; i < sockets->n; i++)
            take_down(&sockets->items[i]);
        return;
    }
    /* While a process lives it may be the one that is in the way: no use in trying. */
    if (!svc_has_process(svc))
        sockets_open_missing(service);
    /* Nothing will come in where nothing is open: a start will fail for that, and be tried again as such are. */
    if (!watch(service, idle) && idle)
        service_event(service, &(struct svc_event){.type = SVC_EV_DEMAND});
}

static const char *make_names(struct service *service)
{
    struct sockets *sockets = service->parts->sockets;
    struct buf names = {0};

    for (size_t i = 0; i < sockets->n; i++) {
        const char *name = sockets->items[i].spec.name;

        buf_addf(&names, "%s%s", i > 0 ? ":" : "", name[0] ? name : service->spec->name);
    }
    free(sockets->names);
    sockets->names = buf_steal(&names);
    return sockets->names;
}

bool sockets_ready(struct service *service, struct spawn_request *request, char *err, size_t err_size)
{
    struct sockets *sockets = service->parts->sockets;

    if (!sockets)
        return true;
    for (size_t i = 0; i < sockets->n; i++) {
        if (path_is_lost(&sockets->items[i]))
            drop(&sockets->items[i]);
    }
    sockets_open_missing(service);
    const struct listener *missing = find_missing(sockets);
    if (missing) {
        snprintf(err, err_size, "listen %s: %s", missing->address, missing->error);
        return false;
    }
    for (size_t i = 0; i < sockets->n; i++) {
        sockets_prepare(sockets->items[i].fd, &sockets->items[i].spec);
        sockets->fds[i] = sockets->items[i].fd;
    }
    request->listen_fds = sockets->fds;
    request->n_listen_fds = sockets->n;
    request->listen_names = make_names(service);
    return true;
}

/* ---- over our death ---- */

/* One that was handed over, or kept for us; -1: there is none. */
static int find_kept(struct listener *listener)
{
    int fd = store_recover_socket(listener->service, listener->address, &listener->stored);

    if (fd < 0 || sockets_is(fd, &listener->spec))
        return fd;
    /* Its options are others now, or nobody listens there any more. */
    store_reject_socket(listener->service, listener->address, fd, &listener->stored);
    return -1;
}

/* What could be found nowhere else: the process of the service has it, where there is one. */
static void copy_or_open(struct listener *listener, size_t number)
{
    const struct service *service = listener->service;
    int fd = -ESRCH;

    if (svc_has_process(service->svc) && service->main.pidfd >= 0)
        fd = sockets_take_copy(service->main.pidfd, service->svc->proc.pid, &listener->spec, FIRST_FD + (int)number);
    if (fd >= 0) {
        opened(listener, fd);
        return;
    }
    if (fd != -ESRCH)
        log_warning("%s: %s cannot be taken back from process %d: %s; what comes in while it is restarted is refused",
                    service->spec->name, listener->address, service->svc->proc.pid, strerror(-fd));
    open_listener(listener);
}

void sockets_recover(struct service *service)
{
    struct sockets *sockets = service->parts->sockets;

    if (!sockets || !svc_wants_sockets(service->svc))
        return;
    for (size_t i = 0; i < sockets->n; i++) {
        int fd = find_kept(&sockets->items[i]);

        if (fd >= 0)
            opened(&sockets->items[i], fd);
        else
            copy_or_open(&sockets->items[i], i);
        set_owner(&sockets->items[i]);
    }
}

json_t *sockets_save(const struct service *service)
{
    const struct sockets *sockets = service->parts->sockets;
    json_t *array = NULL;

    for (size_t i = 0; sockets && i < sockets->n; i++) {
        const struct listener *listener = &sockets->items[i];

        if (listener->fd < 0)
            continue;
        if (!array)
            array = json_array();
        json_array_append_new(array, json_pack("{s:o, s:i, s:b}", "listen", proto_string(listener->address), "fd",
                                               listener->fd, "stored", (int)listener->stored));
    }
    return array;
}

json_t *sockets_status(const struct service *service)
{
    const struct sockets *sockets = service->parts->sockets;
    json_t *array = json_array();

    for (size_t i = 0; sockets && i < sockets->n; i++) {
        const struct listener *listener = &sockets->items[i];
        const char *name = listener->spec.name[0] ? listener->spec.name : service->spec->name;

        json_array_append_new(array, json_pack("{s:o, s:o, s:b, s:o}", "listen", proto_string(listener->address),
                                               "name", proto_string(name), "open", listener->fd >= 0, "error",
                                               proto_string(listener->error[0] ? listener->error : NULL)));
    }
    return array;
}

void sockets_free(struct service *service)
{
    struct sockets *sockets = service->parts->sockets;

    if (!sockets)
        return;
    for (size_t i = 0; i < sockets->n; i++) {
        unwatch(&sockets->items[i]);
        if (sockets->items[i].fd >= 0)
            close(sockets->items[i].fd);
    }
    free_sockets(sockets);
    service_parts(service)->sockets = NULL;
}
