/* SPDX-License-Identifier: MIT */
/*
 * The fd store: pidfds of services, kept by systemd (or supd --init) over our
 * death.  The pidfd of a process that ended meanwhile still tells its exit status
 * (Linux 6.15), which nothing else does once its parent has reaped it.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "supd/process.h"

/* LISTEN_FDNAMES is one environment string, of 128 KiB at most; something is left for others' names. */
#define NAMES_MAX ((size_t)100 * 1024)

static void take_name(struct process *process)
{
    struct service *service = process->service;

    fdstore_name(service->svc.proc.pid, process->stored);
    service->sup->stored_names += strlen(process->stored) + 1;
}

void store_keep(struct process *process)
{
    if (process->stored[0] == '\0')
        take_name(process);
}

void store_add(struct process *process)
{
    struct supervisor *sup = process->service->sup;

    if (!sup->sd || process->pidfd < 0 || process->stored[0] != '\0')
        return;
    if (sup->stored_names > NAMES_MAX) {
        if (!sup->store_full)
            log_warning("the fd store is full: how further services end while supd is dead may stay unknown");
        sup->store_full = true;
        return;
    }
    take_name(process);
    sdnotify_store(sup->sd, process->stored, process->pidfd);
    notify_flush(sup);
}

void store_remove(struct process *process)
{
    struct supervisor *sup = process->service->sup;

    if (process->stored[0] == '\0')
        return;
    sdnotify_unstore(sup->sd, process->stored);
    notify_flush(sup);
    sup->stored_names -= strlen(process->stored) + 1;
    sup->store_full = false;
    process->stored[0] = '\0';
}

void store_clean(struct supervisor *sup)
{
    for (size_t i = 0; i < sup->fdstore.n; i++) {
        /* A name that is not of our kind was not stored by us. */
        if (sup->fdstore.items[i].fd >= 0 && sup->fdstore.items[i].name[0] == 'p')
            sdnotify_unstore(sup->sd, sup->fdstore.items[i].name);
    }
    notify_flush(sup);
    fdstore_close(&sup->fdstore);
}
