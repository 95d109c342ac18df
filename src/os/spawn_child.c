/* SPDX-License-Identifier: MIT */
#include "os/spawn_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/envfile.h"
#include "core/record.h"
#include "os/identity.h"
#include "os/procfs.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#define ENV_FILE_MAX (1024 * 1024)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Exit codes of the steps, as in systemd.exec(5); those that it has none for end with 1. */
enum {
    STEP_OTHER = 1,
    STEP_CHDIR = 200,
    STEP_FDS = 202,
    STEP_EXEC = 203,
    STEP_LIMITS = 205,
    STEP_OOM_ADJUST = 206,
    STEP_SIGNAL_MASK = 207,
    STEP_STDIN = 208,
    STEP_STDOUT = 209,
    STEP_GROUP = 216,
    STEP_USER = 217,
    STEP_SETSID = 220,
    STEP_STDERR = 222,
};

struct child {
    const struct spawn_request *req;
    const struct spec *spec;
    int report_fd;
};

static _Noreturn void fail(const struct child *child, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static _Noreturn void fail(const struct child *child, int code, const char *fmt, ...)
{
    char text[SPAWN_REPORT_MAX];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (len >= (int)sizeof(text))
        len = (int)sizeof(text) - 1;
    /* Where nobody reads it any more, the exit code still tells the step. */
    ssize_t written = len > 0 ? write(child->report_fd, text, (size_t)len) : 0;
    (void)written;
    _exit(code);
}

/*
 * supd's handlers write into supd's pipes, and what supd ignores its services must not.  By the system call itself:
 * sigaction(3) refuses the two signals that the C library keeps to itself, and those may be ignored too (some make(1)
 * start their children so).
 */
static void reset_signal_handlers(void)
{
    static const uint64_t defaults[8]; /* the kernel's struct sigaction, at most this long, all zero: SIG_DFL */

    for (int signo = 1; signo < NSIG; signo++)
        syscall(SYS_rt_sigaction, signo, defaults, NULL, (size_t)(NSIG - 1) / 8); /* KILL and STOP refuse */
}

/* None stays blocked, whatever supd was started with, and from here on: a child that hangs before its exec can be ended. */
static void unblock_signals(const struct child *child)
{
    sigset_t none;

    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) == -1)
        fail(child, STEP_SIGNAL_MASK, "sigprocmask: %s", strerror(errno));
}

static void record_self(const struct child *child)
{
    const struct spawn_request *req = child->req;
    uint64_t ticks;

    int rc = procfs_self_start_ticks(&ticks);
    if (rc < 0)
        fail(child, STEP_OTHER, "record: /proc/self/stat: %s", strerror(-rc));
    int self = identity_pidfd(getpid());
    record_finish_spawn(req->record, req->record_len, getpid(), ticks, identity_inode(self));
    if (self >= 0)
        close(self);

    ssize_t n = write(req->state_fd, req->record, req->record_len);
    if (n != (ssize_t)req->record_len)
        fail(child, STEP_OTHER, "record: %s", strerror(n == -1 ? errno : ENOSPC));
}

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
        fail(child, code, "%s %s: %s", key, path, strerror(errno));
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

static void set_streams(const struct child *child)
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
        fail(child, STEP_STDERR, "log-error: %s", strerror(errno));
}

/* The file's text, at most ENV_FILE_MAX bytes, or NULL with errno. */
static char *read_env_file(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd == -1)
        return NULL;

    char *text = xmalloc(ENV_FILE_MAX + 1);
    size_t used = 0;
    for (;;) {
        ssize_t n = read(fd, text + used, ENV_FILE_MAX + 1 - used);
        if (n == 0)
            break;
        used += n > 0 ? (size_t)n : 0;
        if (n == -1 || used > ENV_FILE_MAX) {
            int err = n == -1 ? errno : EFBIG;
            free(text);
            close(fd);
            errno = err;
            return NULL;
        }
    }
    close(fd);
    *len = used;
    return text;
}

