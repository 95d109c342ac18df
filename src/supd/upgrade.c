/* SPDX-License-Identifier: MIT */
#include "supd/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signames.h"
#include "os/clock.h"
#include "supd/handover.h"
#include "supd/lists.h"
#include "supd/reload.h"
#include "supd/remember.h"
#include "supd/upgrade_helper.h"

#define CHECK_TIMEOUT (30 * USEC_PER_SEC) /* for the new binary to be tried */
#define QUIET_TIMEOUT (10 * USEC_PER_SEC) /* for children to get to their exec */
#define QUIET_INTERVAL (5 * USEC_PER_MSEC)
#define MAX_ARGS 10

enum phase {
    CHECKING, /* the helper runs */
    WAITING,  /* until nothing is half done */
    DUE,      /* the loop is being left */
};

struct upgrade {
    struct supervisor *sup;
    struct reply *reply; /* NULL: by signal, or the caller has hung up */
    enum phase phase;
    pid_t helper; /* 0: none; our child */
    int output_fd;
    struct loop_io *io;
    struct loop_timer *timer;
    int64_t give_up;
    char output[2048]; /* the beginning of what the helper has said */
    size_t len;
};

/* ---- the end of one that fails ---- */

void upgrade_free(struct upgrade *upgrade)
{
    if (!upgrade)
        return;
    if (upgrade->helper > 0)
        kill(upgrade->helper, SIGKILL); /* not reaped yet, so the number is its own */
    loop_io_free(upgrade->io);
    if (upgrade->output_fd >= 0)
        close(upgrade->output_fd);
    loop_timer_free(upgrade->timer);
    free(upgrade);
}

static void fail(struct upgrade *upgrade, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct upgrade *upgrade, const char *fmt, ...)
{
    struct supervisor *sup = upgrade->sup;
    struct reply *reply = upgrade->reply;
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    log_error("not upgraded, supd %s goes on: %s", PACKAGE_VERSION, text);
    sup->upgrade = NULL;
    upgrade_free(upgrade);
    if (reply)
        reply_error(reply, PROTO_E_REFUSED, NULL, "not upgraded: %s", text);
    free(text);
    if (sup->phase == PHASE_RUN)
        notify_ready(sup);
    queue_wake(sup);
}

/* ---- trying the new binary ---- */

static void read_output(struct upgrade *upgrade)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(upgrade->output_fd, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
        size_t room = sizeof upgrade->output - 1 - upgrade->len;
        size_t take = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;

        memcpy(upgrade->output + upgrade->len, buf, take);
        upgrade->len += take;
    }
    upgrade->output[upgrade->len] = '\0';
    if (n == 0) {
        loop_io_free(upgrade->io);
        upgrade->io = NULL;
    }
}

static void on_output(void *ctx)
{
    read_output(ctx);
}

/* On one line, for a message. */
static const char *said(struct upgrade *upgrade)
{
    while (upgrade->len > 0 && upgrade->output[upgrade->len - 1] == '\n')
        upgrade->output[--upgrade->len] = '\0';
    for (char *p = upgrade->output; *p; p++) {
        if ((unsigned char)*p < ' ')
            *p = *p == '\n' ? ';' : ' ';
    }
    return upgrade->len > 0 ? upgrade->output : "it says nothing";
}

static bool is_quiet(struct supervisor *sup)
{
    /* What waits for systemd to read would be lost. */
    return sup->pre_exec == 0 && !reload_busy(sup) && !remember_busy(sup) && sdnotify_flush(sup->sd);
}

static void on_timer(void *ctx)
{
    struct upgrade *upgrade = ctx;
    struct supervisor *sup = upgrade->sup;

    if (upgrade->phase == CHECKING) {
        fail(upgrade, "%s --check does not end within 30s", sup->binary);
    } else if (is_quiet(sup)) {
        upgrade->phase = DUE;
        loop_stop(sup->loop);
    } else if (clock_now().mono > upgrade->give_up) {
        fail(upgrade, "a service hangs before its exec, the configuration is being read, or systemd does not read");
    } else {
        loop_timer_set(upgrade->timer, QUIET_INTERVAL);
    }
}

static void begin_waiting(struct upgrade *upgrade)
{
    upgrade->phase = WAITING;
    upgrade->give_up = clock_now().mono + QUIET_TIMEOUT;
    loop_timer_set(upgrade->timer, 0);
}

void upgrade_child_ended(struct supervisor *sup, pid_t pid, int wait_status)
{
    struct upgrade *upgrade = sup->upgrade;
    char name[16];
    char promise[64];

    if (!upgrade || upgrade->helper != pid)
        return;
    upgrade->helper = 0;
    read_output(upgrade);
    handover_promise(promise, sizeof promise, getpid());
    if (WIFSIGNALED(wait_status))
        fail(upgrade, "%s --check was killed by SIG%s; %s", sup->binary, signal_to_name(WTERMSIG(wait_status), name),
             said(upgrade));
    else if (WEXITSTATUS(wait_status) == 127)
        fail(upgrade, "%s cannot be run: %s", sup->binary, said(upgrade));
    else if (WEXITSTATUS(wait_status) != 0)
        fail(upgrade, "%s refuses: %s", sup->binary, said(upgrade));
    else if (!strstr(upgrade->output, promise))
        fail(upgrade, "%s does not answer as supd would: %s", sup->binary, said(upgrade));
    else
        begin_waiting(upgrade);
}

