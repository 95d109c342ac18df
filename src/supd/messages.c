/* SPDX-License-Identifier: MIT */
#include "supd/messages.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/notify_msg.h"
#include "core/proto.h"
#include "os/clock.h"
#include "os/notifysock.h"
#include "supd/cgroups.h"
#include "supd/handover.h"
#include "supd/kept.h"
#include "supd/main_search.h"
#include "supd/process.h"
#include "supd/readiness.h"

/* How the socket is called among those of the service. */
#define SOCKET_NAME "notify"

/* So many are read at a time; where there are more, the rest waits a while, and so does who sends them. */
#define BATCH 16
#define PAUSE (20 * USEC_PER_MSEC)
/* Where all has to be read at once it is at most what a queue may hold (net.unix.max_dgram_qlen), and more comes meanwhile. */
#define BATCHES_MAX 64

struct messages {
    struct service *service;
    char *path;
    int fd;         /* -1: not open */
    bool stored;    /* in the fd store */
    bool withdrawn; /* from there, for a while */
    bool lost;      /* what was said to the one before is not known */
    struct loop_io *io;
    struct loop_timer *pause;
    struct loop_timer *watchdog;
    int64_t watchdog_at; /* what it is set to, mono us, or earlier than is wanted by now; 0: not */
    char *status;        /* NULL: none */
    uint64_t life;       /* that .status and .said are of */
    bool said;           /* that a message is not believed */
    bool said_main_pid;
    bool reading; /* a message is being obeyed */
};

static void on_readable(void *ctx);

static bool are_wanted(const struct service *service)
{
    return spec_notify_access(service->spec) != NOTIFY_NONE;
}

/* ---- what is told ---- */

static void tell(struct service *service, struct svc_event event)
{
    event.life = service->svc->life;
    service_event(service, &event);
}

static void take_status(struct messages *m, const struct notify_msg *msg)
{
    free(m->status);
    m->status = msg->status[0] ? xstrdup(msg->status) : NULL;
}

/* What is not followed is said once a life. */
static void follow_main(struct messages *m, int32_t pid)
{
    char why[192];

    if (main_search_move(m->service, pid, why, sizeof why) || m->said_main_pid)
        return;
    m->said_main_pid = true;
    log_warning("%s: MAINPID=%d is not followed: %s", m->service->spec->name, pid, why);
}

/* Descriptors that are kept are not the message's any more. */
static void take_descriptors(struct service *service, const struct notify_msg *msg, struct notifysock_message *message)
{
    if (msg->unstore && msg->fd_name[0])
        kept_remove(service, msg->fd_name);
    if (!msg->store)
        return;
    kept_add(service, msg, message->along.fds, message->along.n_fds);
    message->along.n_fds = 0;
}

static void obey(struct messages *m, const struct notify_msg *msg, struct notifysock_message *message)
{
    struct service *service = m->service;

    take_descriptors(service, msg, message);
    if (msg->has_status)
        take_status(m, msg);
    if (msg->has_watchdog)
        tell(service, (struct svc_event){.type = SVC_EV_WATCHDOG_USEC, .usec = msg->watchdog});
    if (msg->alive)
        tell(service, (struct svc_event){.type = SVC_EV_ALIVE});
    if (msg->extend > 0)
        tell(service, (struct svc_event){.type = SVC_EV_EXTEND, .usec = msg->extend});
    if (msg->reloading)
        tell(service,
             (struct svc_event){.type = SVC_EV_RELOADING, .usec = msg->since > 0 ? clock_machine_mono(msg->since) : 0});
    if (msg->ready)
        tell(service, (struct svc_event){.type = SVC_EV_READY});
    if (msg->stopping)
        tell(service, (struct svc_event){.type = SVC_EV_STOPPING});
    if (msg->trigger)
        tell(service, (struct svc_event){.type = SVC_EV_WATCHDOG, .text = "triggered by the service itself"});
    /* Last, for then who has sent it may have no more say. */
    if (msg->main_pid != 0 && msg->main_pid != service->svc->proc.pid)
        follow_main(m, msg->main_pid);
}