static char **add_env_file(const struct child *child, char **env, const char *entry)
{
    bool may_be_missing = entry[0] == '-';
    const char *path = may_be_missing ? entry + 1 : entry;
    char why[256];
    unsigned line = 0;
    size_t len;

    char *text = read_env_file(path, &len);
    if (text == NULL) {
        if (may_be_missing && (errno == ENOENT || errno == ENOTDIR))
            return env;
        fail(child, STEP_OTHER, "environment-file %s: %s", path, strerror(errno));
    }
    env = envfile_parse(env, text, len, &line, why, sizeof(why));
    if (line != 0)
        fail(child, STEP_OTHER, "environment-file %s:%u: %s", path, line, why);
    free(text);
    return env;
}

static char **set_var(char **env, const char *key, const char *value)
{
    if (value == NULL)
        return env;

    char *assignment = xasprintf("%s=%s", key, value);
    env = strv_env_set(env, assignment);
    free(assignment);
    return env;
}

static bool is_login_var(const char *assignment)
{
    static const char *const keys[] = {"USER=", "LOGNAME=", "HOME=", "SHELL="};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strncmp(assignment, keys[i], strlen(keys[i])) == 0)
            return true;
    }
    return false;
}

/* Ours, but what tells of the user of supd is not for a service that has a user of its own. */
static char **inherited_environment(const struct child *child)
{
    const struct spec_ids *ids = &child->spec->ids;
    bool other_user = ids->set && child->spec->user != NULL;
    char **env = NULL;

    for (char **p = child->req->baseline->environment; p != NULL && *p != NULL; p++) {
        if (!other_user || !is_login_var(*p))
            env = strv_push(env, xstrdup(*p));
    }
    if (!other_user)
        return env;
    env = set_var(env, "USER", ids->user_name);
    env = set_var(env, "LOGNAME", ids->user_name);
    env = set_var(env, "HOME", ids->home);
    return set_var(env, "SHELL", ids->shell);
}

/* The later wins: files over `environment`, as in systemd. */
static char **make_environment(const struct child *child)
{
    const struct spec *spec = child->spec;
    char pid[16];
    char **env = inherited_environment(child);

    for (char **p = spec->environment; p != NULL && *p != NULL; p++)
        env = strv_env_set(env, *p);
    for (char **p = spec->environment_files; p != NULL && *p != NULL; p++)
        env = add_env_file(child, env, *p);

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    env = set_var(env, "SUPD_SERVICE", spec->name);
    env = set_var(env, "SUPD_INSTANCE", child->req->instance_id);
    return set_var(env, "SUPD_EXEC_PID", pid);
}

/* For kernels whose close_range(2) has no CLOSE_RANGE_CLOEXEC (before 5.11), or that have none (before 5.9). */
static bool cloexec_by_proc(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return false;

    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        int fd = atoi(entry->d_name);
        if (fd > STDERR_FILENO)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(dir);
    return true;
}

/* Marked, not closed: the lock must be held, through us, until the exec. */
static void close_on_exec(const struct child *child)
{
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 || cloexec_by_proc())
        return;
    fail(child, STEP_FDS, "descriptors: /proc/self/fd: %s", strerror(errno));
}

bool spawn_read_oom_score_adj(int *value)
{
    char text[16];
    int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;

    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *value = atoi(text);
    return true;
}

static void restore_oom_score_adj(const struct child *child)
{
    int wanted = child->req->baseline->oom_score_adj;
    int current;
    char text[16];

    if (wanted == INT_MIN || (spawn_read_oom_score_adj(&current) && current == wanted))
        return;

    int len = snprintf(text, sizeof(text), "%d", wanted);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd == -1 || write(fd, text, (size_t)len) != len)
        fail(child, STEP_OOM_ADJUST, "oom-score-adj %d: %s", wanted, strerror(errno));
    close(fd);
}

static void restore_limits(const struct child *child)
{
    const struct rlimit *wanted = &child->req->baseline->nofile;
    struct rlimit current;

    if (getrlimit(RLIMIT_NOFILE, &current) == 0 && current.rlim_cur == wanted->rlim_cur &&
        current.rlim_max == wanted->rlim_max)
        return;
    if (setrlimit(RLIMIT_NOFILE, wanted) == -1)
        fail(child, STEP_LIMITS, "setrlimit nofile: %s", strerror(errno));
}

