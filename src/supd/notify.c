/* SPDX-License-Identifier: MIT */
/*
 * What systemd is told, sd_notify(3).
 */
#include <stdio.h>

#include "os/clock.h"
#include "supd/supervisor.h"

/* The status line changes at most this often. */
#define STATUS_INTERVAL (250 * USEC_PER_MSEC)

static void on_writable(void *ctx);

/* What did not fit is sent as soon as there is room. */
void notify_flush(struct supervisor *sup)
{
    if (!sup->sd)
        return;
    if (sdnotify_flush(sup->sd)) {
        loop_io_free(sup->sd_writable);
        sup->sd_writable = NULL;
    } else if (!sup->sd_writable) {
        sup->sd_writable = loop_io_new(sup->loop, sdnotify_fd(sup->sd), LOOP_WRITE, on_writable, sup);
    }
}

static void on_writable(void *ctx)
{
    notify_flush(ctx);
}

static void on_watchdog(void *ctx)
{
    struct supervisor *sup = ctx;

    sdnotify_send(sup->sd, "WATCHDOG=1");
    notify_flush(sup);
    loop_timer_set(sup->watchdog_timer, sdnotify_watchdog_usec(sup->sd) / 2);
}

static void status_line(const struct supervisor *sup, char *buf, size_t size)
{
    unsigned services = services_count(sup);

    snprintf(buf, size, "%zu of %u service%s running%s", sup->n_running, services, services == 1 ? "" : "s",
             sup->config_fallback ? "; the configuration has errors: the last good one is in force" : "");
}

static void on_status(void *ctx)
{
    struct supervisor *sup = ctx;
    char line[160];

    sup->status_due = false;
    status_line(sup, line, sizeof line);
    sdnotify_send(sup->sd, "STATUS=%s", line);
    notify_flush(sup);
}

void notify_status(struct supervisor *sup)
{
    if (!sup->sd || sup->status_due)
        return;
    if (!sup->status_timer)
        sup->status_timer = loop_timer_new(sup->loop, on_status, sup);
    sup->status_due = true;
    loop_timer_set(sup->status_timer, STATUS_INTERVAL);
}

void notify_init(struct supervisor *sup)
{
    if (sdnotify_watchdog_usec(sup->sd) == 0)
        return;
    sup->watchdog_timer = loop_timer_new(sup->loop, on_watchdog, sup);
    on_watchdog(sup);
}

void notify_ready(struct supervisor *sup)
{
    char line[160];

    if (!sup->sd)
        return;
    status_line(sup, line, sizeof line);
    sdnotify_send(sup->sd, "READY=1\nSTATUS=%s", line);
    notify_flush(sup);
}

void notify_reloading(struct supervisor *sup)
{
    if (!sup->sd)
        return;
    /* Type=notify-reload wants the time, sd_notify(3). */
    sdnotify_send(sup->sd, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now().mono);
    notify_flush(sup);
}

void notify_stopping(struct supervisor *sup)
{
    if (!sup->sd)
        return;
    sdnotify_send(sup->sd, "STOPPING=1\nSTATUS=Stopping every service");
    notify_flush(sup);
}

void notify_clear(struct supervisor *sup)
{
    loop_timer_free(sup->watchdog_timer);
    loop_timer_free(sup->status_timer);
    loop_timer_free(sup->extend_timer);
    loop_io_free(sup->sd_writable);
    sdnotify_close(sup->sd);
    sup->sd = NULL;
    sup->sd_writable = NULL;
}