/* ---- who tells it ---- */

static bool is_member(const struct service *service, pid_t pid, pid_t leader)
{
    const struct notifysock_owner owner = {
        .leader = leader, .service = service->spec->name, .instance = service->sup->lock.instance};

    return notifysock_is_member(pid, &owner) || cgroups_has_process(service, pid);
}

/* As notify-access says, by number: a process that has ended is believed as long as that is known. */
static bool may_tell(const struct service *service, pid_t pid)
{
    const struct svc *svc = service->svc;
    enum notify_access access = spec_notify_access(service->spec);

    if (svc_has_process(svc) && pid == svc->proc.pid)
        return true;
    if (access == NOTIFY_MAIN)
        return false;
    if (svc_has_control(svc) && pid == svc_rare(svc)->control.pid)
        return true;
    return access == NOTIFY_ALL &&
           is_member(service, pid, svc_has_process(svc) ? svc->proc.pid : svc_rare(svc)->control.pid);
}

/* Once a life, or a stranger could fill the log. */
static void refuse(struct messages *m, const struct notifysock_message *message, const char *why)
{
    if (m->said)
        return;
    m->said = true;
    log_warning("%s: a message of process %d (uid %u) to its NOTIFY_SOCKET is passed over: %s", m->service->spec->name,
                (int)message->along.pid, (unsigned)message->along.uid, why);
}

static void judge(struct messages *m, struct notifysock_message *message)
{
    struct notify_msg msg;

    if (!svc_is_busy(m->service->svc))
        return; /* left over from before, or from nobody that we know */
    if (!message->whole || !notify_msg_parse(message->text, message->len, &msg))
        refuse(m, message, "it is too long, or no text");
    else if (!may_tell(m->service, message->along.pid))
        refuse(m, message, "notify-access does not allow that process to send any");
    else
        obey(m, &msg, message);
}

/* At most a batch; false: there is no more. */
static bool read_batch(struct messages *m)
{
    struct notifysock_message message = {0};

    for (int i = 0; i < BATCH; i++) {
        if (m->fd < 0 || !notifysock_look(m->fd, &message))
            return false;
        m->reading = true;
        judge(m, &message);
        m->reading = false;
        ancillary_close(&message.along);
        /* Only now: what follows from it is recorded.  Who waits for that, BARRIER=1, knows that we have read all before. */
        if (m->fd >= 0)
            notifysock_done(m->fd);
    }
    return m->fd >= 0;
}

static void watch(struct messages *m)
{
    if (m->fd >= 0 && !m->io)
        m->io = loop_io_new(m->service->sup->loop, m->fd, LOOP_READ, on_readable, m);
}

static void unwatch(struct messages *m)
{
    loop_io_free(m->io);
    m->io = NULL;
    loop_timer_free(m->pause);
    m->pause = NULL;
}

static void on_pause_over(void *ctx)
{
    struct messages *m = ctx;

    loop_timer_free(m->pause);
    m->pause = NULL;
    watch(m);
}

static void on_readable(void *ctx)
{
    struct messages *m = ctx;

    if (!read_batch(m))
        return;
    unwatch(m);
    m->pause = loop_timer_new(m->service->sup->loop, on_pause_over, m);
    loop_timer_set(m->pause, PAUSE);
}

void messages_read(struct service *service)
{
    if (service->parts->messages && service->parts->messages->reading)
        return; /* what follows from the message may want to know of all before it, and that was read */
    for (int i = 0; i < BATCHES_MAX && service->parts->messages && read_batch(service->parts->messages); i++)
        continue;
}

/* ---- the watchdog ---- */

static void on_watchdog(void *ctx)
{
    struct messages *m = ctx;
    struct service *service = m->service;

    m->watchdog_at = 0;
    /* We may have been late, and what came in time stands in the queue; one that is paused says nothing. */
    messages_read(service);
    if (cgroups_paused(service))
        tell(service, (struct svc_event){.type = SVC_EV_ALIVE});
    tell(service, (struct svc_event){.type = SVC_EV_WATCHDOG});
}