static void set_groups(const struct child *child, const char *name)
{
    const struct spec_ids *ids = &child->spec->ids;

    if (setgroups(ids->n_groups, ids->groups) == 0)
        return;
    /* An ordinary user who asks for what he is anyway has the groups already. */
    if (errno == EPERM && ids->uid == geteuid() && ids->gid == getegid())
        return;
    fail(child, STEP_GROUP, "group %s: %s", name, strerror(errno));
}

static void change_ids(const struct child *child)
{
    const struct spec *spec = child->spec;
    const struct spec_ids *ids = &spec->ids;
    char uid[16];
    char gid[16];

    if (!ids->set)
        return;
    snprintf(uid, sizeof(uid), "%u", ids->uid);
    snprintf(gid, sizeof(gid), "%u", ids->gid);
    const char *user = spec->user != NULL ? spec->user : uid;
    const char *group = spec->group != NULL ? spec->group : gid;

    set_groups(child, group);
    if (setresgid(ids->gid, ids->gid, ids->gid) == -1)
        fail(child, STEP_GROUP, "group %s: %s", group, strerror(errno));
    if (setresuid(ids->uid, ids->uid, ids->uid) == -1)
        fail(child, STEP_USER, "user %s: %s", user, strerror(errno));
}

/* As the user of the service, who may be the only one that gets there (or not). */
static void change_directory(const struct child *child)
{
    const char *directory = child->spec->directory;

    if (directory != NULL && chdir(directory) == -1)
        fail(child, STEP_CHDIR, "chdir %s: %s", directory, strerror(errno));
}

/* What strerror(3) does not tell of an exec of PATH that failed with ERR. */
static const char *exec_hint(const char *path, int err)
{
    if (err == ENOEXEC)
        return " (a script without a #! line?)";
    if (err == ENOENT && access(path, F_OK) == 0)
        return " (it is there: the interpreter or loader that it names is missing)";
    return "";
}

/* Tries the directories of PATH in turn; returns the errno that tells most. */
static int exec_on_path(char **argv, char **env, const char *path)
{
    char file[PATH_MAX];
    int err = ENOENT;

    for (const char *dir = path;;) {
        size_t len = strcspn(dir, ":");
        int n = snprintf(file, sizeof(file), "%.*s%s%s", (int)len, dir, len > 0 ? "/" : "", argv[0]);
        if (n < (int)sizeof(file)) {
            execve(file, argv, env);
            if (errno == EACCES)
                err = EACCES;
            else if (errno != ENOENT && errno != ENOTDIR)
                return errno;
        }
        if (dir[len] == '\0')
            return err;
        dir += len + 1;
    }
}

static _Noreturn void exec_command(const struct child *child, char **env)
{
    char **argv = child->spec->command;

    if (strchr(argv[0], '/') != NULL) {
        execve(argv[0], argv, env);
        int err = errno;
        fail(child, STEP_EXEC, "exec %s: %s%s", argv[0], strerror(err), exec_hint(argv[0], err));
    }

    const char *path = strv_env_get(env, "PATH");
    if (path == NULL || *path == '\0')
        path = DEFAULT_PATH;
    int err = exec_on_path(argv, env, path);
    if (err == ENOENT)
        fail(child, STEP_EXEC, "exec %s: %s (PATH is %s)", argv[0], strerror(err), path);
    fail(child, STEP_EXEC, "exec %s: %s%s", argv[0], strerror(err), exec_hint(argv[0], err));
}

void spawn_child_run(const struct spawn_request *req, int report_fd)
{
    struct child child = {.req = req, .spec = req->spec, .report_fd = report_fd};

    reset_signal_handlers();
    unblock_signals(&child);
    if (setsid() == -1)
        fail(&child, STEP_SETSID, "setsid: %s", strerror(errno));
    record_self(&child);

    /* All that opens something comes before the limit on descriptors and the change of user: supd may hold more of
     * them than the limit allows, and logs and environment files may be readable for root alone. */
    set_streams(&child);
    char **env = make_environment(&child);
    close_on_exec(&child);
    restore_oom_score_adj(&child);
    restore_limits(&child);

    umask(child.spec->umask);
    change_ids(&child);
    change_directory(&child);
    exec_command(&child, env);
}
