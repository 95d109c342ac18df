/* SPDX-License-Identifier: MIT */
#include "supd/roster.h"

#include "base/log.h"

struct service *roster_add(struct supervisor *sup, struct spec *spec)
{
    struct service *service = service_find(sup, spec->name);
    char err[256];

    if (!service) {
        service = service_add(sup, spec);
        service_event(service, &(struct svc_event){.type = SVC_EV_BOOT});
        return service;
    }
    service->removing = false;
    service_set_spec(service, spec);
    if (service_enabled(service) && !service_command(service, SVC_EV_START, err, sizeof err))
        log_error("%s: %s", service->spec->name, err);
    waiters_check(service);
    return service;
}

void roster_remove(struct service *service, const char *why, struct waiter *waiter)
{
    struct wait_from from = wait_from(service);

    service_remove(service, why);
    if (waiter)
        waiter_add(waiter, service, WAIT_REMOVE, from);
}