/* A sign of life only moves the time: the timer finds that when it comes. */
static void arm_watchdog(struct messages *m)
{
    int64_t at = svc_rare(m->service->svc)->watchdog_at;

    if (at == 0) {
        if (m->watchdog)
            loop_timer_clear(m->watchdog);
        m->watchdog_at = 0;
        return;
    }
    if (m->watchdog_at != 0 && m->watchdog_at <= at)
        return;
    if (!m->watchdog)
        m->watchdog = loop_timer_new(m->service->sup->loop, on_watchdog, m);
    m->watchdog_at = at;
    loop_timer_set(m->watchdog, at - clock_now().mono);
}

/* ---- the socket ---- */

static struct messages *get(struct service *service)
{
    if (!service->parts->messages) {
        service_parts(service)->messages = xcalloc(1, sizeof *service->parts->messages);
        service->parts->messages->service = service;
        service->parts->messages->fd = -1;
    }
    return service->parts->messages;
}

static bool find_path(struct messages *m, char *err, size_t err_size)
{
    if (!m->path)
        m->path = notifysock_path(m->service->sup->runtime_dir, m->service->spec->name, err, err_size);
    return m->path != NULL;
}

static void store_it(struct messages *m)
{
    if (!m->stored)
        m->stored = store_add_socket(m->service, SOCKET_NAME, m->fd);
}

static void opened(struct messages *m, int fd)
{
    m->fd = fd;
    store_it(m);
}

static void close_it(struct messages *m)
{
    if (m->fd < 0)
        return;
    unwatch(m);
    if (m->stored)
        store_remove_socket(m->service, SOCKET_NAME);
    m->stored = false;
    m->withdrawn = false;
    unlink(m->path);
    close(m->fd);
    m->fd = -1;
}

static bool open_it(struct messages *m, char *err, size_t err_size)
{
    if (m->fd >= 0 && notifysock_is(m->fd, m->path))
        return true;
    close_it(m); /* its path was removed */
    int fd = find_path(m, err, err_size) ? notifysock_open(m->path, err, err_size) : -1;
    if (fd < 0)
        return false;
    opened(m, fd);
    return true;
}

bool messages_prepare(struct service *service, enum svc_role role, char *err, size_t err_size)
{
    if (!are_wanted(service))
        return true;
    struct messages *m = get(service);
    if (!open_it(m, err, err_size))
        return false;
    /* What stands there is of an earlier life. */
    if (role == ROLE_SERVICE)
        notifysock_discard(m->fd);
    watch(m);
    return true;
}

char *messages_variable(const struct service *service, enum svc_role role)
{
    enum notify_access access = spec_notify_access(service->spec);
    bool is_main = role == ROLE_SERVICE || role == ROLE_START;

    if (!service->parts->messages || service->parts->messages->fd < 0 ||
        (!is_main && access != NOTIFY_EXEC && access != NOTIFY_ALL))
        return NULL;
    return xasprintf("NOTIFY_SOCKET=%s", service->parts->messages->path);
}

static void begin_life(struct messages *m)
{
    m->life = m->service->svc->life;
    m->said = false;
    m->said_main_pid = false;
    free(m->status);
    m->status = NULL;
}

/* What was heard and could not be recorded is lost with us, and one that finds no socket in the store knows that. */
static void follow_record(struct messages *m)
{
    if (m->service->unrecorded && m->stored) {
        store_remove_socket(m->service, SOCKET_NAME);
        m->stored = false;
        m->withdrawn = true;
    } else if (!m->service->unrecorded && m->withdrawn && m->fd >= 0) {
        store_it(m);
        m->withdrawn = false;
    }
}

