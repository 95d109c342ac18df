/* SPDX-License-Identifier: MIT */
/*
 * suplog as a service of supd's own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "os/clock.h"
#include "os/logfifo.h"
#include "os/logline.h"
#include "supd/logs_inner.h"
#include "supd/process.h"

#define SUPLOG_NAME "supd:log"

/* It is started again at once, unless it dies again before it has run so long. */
#define STABLE USEC_PER_SEC
#define DELAY_FIRST (10 * USEC_PER_MSEC)
#define DELAY_MAX USEC_PER_SEC

/* Longer than it waits for a device that hangs. */
#define STOP_TIMEOUT (10 * USEC_PER_SEC)

/* It says so here once it has taken up what an earlier one has begun, and takes signals. */
#define READY_FD_NUMBER 3

/* What hangs on a dead disk does not end by SIGKILL either. */
#define KILL_PATIENCE (5 * USEC_PER_SEC)

/* When all else has ended: how long it may take to write what is there, and how often that is looked at. */
#define END_PATIENCE (10 * USEC_PER_SEC)
#define END_LOOK (20 * USEC_PER_MSEC)

struct service *logs_suplog(const struct supervisor *sup)
{
    return service_find((struct supervisor *)sup, SUPLOG_NAME);
}

bool logs_is_suplog(const struct service *service)
{
    return strcmp(service->spec->name, SUPLOG_NAME) == 0;
}

char *logs_suplog_path(const char *binary)
{
    const char *slash = strrchr(binary, '/');
    char *path = xasprintf("%.*s/suplog", (int)(slash - binary), binary);

    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return xstrdup(BINDIR "/suplog");
}

static struct spec *make_spec(const struct supervisor *sup)
{
    struct spec *spec = spec_new(SUPLOG_NAME);

    spec->command = strv_push(spec->command, logs_suplog_path(sup->binary));
    spec->command = strv_push(spec->command, xstrdup("--runtime-dir"));
    spec->command = strv_push(spec->command, xstrdup(sup->runtime_dir));
    if (sup->syslog)
        spec->command = strv_push(spec->command, xstrdup("--syslog"));
    spec->command = strv_push(spec->command, xasprintf("--ready-fd=%d", READY_FD_NUMBER));
    spec_own_life(spec)->ready = (struct spec_ready){.kind = READY_FD, .fd = READY_FD_NUMBER};
    spec_own_life(spec)->start_timeout = 0; /* it waits for the one before it */
    spec_own_life(spec)->restart_delay = DELAY_FIRST;
    spec_own_life(spec)->restart_delay_max = DELAY_MAX;
    spec_own_life(spec)->restart_reset = STABLE;
    spec_own_life(spec)->stop_timeout = STOP_TIMEOUT;
    return spec;
}

bool logs_add_suplog(struct supervisor *sup, const char *name)
{
    if (strcmp(name, SUPLOG_NAME) != 0)
        return false;
    service_add(sup, make_spec(sup));
    return true;
}

void logs_start_suplog(struct logs *logs)
{
    struct service *suplog = service_add(logs->sup, make_spec(logs->sup));

    if (access(suplog->spec->command[0], X_OK) < 0)
        log_error("%s: %s: no log is written; services whose FIFO is full will wait", suplog->spec->command[0],
                  strerror(errno));
    service_event(suplog, &(struct svc_event){.type = SVC_EV_BOOT});
}

void logs_follow_suplog(struct logs *logs)
{
    struct supervisor *sup = logs->sup;
    struct service *suplog = logs_suplog(sup);

    if (logs->ending)
        return;
    if (logs->n == 0 && suplog && !suplog->removing)
        service_remove(suplog, "no log needs it any more");
    if (logs->n == 0 || suplog) /* one that is on its way out is made anew when it is gone */
        return;
    logs_start_suplog(logs);
}

/* ---- the line ---- */

static void drop_line(struct logs *logs)
{
    if (logs->line >= 0)
        close(logs->line);
    logs->line = -1;
}

/* Without it suplog opens FIFOs when it comes to read the list. */
void logs_prepare_suplog(struct logs *logs, struct spawn_request *request)
{
    drop_line(logs);
    int end = logline_listen(logs->dir);
    if (end >= 0)
        logs->line = logline_connect(logs->dir);
    if (logs->line < 0) {
        log_warning("suplog cannot be handed FIFOs: %s; it opens them a moment later",
                    strerror(end < 0 ? -end : -logs->line));
        logs->line = -1;
    }
    request->stdin_fd = end >= 0 ? end : 0;
}

