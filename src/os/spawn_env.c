/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/envfile.h"
#include "os/spawn_steps.h"

#define ENV_FILE_MAX (1024 * 1024)

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

static char **add_env_file(const struct child *child, char **env, const char *path, bool may_be_missing)
{
    char why[256];
    unsigned line = 0;
    size_t len;

    char *text = read_env_file(path, &len);
    if (text == NULL) {
        if (may_be_missing && (errno == ENOENT || errno == ENOTDIR))
            return env;
        spawn_fail(child, STEP_OTHER, "environment-file %s: %s", path, strerror(errno));
    }
    env = envfile_parse(env, text, len, &line, why, sizeof(why));
    if (line != 0)
        spawn_fail(child, STEP_OTHER, "environment-file %s:%u: %s", path, line, why);
    free(text);
    return env;
}

/* As in systemd a path may be a pattern; the files that match are read in the order of their names. */
static char **add_env_files(const struct child *child, char **env, const char *entry)
{
    bool may_be_missing = entry[0] == '-';
    const char *pattern = may_be_missing ? entry + 1 : entry;
    glob_t found;

    if (strpbrk(pattern, "*?[") == NULL)
        return add_env_file(child, env, pattern, may_be_missing);
    int rc = glob(pattern, GLOB_ERR, NULL, &found);
    bool none = rc == GLOB_NOMATCH || (rc == GLOB_ABORTED && (errno == ENOENT || errno == ENOTDIR));
    if (none && may_be_missing)
        return env;
    if (rc != 0)
        spawn_fail(child, STEP_OTHER, "environment-file %s: %s", pattern, none ? "no file matches" : strerror(errno));
    for (size_t i = 0; i < found.gl_pathc; i++)
        env = add_env_file(child, env, found.gl_pathv[i], may_be_missing);
    globfree(&found);
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
    bool other_user = spawn_is_other_user(child->spec);
    char **env = NULL;

    if (child->spec->clear_environment)
        return set_var(env, "PATH", SPAWN_DEFAULT_PATH);
    for (char **p = child->req->baseline->environment; p != NULL && *p != NULL; p++) {
        if (!other_user || !is_login_var(*p))
            env = strv_push(env, xstrdup(*p));
    }
    return env;
}

static char **add_login(const struct spec *spec, char **env)
{
    const struct spec_ids *ids = &spec->ids;

    if (!spawn_is_other_user(spec))
        return env;
    env = set_var(env, "USER", ids->user_name);
    env = set_var(env, "LOGNAME", ids->user_name);
    env = set_var(env, "HOME", ids->home);
    return set_var(env, "SHELL", ids->shell);
}

/* A terminal without its kind is of little use; systemd takes these two as well. */
static char **add_terminal(const struct spec *spec, char **env)
{
    if (spec->tty == NULL || strv_env_get(env, "TERM") != NULL)
        return env;
    return set_var(env, "TERM",
                   strncmp(spec->tty, "/dev/tty", 8) == 0 && spec->tty[8] >= '0' && spec->tty[8] <= '9' ? "linux"
                                                                                                        : "vt220");
}

/* The later wins: files over `environment`, as in systemd. */
char **spawn_environment(const struct child *child)
{
    const struct spec *spec = child->spec;
    char pid[16];
    char count[24];
    char **env = add_terminal(spec, add_login(spec, inherited_environment(child)));

    for (char **p = spec->environment; p != NULL && *p != NULL; p++)
        env = strv_env_set(env, *p);
    for (char **p = spec->environment_files; p != NULL && *p != NULL; p++)
        env = add_env_files(child, env, *p);

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    env = set_var(env, "SUPD_SERVICE", spec->name);
    env = set_var(env, "SUPD_INSTANCE", child->req->instance_id);
    if (child->req->n_listen_fds > 0) {
        env = set_var(env, "LISTEN_PID", pid);
        env = set_var(env, "LISTEN_FDNAMES", child->req->listen_names);
        snprintf(count, sizeof(count), "%zu", child->req->n_listen_fds);
        env = set_var(env, "LISTEN_FDS", count);
    }
    if (child->req->watchdog > 0) {
        env = set_var(env, "WATCHDOG_PID", pid);
        snprintf(count, sizeof(count), "%lld", (long long)child->req->watchdog);
        env = set_var(env, "WATCHDOG_USEC", count);
    }
    for (char **p = child->req->variables; p != NULL && *p != NULL; p++)
        env = strv_env_set(env, *p);
    return set_var(env, "SUPD_EXEC_PID", pid);
}