void messages_follow(struct service *service)
{
    struct messages *m = service->parts->messages;
    const struct svc *svc = service->svc;

    if (!m)
        return;
    if (svc->life != m->life)
        begin_life(m);
    arm_watchdog(m);
    if (!svc_is_busy(svc) && (!are_wanted(service) || !svc_wants_sockets(svc)))
        close_it(m);
    follow_record(m);
}

/* ---- over our death ---- */

static int take_kept(struct messages *m)
{
    const struct supervisor *sup = m->service->sup;
    int fd = store_recover_socket(m->service, SOCKET_NAME, &m->stored);

    if (sup->handover)
        m->status = xstrdup(handover_status(sup->handover, m->service->spec->name));
    if (fd < 0 || notifysock_is(fd, m->path))
        return fd;
    store_reject_socket(m->service, SOCKET_NAME, fd, &m->stored);
    return -1;
}

void messages_recover(struct service *service)
{
    char err[256];

    if (!are_wanted(service) || !svc_is_busy(service->svc))
        return;
    struct messages *m = get(service);
    m->life = service->svc->life;
    if (!find_path(m, err, sizeof err)) {
        log_error("%s: %s", service->spec->name, err);
        return;
    }
    int fd = take_kept(m);
    m->lost = fd < 0;
    if (fd < 0)
        fd = notifysock_open(m->path, err, sizeof err);
    if (fd < 0)
        log_error("%s: %s; what it says is not heard", service->spec->name, err);
    else if (m->lost)
        m->fd = fd; /* stored once it is recorded what was lost, or a supd that comes before would not know */
    else
        opened(m, fd);
}

static void tell_unheard(const struct messages *m)
{
    struct service *service = m->service;
    bool awaited = svc_awaits_ready(service->svc);

    if (awaited && service->spec->life->ready.kind != READY_NOTIFY)
        return;
    if (awaited)
        log_warning("%s: it may have said READY=1 while supd was dead: if it does not say so again it is taken for "
                    "ready after its start-timeout",
                    service->spec->name);
    else if (svc_rare(service->svc)->watchdog_at != 0)
        log_info("%s: its watchdog begins with its next sign of life", service->spec->name);
    tell(service, (struct svc_event){.type = SVC_EV_UNHEARD});
}

void messages_resume(struct service *service)
{
    struct messages *m = service->parts->messages;

    if (!m)
        return;
    watch(m);
    if (!m->lost)
        return;
    m->lost = false;
    tell_unheard(m);
    if (m->fd < 0)
        return;
    if (service->unrecorded)
        m->withdrawn = true;
    else
        store_it(m);
}

static bool is_in_use(const struct supervisor *sup, const char *path)
{
    for (const struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (s->parts->messages && s->parts->messages->fd >= 0 && strcmp(s->parts->messages->path, path) == 0)
            return true;
        if (readiness_uses(s, path))
            return true;
    }
    return false;
}

void messages_clean(struct supervisor *sup)
{
    char *name = xasprintf("%s/" NOTIFYSOCK_DIR, sup->runtime_dir);
    DIR *dir = opendir(name);

    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        char *path = xasprintf("%s/%s", name, entry->d_name);

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_in_use(sup, path))
            unlink(path);
        free(path);
    }
    if (dir)
        closedir(dir);
    free(name);
}

json_t *messages_save(const struct service *service)
{
    const struct messages *m = service->parts->messages;

    if (!m || m->fd < 0)
        return NULL;
    return json_pack("{s:s, s:i, s:b, s:o}", "listen", SOCKET_NAME, "fd", m->fd, "stored", (int)m->stored, "status",
                     proto_string(m->status));
}

const char *messages_status(const struct service *service)
{
    return service->parts->messages ? service->parts->messages->status : NULL;
}

void messages_free(struct service *service)
{
    struct messages *m = service->parts->messages;

    if (!m)
        return;
    unwatch(m);
    loop_timer_free(m->watchdog);
    if (m->fd >= 0)
        close(m->fd);
    free(m->path);
    free(m->status);
    free(m);
    service_parts(service)->messages = NULL;
}