void logs_hand_over(struct logs *logs, const struct log_pipe *pipe)
{
    if (logs->line < 0)
        return;
    char *text = log_stream_encode(&pipe->conf);
    int rc = logline_send(logs->line, text, strlen(text), pipe->fd);

    free(text);
    if (rc < 0 && rc != -EAGAIN && rc != -ETOOMANYREFS)
        drop_line(logs);
}

void logs_tell_listed(struct logs *logs)
{
    if (logs->line >= 0 && logline_send(logs->line, LOG_LISTED, strlen(LOG_LISTED), -1) == -EPIPE)
        drop_line(logs);
}

void logs_reopen(struct supervisor *sup)
{
    struct service *suplog = logs_suplog(sup);

    if (suplog && svc_has_process(suplog->svc))
        process_send(&suplog->main, SIGUSR1);
}

/* ---- the end ---- */

size_t logs_busy(const struct supervisor *sup)
{
    const struct service *suplog = logs_suplog(sup);

    return suplog && suplog->busy;
}

static size_t bytes_left(const struct logs *logs)
{
    const struct log_pipe *pipe;
    size_t left = 0;

    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        left += logfifo_left(pipe->fd);
    }
    return left;
}

static void on_end_look(void *ctx)
{
    struct logs *logs = ctx;

    queue_wake(logs->sup);
}

static void look_again(struct logs *logs)
{
    if (!logs->end_look)
        logs->end_look = loop_timer_new(logs->sup->loop, on_end_look, logs);
    loop_timer_set(logs->end_look, END_LOOK);
}

/* For a while yet; then logs_ended() is asked again.  False: it has taken too long. */
static bool wait_on(struct logs *logs)
{
    int64_t now = clock_now().mono;

    if (logs->end_deadline == 0)
        logs->end_deadline = now + END_PATIENCE;
    if (now >= logs->end_deadline)
        return false;
    look_again(logs);
    return true;
}

/* It was not killed with something of which only its successor knows. */
static bool ended_well(const struct service *suplog)
{
    const struct exit_info *exit = &suplog->svc->exit;

    return exit->how == EXIT_HOW_EXITED && exit->code == 0;
}

/* What nobody could move on is lost with the FIFOs; with those that are empty nothing is. */
static void remove_fifos(struct logs *logs)
{
    struct log_pipe *pipe;

    TAILQ_FOREACH(pipe, &logs->pipes, link)
    {
        size_t left = logfifo_left(pipe->fd);

        if (left > 0)
            log_error("%s: the last %zu bytes of its output could not be written to its log", pipe->conf.service, left);
        unlink(pipe->path);
    }
    char *path = xasprintf("%s/" LOG_STREAMS_FILE, logs->dir);
    unlink(path);
    free(path);
    logs->dirty = false;
}

/* Is suplog all that has not ended, and does it not end by SIGKILL? */
static bool is_to_be_left(struct logs *logs, const struct service *suplog)
{
    if (!suplog || logs->leave_at == 0 || logs->sup->n_busy > suplog->busy)
        return false;
    if (clock_now().mono < logs->leave_at) {
        look_again(logs);
        return false;
    }
    log_error("suplog, pid %d, does not end, for a device hangs that it writes to; it is left behind",
              (int)suplog->svc->proc.pid);
    return true;
}

static void end_suplog(struct logs *logs, struct service *suplog)
{
    logs->ending = true;
    logs->leave_at = clock_now().mono + STOP_TIMEOUT + KILL_PATIENCE;
    service_event(suplog, &(struct svc_event){.type = SVC_EV_SHUTDOWN});
}

bool logs_ended(struct supervisor *sup)
{
    struct logs *logs = sup->logs;
    struct service *suplog = logs_suplog(sup);

    if (suplog && !logs->ending) {
        if ((suplog->svc->state != SVC_RUNNING || bytes_left(logs) > 0) && wait_on(logs))
            return false;
        end_suplog(logs, suplog);
    }
    if (sup->n_busy > 0 && !is_to_be_left(logs, suplog))
        return false;
    if (suplog && sup->n_busy == 0 && !ended_well(suplog) && wait_on(logs)) {
        logs->ending = false;
        service_event(suplog, &(struct svc_event){.type = SVC_EV_START});
        return false;
    }
    remove_fifos(logs);
    return true;
}
