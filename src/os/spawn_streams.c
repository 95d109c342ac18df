/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/logmatch.h"
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
    int fd = open(path, flags | O_NOCTTY | O_CLOEXEC);

    if (fd == -1 || !place(fd, target))
        spawn_fail(child, code, "%s %s: %s", key, path, spawn_error(errno));
}

static void copy_onto(const struct child *child, int from, int target, const char *key, int code)
{
    if (dup2(from, target) == -1)
        spawn_fail(child, code, "%s: %s", key, spawn_error(errno));
}

/* As the terminal that controls the session, which the child has to itself since its setsid(). */
static void set_terminal(const struct child *child)
{
    const char *path = child->spec->place->tty;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd == -1 || ioctl(fd, TIOCSCTTY, 0) == -1)
        spawn_fail(child, STEP_STDIN, "tty %s: %s%s", path, spawn_error(errno),
                   errno == EPERM ? " (it is the terminal of another session)" : "");
    if (!place(fd, STDIN_FILENO))
        spawn_fail(child, STEP_STDIN, "tty %s: %s", path, spawn_error(errno));
}

/* A descriptor that supd gives is above 2: those are never closed in supd. */
static void set_input(const struct child *child)
{
    const struct spec_log *input = &child->spec->place->input;

    if (child->req->stdin_fd > 0)
        copy_onto(child, child->req->stdin_fd, STDIN_FILENO, "stdin", STEP_STDIN);
    else if (child->spec->place->tty != NULL)
        set_terminal(child);
    else if (input->kind != LOG_KIND_INHERIT)
        open_onto(child, STDIN_FILENO, "stdin", input->kind == LOG_KIND_FILE ? input->path : "/dev/null", O_RDONLY,
                  STEP_STDIN);
}

/* FIFO: where it goes by one. */
static void set_output(const struct child *child, int target, const struct spec_log *log, const char *fifo,
                       const char *key, int code)
{
    if (fifo != NULL) { /* for reading, too: there is always a reader, so it gets no SIGPIPE */
        open_onto(child, target, key, fifo, O_RDWR, code);
        return;
    }
    if (log->kind == LOG_KIND_NONE)
        open_onto(child, target, key, "/dev/null", O_WRONLY, code);
    else if (child->spec->place->tty != NULL)
        copy_onto(child, STDIN_FILENO, target, key, code);
}

/* Until it is known where in its FIFO its own text begins. */
static void await_match(const struct child *child, int match, int fifo)
{
    int rc = match > 0 ? logmatch_await(match, fifo, child->req->log_lock) : 0;

    if (rc == -ETIMEDOUT)
        spawn_fail(child, STEP_STDOUT, "ready: suplog does not answer for %d s", LOGMATCH_PATIENCE_SEC);
    if (rc < 0)
        spawn_fail(child, STEP_STDOUT, "ready: log: %s", spawn_error(-rc));
}

void spawn_set_streams(const struct child *child)
{
    const struct spec_log *out = &child->spec->logs->log;
    const struct spec_log *err = &child->spec->logs->log_error;
    const char *fifo = child->req->log_fifo;

    set_input(child);
    set_output(child, STDOUT_FILENO, out, fifo, "log", STEP_STDOUT);
    if (err->kind != LOG_KIND_UNSET)
        set_output(child, STDERR_FILENO, err, child->req->error_fifo, "log-error", STEP_STDERR);
    else if (out->kind != LOG_KIND_INHERIT || fifo != NULL || child->spec->place->tty != NULL)
        copy_onto(child, STDOUT_FILENO, STDERR_FILENO, "log-error", STEP_STDERR);
    await_match(child, child->req->match_fds[0], STDOUT_FILENO);
    await_match(child, child->req->match_fds[1], STDERR_FILENO);
}
