/* SPDX-License-Identifier: MIT */
#include "supd/readiness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/socket_spec.h"
#include "os/clock.h"
#include "os/notifysock.h"
#include "os/probe.h"
#include "supd/logs.h"

/* From one look to the next. */
#define INTERVAL_FIRST (5 * USEC_PER_MSEC)
#define INTERVAL_LAST (200 * USEC_PER_MSEC)
/* A connection that nobody answers at all, as behind a packet filter, is begun anew. */
#define CONNECT_TIMEOUT (2 * USEC_PER_SEC)

struct readiness {
    struct service *service;
    struct loop_timer *timer;
    int64_t interval; /* us, until the next look */
    int connection;   /* READY_PORT: on its way; -1: none */
    int64_t begun;    /* mono us, when that was */
};

/* The file that stands behind the descriptor of fd:N, to be freed. */
static char *line_path(const struct service *service)
{
    return xasprintf("%s/" NOTIFYSOCK_DIR "/%s.ready", service->sup->runtime_dir, service->spec->name);
}

bool readiness_prepare(struct service *service, enum svc_role role, int *fd, char *err, size_t err_size)
{
    *fd = 0;
    if (role != ROLE_SERVICE || service->spec->life->ready.kind != READY_FD)
        return true;
    char *path = line_path(service);
    int rc = probe_line_new(path);
    if (rc < 0)
        snprintf(err, err_size, "ready: %s: %s", path, strerror(-rc));
    else
        *fd = rc;
    free(path);
    return rc >= 0;
}

/* ---- one look ---- */

/* RC: what came of a look at a file of ours: > 0: it is ready; -errno: nothing is to be learnt from it. */
static bool judge(struct service *service, int rc)
{
    if (rc < 0 && !service->svc->ready_lost) {
        log_warning("%s: its file in the runtime directory cannot be read: %s; it is taken for ready after its "
                    "start-timeout",
                    service->spec->name, strerror(-rc));
        service_event(service, &(struct svc_event){.type = SVC_EV_UNHEARD, .life = service->svc->life});
    }
    return rc > 0;
}

static bool look_at_line(struct service *service)
{
    char *path = line_path(service);
    int rc = probe_line(path);

    free(path);
    return judge(service, rc);
}

static void hang_up(struct readiness *r)
{
    if (r->connection >= 0)
        close(r->connection);
    r->connection = -1;
}

static bool look_at_port(struct readiness *r)
{
    const struct spec_ready *ready = &r->service->spec->life->ready;
    int64_t now = clock_now().mono;
    struct socket_spec address;
    char err[256];

    if (r->connection < 0) {
        char *text = xasprintf("tcp:%s", ready->where);

        if (!socket_spec_parse(text, &address, err, sizeof err))
            abort(); /* spec_set() has read it */
        free(text);
        r->connection = probe_connect(&address);
        r->begun = now;
    }
    int rc = r->connection >= 0 ? probe_connected(r->connection) : r->connection;
    if (rc != 0 || now - r->begun >= CONNECT_TIMEOUT)
        hang_up(r);
    return rc == 1;
}

static bool look(struct readiness *r)
{
    struct service *service = r->service;

    switch (service->spec->life->ready.kind) {
    case READY_FD:
        return look_at_line(service);
    case READY_PORT:
        return look_at_port(r);
    case READY_PATH:
        return probe_path(service->spec->life->ready.where);
    case READY_LOG:
        return judge(service, logs_match_look(service));
    case READY_EXEC:
    case READY_NOTIFY:
    case READY_AFTER:
    case READY_CHECK:
        break;
    }
    return false;
}

static void on_timer(void *ctx)
{
    struct readiness *r = ctx;

    if (look(r)) {
        service_event(r->service, &(struct svc_event){.type = SVC_EV_READY, .life = r->service->svc->life});
        return;
    }
    r->interval = r->interval * 2 < INTERVAL_LAST ? r->interval * 2 : INTERVAL_LAST;
    loop_timer_set(r->timer, r->interval);
}

/* ---- when to look ---- */

static bool is_looked_for(const struct service *service)
{
    enum ready_kind kind = service->spec->life->ready.kind;

    return svc_awaits_ready(service->svc) &&
           (kind == READY_FD || kind == READY_PORT || kind == READY_PATH || kind == READY_LOG);
}

static void begin(struct service *service)
{
    struct readiness *r = xcalloc(1, sizeof *r);

    service_parts(service)->readiness = r;
    r->service = service;
    r->connection = -1;
    r->interval = INTERVAL_FIRST;
    r->timer = loop_timer_new(service->sup->loop, on_timer, r);
    loop_timer_set(r->timer, 0);
}

void readiness_free(struct service *service)
{
    struct readiness *r = service->parts->readiness;

    if (!r)
        return;
    hang_up(r);
    loop_timer_free(r->timer);
    free(r);
    service_parts(service)->readiness = NULL;
}

void readiness_follow(struct service *service)
{
    bool wanted = is_looked_for(service);

    if (wanted && !service->parts->readiness)
        begin(service);
    if (wanted || !service->parts->readiness)
        return;
    readiness_free(service);
    if (service->spec->life->ready.kind != READY_FD)
        return;
    char *path = line_path(service);
    unlink(path);
    free(path);
}

bool readiness_uses(const struct service *service, const char *path)
{
    if (!is_looked_for(service) || service->spec->life->ready.kind != READY_FD)
        return false;
    char *own = line_path(service);
    bool is = strcmp(own, path) == 0;
    free(own);
    return is;
}
