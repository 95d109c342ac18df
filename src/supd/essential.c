/* SPDX-License-Identifier: MIT */
#include "supd/essential.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

void essential_check(struct service *service, const struct svc *next)
{
    struct supervisor *sup = service->sup;
    struct essential_end *end = &sup->essential;

    if (!service->spec->essential || service->removing || (next->state != SVC_EXITED && next->state != SVC_FAILED) ||
        sup->phase != PHASE_RUN || end->name[0])
        return;
    snprintf(end->name, sizeof end->name, "%s", service->spec->name);
    end->status = svc_exit_status(next);
    persist_essential(sup);
    queue_wake(sup);
}

void essential_resume(struct supervisor *sup, const struct essential_end *end)
{
    if (!end->name[0])
        return;
    sup->essential = *end;
    queue_wake(sup);
}

void essential_act(struct supervisor *sup)
{
    if (!sup->essential.name[0] || sup->phase != PHASE_RUN)
        return;
    log_error("%s is essential and has ended: stopping every service, then supd exits with status %d",
              sup->essential.name, sup->essential.status);
    shutdown_begin(sup);
}

int essential_status(const struct supervisor *sup)
{
    return sup->phase == PHASE_STOPPING && sup->essential.name[0] ? sup->essential.status : EXIT_SUCCESS;
}
