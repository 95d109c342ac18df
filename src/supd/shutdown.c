/* SPDX-License-Identifier: MIT */
/*
 * Signals to supd, and the ways in which it ends.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "os/clock.h"
#include "supd/events.h"
#include "supd/logs.h"
#include "supd/order.h"
#include "supd/reload.h"
#include "supd/supervisor.h"
#include "supd/upgrade.h"

/* How often systemd is asked for more time while services are being stopped, and how much. */
#define EXTEND_INTERVAL USEC_PER_SEC
#define EXTEND_SLACK (10 * USEC_PER_SEC)

void shutdown_check(struct supervisor *sup)
{
    if (sup->phase != PHASE_STOPPING || events_hold_shutdown(sup) || sup->n_busy > logs_busy(sup) || !logs_ended(sup))
        return;
    int rc = statefile_remove(sup->runtime_dir);
    if (rc < 0)
        log_warning("cannot remove %s/state: %s", sup->runtime_dir, strerror(-rc));
    log_info("every service has stopped");
    loop_stop(sup->loop);
}

/* The time that the service which takes longest may still take. */
static int64_t longest_wait(const struct supervisor *sup)
{
    int64_t now = clock_now().mono;
    int64_t longest = 0;

    for (const struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (s->svc->deadline - now > longest)
            longest = s->svc->deadline - now;
    }
    return longest;
}

static void on_extend(void *ctx)
{
    struct supervisor *sup = ctx;

    sdnotify_send(sup->sd, "EXTEND_TIMEOUT_USEC=%lld", (long long)(longest_wait(sup) + EXTEND_SLACK));
    loop_timer_set(sup->extend_timer, EXTEND_INTERVAL);
}

/* From the end of the order, so that each finds those that come after it on their way down. */
static void tell_all(struct supervisor *sup, enum svc_event_type type)
{
    size_t n;
    struct service **services = services_list(sup, &n);

    order_sort_for_stop(services, n, false);
    sup->look.n_expected = sup->children.n; /* what is below each of them will be asked */
    /* A step deletes no service: those to be removed are deleted in a later turn.  What tells of them ends after them, and
     * who writes the logs of all ends last. */
    for (size_t i = 0; i < n; i++) {
        if ((services[i]->parts->handler && type == SVC_EV_SHUTDOWN) || logs_is_suplog(services[i]))
            continue;
        service_event(services[i], &(struct svc_event){.type = type});
    }
    sup->look.n_expected = 0;
    free(services);
}

void shutdown_begin(struct supervisor *sup)
{
    if (sup->phase != PHASE_RUN)
        return;
    notify_stopping(sup);
    tell_all(sup, SVC_EV_SHUTDOWN);
    sup->phase = PHASE_STOPPING;
    if (sup->sd) {
        sup->extend_timer = loop_timer_new(sup->loop, on_extend, sup);
        on_extend(sup);
    }
    queue_wake(sup);
}

void shutdown_leave(struct supervisor *sup)
{
    sup->phase = PHASE_LEAVING;
    persist_last(sup);
    loop_stop(sup->loop);
}

static void on_terminate(void *ctx, int signo)
{
    struct supervisor *sup = ctx;

    if (sup->terminate_seen) {
        log_info("SIG%s again: every stop-timeout is now zero", signo == SIGTERM ? "TERM" : "INT");
        sup->hurry = true;
        tell_all(sup, SVC_EV_HURRY);
        queue_wake(sup); /* nobody waits for what is still to be told, either */
        return;
    }
    sup->terminate_seen = true;
    log_info("SIG%s: stopping every service", signo == SIGTERM ? "TERM" : "INT");
    shutdown_begin(sup);
}

static void on_quit(void *ctx, int signo)
{
    (void)signo;
    log_info("SIGQUIT: leaving, and leaving the services as they are");
    shutdown_leave(ctx);
}

static void on_hangup(void *ctx, int signo)
{
    struct supervisor *sup = ctx;

    (void)signo;
    if (sup->phase != PHASE_RUN)
        return;
    log_info("SIGHUP: reading the configuration again");
    notify_reloading(sup);
    reload_request(sup, &(struct reload_options){0}, NULL);
}

static void on_usr1(void *ctx, int signo)
{
    (void)signo;
    log_info("SIGUSR1: opening log files again");
    logs_reopen(ctx);
}

static void on_usr2(void *ctx, int signo)
{
    (void)signo;
    log_info("SIGUSR2: upgrading");
    upgrade_request(ctx, NULL);
}

void shutdown_install_signals(struct supervisor *sup)
{
    static const struct {
        int signo;
        loop_signal_fn fn;
    } table[] = {
        {SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGQUIT, on_quit},
        {SIGHUP, on_hangup},     {SIGUSR1, on_usr1},     {SIGUSR2, on_usr2},
    };

    _Static_assert(sizeof table / sizeof *table == SUPERVISOR_SIGNALS, "a signal has no place to be kept");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++)
        sup->signals[i] = loop_signal_new(sup->loop, table[i].signo, table[i].fn, sup);
}
