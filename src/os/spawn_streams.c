/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/spawn_steps.h"

/* Makes FD the descriptor TARGET, one that survives the exec. */
static bool place(int fd, int target)
{
    if (fd == target)
        return fcntl(fd, F_SETFD, 0) == 0;
    bool ok = dup2(fd, target) == target;
    close(fd);
    return ok;
}

static void open_onto(const struct child *child, int target, const char *key, const char *path, int flags, int code)
{
    int fd = open(path, flags | O_NOCTTY | O_CLOEXEC, 0640);

    if (fd == -1 || !place(fd, target))
        spawn_fail(child, code, "%s %s: %s", key, path, strerror(errno));
}

static void set_output(const struct child *child, int target, const struct spec_log *log, const char *key, int code)
{
    switch (log->kind) {
    case LOG_KIND_FILE:
        open_onto(child, target, key, log->path, O_WRONLY | O_APPEND | O_CREAT, code);
        break;
    case LOG_KIND_NONE:
        open_onto(child, target, key, "/dev/null", O_WRONLY, code);
        break;
    case LOG_KIND_INHERIT:
    case LOG_KIND_UNSET:
        break;
    }
}

void spawn_set_streams(const struct child *child)
{
    const struct spec_log *out = &child->spec->log;
    const struct spec_log *err = &child->spec->log_error;

    open_onto(child, STDIN_FILENO, "stdin", "/dev/null", O_RDONLY, STEP_STDIN);
    set_output(child, STDOUT_FILENO, out, "log", STEP_STDOUT);
    if (err->kind != LOG_KIND_UNSET) {
        set_output(child, STDERR_FILENO, err, "log-error", STEP_STDERR);
        return;
    }
    if ((out->kind == LOG_KIND_FILE || out->kind == LOG_KIND_NONE) && dup2(STDOUT_FILENO, STDERR_FILENO) == -1)
        spawn_fail(child, STEP_STDERR, "log-error: %s", strerror(errno));
}
