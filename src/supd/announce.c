/* SPDX-License-Identifier: MIT */
#include "supd/announce.h"

#include "base/log.h"
#include "base/units.h"
#include "core/proto.h"
#include "supd/server.h"

static void log_change(const struct service *service, enum svc_state from)
{
    const struct svc *svc = service->svc;
    const char *name = service->spec->name;
    const char *state = svc_state_name(svc->state);
    char buf[64];

    switch (svc->state) {
    case SVC_RUNNING:
        if (!svc_has_process(svc))
            log_info("%s: running: its work is done", name);
        else if (!service->sup->reattaching)
            log_info("%s: running, pid %d", name, svc->proc.pid);
        break;
    case SVC_BACKOFF:
        log_warning(
            "%s: %s; next start in %s", name, svc_rare(svc)->reason,
            duration_format((svc->deadline - svc->since.mono) / USEC_PER_MSEC * USEC_PER_MSEC, buf, sizeof buf));
        break;
    case SVC_WAITING:
        if (svc->idle && service->spec->around->schedule && from != SVC_STOPPED && !svc_succeeded(svc, service->spec))
            log_warning("%s: %s", name, svc_rare(svc)->reason);
        else if (svc->idle)
            log_info("%s: %s", name, svc_rare(svc)->reason);
        else if (svc->next_is_restart && from != SVC_BACKOFF)
            log_warning("%s: %s; starting it again", name, svc_rare(svc)->reason);
        break;
    case SVC_FAILED:
        log_error("%s: failed: %s", name, svc_rare(svc)->reason);
        break;
    case SVC_STOPPING:
    case SVC_STOPPED:
    case SVC_EXITED:
        if (service->parts->handler && svc->state == SVC_EXITED) /* an event was told, as it should be */
            log_debug("%s: %s: %s", name, state, svc_rare(svc)->reason);
        else
            log_info("%s: %s: %s", name, state, proto_reason_beside(state, svc_rare(svc)->reason));
        break;
    case SVC_STARTING:
    case SVC_N_STATES:
        log_debug("%s: %s", name, state);
        break;
    }
}

void announce_state(struct service *service, enum svc_state from)
{
    log_change(service, from);
    if (!service_is_internal(service))
        server_tell_state(service, from);
}

void announce_health(struct service *service)
{
    const char *name = service->spec->name;
    enum health_state health = svc_rare(service->svc)->health.state;

    /* Why a service is being ended, log_change() says. */
    if (health == HEALTH_HEALTHY)
        log_info("%s: healthy", name);
    else if (service->svc->state == SVC_RUNNING && health == HEALTH_UNHEALTHY)
        log_warning("%s: %s", name, svc_rare(service->svc)->reason);
    if (health == HEALTH_HEALTHY || health == HEALTH_UNHEALTHY)
        server_tell_service(service->sup, health_name(health), name);
}
