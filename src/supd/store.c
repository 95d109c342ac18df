/* SPDX-License-Identifier: MIT */
/*
 * The fd store: pidfds of services, kept by systemd (or supd --init) over our
 * death.  The pidfd of a process that ended meanwhile still tells its exit status
 * (Linux 6.15), which nothing else does once its parent has reaped it.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "supd/handover.h"
#include "supd/process.h"

/* LISTEN_FDNAMES is one environment string, of 128 KiB at most; something is left for others' names. */
#define NAMES_MAX ((size_t)100 * 1024)

static void take_name(struct process *process, char name[FDSTORE_NAME_MAX])
{
    process->stored = process_pid(process);
    process->service->sup->stored_names += strlen(fdstore_name(process->stored, name)) + 1;
}

void store_keep(struct process *process)
{
    char name[FDSTORE_NAME_MAX];

    if (process->stored == 0)
        take_name(process, name);
}

static bool has_room(struct supervisor *sup)
{
    if (!sup->sd || sup->stored_names <= NAMES_MAX)
        return sup->sd != NULL;
    if (!sup->store_full)
        log_warning("the fd store is full: how further services end while supd is dead may stay unknown, and their "
                    "sockets may be closed then");
    sup->store_full = true;
    return false;
}

void store_add(struct process *process)
{
    struct supervisor *sup = process->service->sup;
    char name[FDSTORE_NAME_MAX];

    /* A check is over soon, and one whose end stays unknown counts neither way: not worth two messages each. */
    if (process == process->service->parts->check)
        return;
    if (process->pidfd < 0 || process->stored != 0 || !has_room(sup))
        return;
    take_name(process, name);
    sdnotify_store(sup->sd, name, process->pidfd);
    notify_flush(sup);
}

void store_remove(struct process *process)
{
    struct supervisor *sup = process->service->sup;
    char name[FDSTORE_NAME_MAX];

    if (process->stored == 0)
        return;
    sdnotify_unstore(sup->sd, fdstore_name(process->stored, name));
    notify_flush(sup);
    sup->stored_names -= strlen(name) + 1;
    sup->store_full = false;
    process->stored = 0;
}

bool store_add_socket(struct service *service, const char *address, int fd)
{
    struct supervisor *sup = service->sup;
    char name[FDSTORE_NAME_MAX];

    if (!has_room(sup))
        return false;
    sdnotify_store(sup->sd, fdstore_socket_name(service->spec->name, address, name), fd);
    notify_flush(sup);
    sup->stored_names += strlen(name) + 1;
    return true;
}

static void keep_socket(struct service *service, const char *address)
{
    char name[FDSTORE_NAME_MAX];

    service->sup->stored_names += strlen(fdstore_socket_name(service->spec->name, address, name)) + 1;
}

static int take_socket(struct service *service, const char *address)
{
    char name[FDSTORE_NAME_MAX];
    int fd = fdstore_take_named(&service->sup->fdstore, fdstore_socket_name(service->spec->name, address, name));

    if (fd >= 0)
        keep_socket(service, address);
    return fd;
}

int store_recover_socket(struct service *service, const char *address, bool *stored)
{
    struct supervisor *sup = service->sup;
    int fd = -1;

    *stored = false;
    if (sup->handover)
        fd = handover_take_socket(sup->handover, service->spec->name, address, stored);
    if (fd >= 0 && *stored)
        keep_socket(service, address);
    if (fd >= 0)
        return fd;
    fd = take_socket(service, address);
    *stored = fd >= 0;
    return fd;
}

void store_reject_socket(struct service *service, const char *address, int fd, bool *stored)
{
    close(fd);
    if (*stored)
        store_remove_socket(service, address);
    *stored = false;
}

void store_remove_socket(struct service *service, const char *address)
{
    struct supervisor *sup = service->sup;
    char name[FDSTORE_NAME_MAX];

    sdnotify_unstore(sup->sd, fdstore_socket_name(service->spec->name, address, name));
    notify_flush(sup);
    sup->stored_names -= strlen(name) + 1;
    sup->store_full = false;
}

void store_clean(struct supervisor *sup)
{
    for (size_t i = 0; i < sup->fdstore.n; i++) {
        const struct fdstore_item *item = &sup->fdstore.items[i];

        /* A name that is not of our kind was not stored by us. */
        if (item->fd >= 0 && (item->name[0] == 'p' || item->name[0] == 's'))
            sdnotify_unstore(sup->sd, item->name);
    }
    notify_flush(sup);
    fdstore_close(&sup->fdstore);
}
