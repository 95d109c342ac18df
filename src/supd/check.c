/* SPDX-License-Identifier: MIT */
#include "supd/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strv.h"
#include "core/record.h"
#include "os/selfpath.h"
#include "os/statefile.h"
#include "supd/handover.h"
#include "supd/logs.h"

/* Descriptors beside the one of each service: clients, pipes of children before their exec, our own. */
#define SPARE_DESCRIPTORS 256

static void print_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        const struct config_error *e = &errors->items[i];

        if (e->line > 0)
            fprintf(stderr, "%s:%u: %s\n", e->file, e->line, e->message);
        else
            fprintf(stderr, "%s: %s\n", e->file, e->message);
    }
}

bool check_descriptors(const struct config *config, rlim_t hard)
{
    size_t need = config->services.n + SPARE_DESCRIPTORS;

    for (size_t i = 0; i < config->services.n; i++) {
        const struct spec *spec = config->services.items[i];

        need += strv_len(spec->around->listen) + (spec_notify_access(spec) != NOTIFY_NONE) + spec->life->fd_store;
        need += (size_t)spec_log_is_piped(spec, false) + (size_t)spec_log_is_piped(spec, true);
    }
    if (hard == RLIM_INFINITY || need <= hard)
        return true;
    fprintf(stderr,
            "%zu services need about %zu file descriptors, and the hard limit is %llu: raise it (ulimit -Hn, or "
            "LimitNOFILE= of the unit)\n",
            config->services.n, need, (unsigned long long)hard);
    return false;
}

static bool state_is_readable(const char *dir, char *err, size_t err_size)
{
    uint8_t *data;
    size_t len;
    int rc = dir ? statefile_read(dir, &data, &len) : -EINVAL;

    if (rc < 0) {
        snprintf(err, err_size, "%s/state: %s", dir ? dir : "", strerror(-rc));
        return false;
    }
    struct replay *replay = replay_new(data, len);
    bool ok = !replay->newer;
    if (!ok)
        snprintf(err, err_size, "%s/state holds records that supd %s does not know", dir, PACKAGE_VERSION);
    replay_free(replay);
    free(data);
    return ok;
}

/* An event loop with its signals, and the way to watch: what a new kernel, library or right could have taken away. */
static bool loop_is_possible(const struct config *config, char *err, size_t err_size)
{
    struct loop *loop = loop_new();
    const char *why = "no event loop can be had";
    struct sigchld *sigchld = loop ? sigchld_new(loop, &(struct sigchld_handlers){0}, NULL, &why) : NULL;
    struct watcher *watcher = NULL;

    if (sigchld)
        watcher = watcher_new(loop, sigchld, config->settings.watch, err, err_size);
    else
        snprintf(err, err_size, "%s", why);
    bool ok = watcher != NULL;
    watcher_free(watcher);
    sigchld_free(sigchld);
    loop_free(loop);
    return ok;
}

/* With --resume: could we take over from the supd that asks?  All that can go wrong in it is tried. */
static bool check_take_over(const struct startup_options *options, const struct config *config)
{
    char err[512] = "";
    struct handover *handover = handover_read(options->resume_fd, err, sizeof err);
    bool ok = handover && state_is_readable(options->runtime_dir, err, sizeof err) &&
              loop_is_possible(config, err, sizeof err);

    if (ok)
        handover_promise(err, sizeof err, getppid());
    fprintf(ok ? stdout : stderr, "%s%s", err, ok ? "" : "\n");
    handover_free(handover);
    return ok;
}

/* Each would be an error of that service alone, when it is started; here is the time to tell them all. */
static bool check_attributes(const struct config *config, const struct spawn_baseline *baseline)
{
    bool ok = true;
    char err[512];

    for (size_t i = 0; i < config->services.n; i++) {
        const struct spec *spec = config->services.items[i];

        if (spawn_try_attributes(spec, baseline, err, sizeof err))
            continue;
        fprintf(stderr, "%s:%u: service \"%s\": %s\n", spec->source->file, spec->line, spec->name, err);
        ok = false;
    }
    return ok;
}

/* What can be started all the same is no error. */
static void warn_of_suplog(const char *argv0, const struct config *config)
{
    char *own = selfpath(argv0);
    char *path = own ? logs_suplog_path(own) : NULL;
    bool missing = path && access(path, X_OK) < 0;

    for (size_t i = 0; missing && i < config->services.n; i++) {
        const struct spec *spec = config->services.items[i];

        if (!spec_log_is_piped(spec, false) && !spec_log_is_piped(spec, true))
            continue;
        fprintf(stderr, "warning: %s: %s: without it the log of \"%s\" is not written\n", path, strerror(errno),
                spec->name);
        missing = false;
    }
    free(path);
    free(own);
}

int check_run(const struct startup_options *options, const struct spawn_baseline *baseline, rlim_t hard)
{
    const char *path = options->config;

    struct config_errors errors;
    struct config *config = config_load(path, &errors);
    bool ok = errors.n == 0;

    print_errors(&errors);
    if (ok)
        ok = check_descriptors(config, hard);
    /* A supd that would be upgraded runs without what it may not have, and so would we. */
    if (ok && options->resume_fd < 0)
        ok = check_attributes(config, baseline);
    if (ok && options->resume_fd < 0)
        warn_of_suplog(options->argv0, config);
    if (ok)
        printf("%s: no errors, %zu service%s\n", path, config->services.n, config->services.n == 1 ? "" : "s");
    if (ok && options->resume_fd >= 0)
        ok = check_take_over(options, config);
    config_errors_clear(&errors);
    config_free(config);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