/* Ends with NULL; borrows all but FD_TEXT. */
static void make_argv(const struct supervisor *sup, char *argv[MAX_ARGS], bool check, const char *fd_text)
{
    size_t n = 0;

    argv[n++] = sup->binary;
    argv[n++] = (char *)"-c";
    argv[n++] = sup->config_path;
    argv[n++] = (char *)"-r";
    argv[n++] = sup->runtime_dir;
    if (sup->verbose)
        argv[n++] = (char *)"-v";
    if (check)
        argv[n++] = (char *)"--check";
    argv[n++] = (char *)"--resume";
    argv[n++] = (char *)fd_text;
    argv[n] = NULL;
}

static void start_check(struct upgrade *upgrade)
{
    struct supervisor *sup = upgrade->sup;
    char *argv[MAX_ARGS];
    int handover = handover_write(sup);

    if (handover < 0) {
        fail(upgrade, "what is to be handed over cannot be written: %s", strerror(-handover));
        return;
    }
    make_argv(sup, argv, true, "3");
    pid_t pid = upgrade_helper_start(argv, handover, &upgrade->output_fd);
    close(handover);
    if (pid < 0) {
        fail(upgrade, "no process to try %s can be made: %s", sup->binary, strerror(-pid));
        return;
    }
    upgrade->helper = pid;
    upgrade->io = loop_io_new(sup->loop, upgrade->output_fd, LOOP_READ, on_output, upgrade);
    loop_timer_set(upgrade->timer, CHECK_TIMEOUT);
}

/* ---- asking ---- */

static void on_caller_gone(void *ctx)
{
    struct upgrade *upgrade = ctx;

    upgrade->reply = NULL;
}

static json_t *save(void *ctx)
{
    (void)ctx;
    return json_pack("{s:s}", "kind", "upgrade");
}

void upgrade_request(struct supervisor *sup, struct reply *reply)
{
    const char *refused = NULL;

    if (sup->phase != PHASE_RUN)
        refused = "supd is shutting down";
    else if (sup->upgrade)
        refused = "an upgrade is under way already";
    if (refused) {
        if (reply)
            reply_error(reply, PROTO_E_REFUSED, NULL, "%s", refused);
        else
            log_warning("not upgraded: %s", refused);
        return;
    }
    struct upgrade *upgrade = xcalloc(1, sizeof *upgrade);
    upgrade->sup = sup;
    upgrade->reply = reply;
    upgrade->output_fd = -1;
    upgrade->timer = loop_timer_new(sup->loop, on_timer, upgrade);
    sup->upgrade = upgrade;
    if (reply) {
        reply_on_gone(reply, on_caller_gone, upgrade);
        reply_on_handover(reply, save);
    }
    log_info("upgrading: trying %s", sup->binary);
    notify_reloading(sup);
    start_check(upgrade);
}

json_t *upgrade_result(const struct supervisor *sup)
{
    return json_pack("{s:s, s:s, s:i}", "previous", sup->handover ? sup->handover->version : PACKAGE_VERSION, "version",
                     PACKAGE_VERSION, "pid", (int)getpid());
}

bool upgrade_holds_starts(const struct supervisor *sup)
{
    return sup->upgrade && sup->upgrade->phase != CHECKING;
}

/* ---- doing it ---- */

/* Returns only where it failed, with errno. */
static void execute(struct supervisor *sup, int fd)
{
    char *argv[MAX_ARGS];
    char fd_text[16];
    char err[256];
    struct handover *handover = handover_read(fd, err, sizeof err);

    if (!handover) {
        errno = EINVAL;
        return;
    }
    snprintf(fd_text, sizeof fd_text, "%d", fd);
    make_argv(sup, argv, false, fd_text);
    handover_keep_open(handover, true);
    fcntl(fd, F_SETFD, 0);
    execv(sup->binary, argv);
    int error = errno;
    handover_keep_open(handover, false);
    handover_free(handover);
    errno = error;
}

static void hand_over(struct upgrade *upgrade)
{
    struct supervisor *sup = upgrade->sup;
    int rc = persist_again(sup);

    lists_finish(sup);
    if (rc < 0) {
        fail(upgrade, "%s/state cannot be written anew: %s", sup->runtime_dir, strerror(-rc));
        return;
    }
    int fd = handover_write(sup);
    if (fd < 0) {
        fail(upgrade, "what is to be handed over cannot be written: %s", strerror(-fd));
        return;
    }
    execute(sup, fd);
    int error = errno;
    close(fd);
    fail(upgrade, "%s cannot be run: %s", sup->binary, strerror(error));
}

bool upgrade_attempt(struct supervisor *sup)
{
    struct upgrade *upgrade = sup->upgrade;
    sigset_t all;
    sigset_t before;

    if (!upgrade || upgrade->phase != DUE || sup->phase == PHASE_LEAVING)
        return false;
    /* A signal that has come is dealt with here; one that comes from now on finds the next binary. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    loop_drain(sup->loop);
    if (sup->phase != PHASE_RUN)
        fail(upgrade, "supd is shutting down");
    else if (!is_quiet(sup))
        begin_waiting(upgrade);
    else
        hand_over(upgrade);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return sup->phase != PHASE_LEAVING;
}
