/* SPDX-License-Identifier: MIT */
#include "supd/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slab.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/rundir.h"
#include "os/selfpath.h"
#include "supd/cgroups.h"
#include "supd/check.h"
#include "supd/daemon.h"
#include "supd/essential.h"
#include "supd/handover.h"
#include "supd/logs.h"
#include "supd/remember.h"
#include "supd/scale.h"
#include "supd/server.h"
#include "supd/supervisor.h"
#include "supd/upgrade.h"

#define CONFIG_GOOD_MAX ((size_t)256 * 1024 * 1024)

static void log_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        const struct config_error *e = &errors->items[i];

        if (e->line > 0)
            log_error("%s:%u: %s", e->file, e->line, e->message);
        else
            log_error("%s: %s", e->file, e->message);
    }
}

/* As many descriptors as we may have; services get back what we had. */
static rlim_t raise_nofile(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return RLIM_INFINITY;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

static char *absolute_path(const char *path)
{
    char *cwd;

    if (path[0] == '/')
        return xstrdup(path);
    cwd = getcwd(NULL, 0);
    char *absolute = xasprintf("%s/%s", cwd ? cwd : "", path);
    free(cwd);
    return absolute;
}

static bool choose_runtime_dir(struct supervisor *sup, const struct startup_options *options)
{
    char err[512];

    if (options->runtime_dir)
        sup->runtime_dir = absolute_path(options->runtime_dir);
    else if (sup->config->settings.runtime_dir)
        sup->runtime_dir = xstrdup(sup->config->settings.runtime_dir);
    else
        sup->runtime_dir = rundir_default(err, sizeof err);
    if (sup->runtime_dir && rundir_prepare(sup->runtime_dir, err, sizeof err))
        return true;
    log_error("%s", err);
    return false;
}

static void ask_for_time(void *ctx)
{
    struct supervisor *sup = ctx;

    sdnotify_send(sup->sd, "EXTEND_TIMEOUT_USEC=%lld", (long long)(10 * USEC_PER_SEC));
}

/* The lock, or false: with *OWNED set where another supd lives. */
static bool take_lock(struct supervisor *sup, pid_t *owner, bool *owned)
{
    char err[512];

    *owned = false;
    switch (lock_take(sup->runtime_dir, &sup->lock, owner, ask_for_time, sup, err, sizeof err)) {
    case LOCK_TAKEN:
        return true;
    case LOCK_OWNED:
        *owned = true;
        return false;
    case LOCK_ERROR:
        log_error("%s", err);
        return false;
    }
    return false;
}

static bool inherit_lock(struct supervisor *sup)
{
    char err[256];
    bool ok = lock_inherit(&sup->lock, sup->handover->lock_fd, err, sizeof err);

    if (!ok)
        log_error("%s", err);
    return ok;
}

/* RUNTIME/config.good in place of a configuration with errors. */
static bool fall_back(struct supervisor *sup)
{
    char *path = xasprintf("%s/config.good", sup->runtime_dir);
    struct config_errors errors = {0};
    struct config *config = NULL;
    char *text;
    size_t len;
    int rc = rundir_read_file(path, CONFIG_GOOD_MAX, &text, &len);

    if (rc < 0) {
        log_error("services are running, but the configuration has errors and there is no last good one: %s: %s", path,
                  strerror(-rc));
        free(path);
        return false;
    }
    config = config_load_dump(path, text, len, &errors);
    free(text);
    bool ok = errors.n == 0;
    if (ok) {
        log_error(
            "services are running: going on with the last good configuration, %s; repair %s, then `supctl reread`",
            path, sup->config_path);
        config_free(sup->config);
        sup->config = config;
        sup->config_fallback = true;
    } else {
        log_errors(&errors);
        config_free(config);
    }
    config_errors_clear(&errors);
    free(path);
    return ok;
}

static void keep_good_config(const struct supervisor *sup)
{
    char *dump = config_dump(sup->config);
    int rc = rundir_write_file(sup->runtime_dir, "config.good", dump, strlen(dump));

    if (rc < 0)
        log_warning("cannot keep the configuration in %s/config.good: %s", sup->runtime_dir, strerror(-rc));
    free(dump);
}

/* The specs move from the configuration into the services. */
static void add_services(struct supervisor *sup)
{
    struct spec_list *list = &sup->config->services;

    for (size_t i = 0; i < list->n; i++)
        service_add(sup, list->items[i]);
    free(list->items);
    *list = (struct spec_list){0};
}

static bool open_loop(struct supervisor *sup, bool services_live)
{
    char err[256];

    sup->loop = loop_new();
    if (!sup->loop) {
        log_error("no event loop can be had: %s", strerror(errno));
        return false;
    }
    if (!process_watch_ends(sup, services_live, err, sizeof err)) {
        log_error("%s", err);
        return false;
    }
    shutdown_install_signals(sup);
    return true;
}

static bool open_server(struct supervisor *sup)
{
    char err[512];

    if (sup->handover) {
        sup->socket_path = xstrdup(sup->handover->socket_path);
        sup->server = server_inherit(sup, sup->handover->listen_fd);
        return true;
    }
    sup->socket_path = sup->config->settings.socket ? xstrdup(sup->config->settings.socket)
                                                    : xasprintf("%s/control.sock", sup->runtime_dir);
    sup->server = server_new(sup, err, sizeof err);
    if (!sup->server)
        log_error("%s", err);
    return sup->server != NULL;
}

/* What we were started with must not keep SIGTERM or SIGCHLD from us. */
static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What has come over from the binary before is in place but for its callers. */
static void take_over(struct supervisor *sup)
{
    /* Until now a signal would have found no handler. */
    unblock_signals();
    server_open_to_groups(sup);
    server_restore(sup->server, sup->handover->sessions);
    handover_drop_sockets(sup->handover, sup);
    log_info("upgraded from supd %s", sup->handover->version);
    handover_free(sup->handover);
    sup->handover = NULL;
}

/* All that there is, taken back or made anew, as SURVEY tells. */
static bool set_up(struct supervisor *sup, const struct startup_options *options, struct survey *survey)
{
    char err[512];

    slab_hide();
    heap_hide();
    if (!open_loop(sup, survey_any_alive(survey)))
        return false;
    remember_open(sup);
    logs_open(sup);
    notify_init(sup);
    if (!options->stop_leftovers && !open_server(sup))
        return false;
    cgroups_open(sup, !options->stop_leftovers);
    /* For the file that is written anew, should we die too. */
    sup->shutdown_recorded = survey_shutdown_pending(survey);
    if (!options->stop_leftovers)
        essential_resume(sup, survey_essential(survey));
    add_services(sup);
    if (!reattach(sup, survey, err, sizeof err)) {
        log_error("%s", err);
        return false;
    }
    return true;
}

/* Everything between the lock and the loop.  Takes SURVEY over.  DAEMON_FD: see daemon_ready(), or -1. */
static int serve(struct supervisor *sup, const struct startup_options *options, struct survey *survey, int daemon_fd)
{
    bool is_set_up = set_up(sup, options, survey);
    bool finish_shutdown = sup->shutdown_recorded || options->finish_shutdown;

    survey_free(survey);
    if (!is_set_up)
        return EXIT_FAILURE;
    sigchld_sweep(sup->sigchld);
    if (sup->handover)
        take_over(sup);

    log_info("supd %s, pid %d: %u service%s, runtime directory %s", PACKAGE_VERSION, getpid(), services_count(sup),
             services_count(sup) == 1 ? "" : "s", sup->runtime_dir);
    notify_ready(sup);
    if (daemon_fd >= 0) {
        sup->syslog = true;
        daemon_ready(daemon_fd);
    }
    if (finish_shutdown)
        log_info("finishing the shutdown that was asked for before supd died");
    if (finish_shutdown || options->stop_leftovers)
        shutdown_begin(sup);
    /* What the configuration was made from, and what was replayed. */
    mem_trim();
    int rc;
    do {
        rc = loop_run(sup->loop);
    } while (rc == 0 && upgrade_attempt(sup));
    return rc == 0 ? essential_status(sup) : EXIT_FAILURE;
}

/* With the lock held: what is there, and with which configuration we go on. */
static int run_locked(struct supervisor *sup, const struct startup_options *options, struct config_errors *errors,
                      int daemon_fd)
{
    const char *what = NULL;
    char err[512];
    int rc = identity_epoch(&sup->epoch, &what);

    if (rc < 0) {
        log_error("cannot read %s: %s (is /proc mounted?)", what, strerror(-rc));
        return EXIT_FAILURE;
    }
    struct survey *survey = survey_new(sup, err, sizeof err);
    if (!survey) {
        log_error("%s", err);
        return EXIT_FAILURE;
    }

    if (errors->n > 0 || !scale_resume(sup, survey_replay(survey))) {
        if (!survey_any_alive(survey)) {
            log_error("nothing is started, because the configuration has errors");
            goto out;
        }
        if (!fall_back(sup))
            goto out;
        scale_resume(sup, survey_replay(survey));
    } else if (!options->stop_leftovers) {
        keep_good_config(sup);
    }
    return serve(sup, options, survey, daemon_fd);
out:
    survey_free(survey);
    return EXIT_FAILURE;
}

static int run(struct supervisor *sup, const struct startup_options *options, struct config_errors *errors, rlim_t hard)
{
    int daemon_fd = -1;
    pid_t owner = 0;
    bool owned;

    log_errors(errors);
    if (errors->n == 0 && !check_descriptors(sup->config, hard))
        return EXIT_FAILURE;
    if (!choose_runtime_dir(sup, options))
        return EXIT_FAILURE;
    if (options->daemon) {
        daemon_fd = daemon_begin();
        if (daemon_fd < 0) {
            log_error("cannot become a daemon: %s", strerror(-daemon_fd));
            return EXIT_FAILURE;
        }
    }
    sup->sd = sdnotify_open();
    if (sup->handover) {
        if (!inherit_lock(sup))
            return EXIT_FAILURE;
    } else if (!take_lock(sup, &owner, &owned)) {
        if (owned && options->stop_leftovers)
            return EXIT_SUCCESS;
        if (owned)
            log_error("supd is already running for %s, pid %d", sup->runtime_dir, owner);
        return EXIT_FAILURE;
    }
    /* What a service leaves behind comes to us when it is orphaned, and is reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return run_locked(sup, options, errors, daemon_fd);
}

void startup_open_std_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* The binary before has executed us: back to what only it knows. */
static bool resume(struct supervisor *sup, int fd)
{
    char err[512];

    sup->handover = handover_read(fd, err, sizeof err);
    close(fd);
    if (!sup->handover) {
        log_error("%s", err);
        return false;
    }
    handover_keep_open(sup->handover, false);
    sup->binary = xstrdup(sup->handover->binary);
    sup->started = sup->handover->started;
    sup->baseline.nofile = sup->handover->nofile;
    sup->syslog = sup->handover->syslog;
    if (sup->syslog)
        log_open(LOG_TARGET_SYSLOG, "supd");
    return true;
}

int startup_run(const struct startup_options *options)
{
    struct supervisor sup;
    struct config_errors errors = {0};

    startup_open_std_fds();
    if (options->resume_fd < 0 || options->check)
        unblock_signals();
    int rc = clock_init();
    if (rc < 0) {
        log_error("cannot read /proc/self/timens_offsets: %s", strerror(-rc));
        return EXIT_FAILURE;
    }
    supervisor_init(&sup);
    if (options->resume_fd < 0) /* else the variables are still those of the binary before */
        fdstore_open(&sup.fdstore);
    if (options->daemon) /* a pipe or a lock of the starter's, say: it would wait for our end, daemon(7) */
        closefrom(fdstore_end(&sup.fdstore));
    spawn_baseline_take(&sup.baseline);
    rlim_t hard = raise_nofile();
    log_open(LOG_TARGET_STDERR, "supd");
    if (options->check) {
        int status = check_run(options, &sup.baseline, hard);

        supervisor_clear(&sup);
        return status;
    }
    if (options->resume_fd >= 0 && !resume(&sup, options->resume_fd)) {
        supervisor_clear(&sup);
        return EXIT_FAILURE;
    }

    if (!sup.binary)
        sup.binary = selfpath(options->argv0);
    sup.config_path = absolute_path(options->config);
    if (options->stop_leftovers) {
        sup.config = config_new();
        struct config *config = config_load(sup.config_path, &errors);
        /* Only for the place of the runtime directory; errors do not matter here. */
        sup.config->settings.runtime_dir = xstrdup(config->settings.runtime_dir);
        config_free(config);
        config_errors_clear(&errors);
        errors = (struct config_errors){0};
    } else {
        sup.config = config_load(sup.config_path, &errors);
    }
    sup.verbose = options->verbose;
    log_set_level(options->verbose ? LOG_LEVEL_DEBUG : sup.config->settings.log_level);

    int status = run(&sup, options, &errors, hard);
    config_errors_clear(&errors);
    supervisor_clear(&sup);
    return status;
}
