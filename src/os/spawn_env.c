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
#define OWN 16       /* variables at most that are set here, not copied from anywhere */
#define OWN_TEXT 320 /* bytes at most of what they are called, and of those whose values are not those of the service */

#define PID_ROOM "0123456789" /* no pid has more digits */

/*
 * The vector, which ends with NULL, and what is made for it.  Every page that the child writes to is copied first, and
 * malloc(3) writes to many: so strings are pointed to where they are, and few are made in one place.  Nothing is ever
 * freed.
 */
struct env {
    char **items;
    size_t n;
    char *text; /* room for strings */
    size_t room;
};

static struct env env_new(struct spawn_variables *room, size_t most)
{
    room->n_pids = 0;
    size_t max = sizeof(room->items) / sizeof(*room->items);
    struct env env = {.items = room->items, .text = room->text, .room = sizeof(room->text)};

    if (most >= max)
        env.items = xcalloc(most + 1, sizeof(char *));
    env.items[0] = NULL;
    return env;
}

static void add(struct env *env, char *assignment)
{
    env->items[env->n++] = assignment;
    env->items[env->n] = NULL;
}

/* ASSIGNMENT, which stays where it is, is put last or in the place of the one with the same key. */
static void put(struct env *env, char *assignment)
{
    size_t len = strcspn(assignment, "=");
    size_t i = 0;

    while (i < env->n && (strncmp(env->items[i], assignment, len) != 0 || env->items[i][len] != '='))
        i++;
    if (i == env->n)
        add(env, assignment);
    else
        env->items[i] = assignment;
}

static void put_all(struct env *env, char *const *assignments)
{
    for (char *const *p = assignments; p != NULL && *p != NULL; p++)
        put(env, *p);
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

/* Adds to ENV what the file says. */
static char **add_env_file(const struct child *child, char **env, const char *path, bool may_be_missing)
{
    char why[256];
    unsigned line = 0;
    size_t len;

    char *text = read_env_file(path, &len);
    if (text == NULL) {
        if (may_be_missing && (errno == ENOENT || errno == ENOTDIR))
            return env;
        spawn_fail(child, STEP_OTHER, "environment-file %s: %s", path, spawn_error(errno));
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
        spawn_fail(child, STEP_OTHER, "environment-file %s: %s", pattern,
                   none ? "no file matches" : spawn_error(errno));
    for (size_t i = 0; i < found.gl_pathc; i++)
        env = add_env_file(child, env, found.gl_pathv[i], may_be_missing);
    globfree(&found);
    return env;
}

/* Returns where VALUE stands now; NULL is none, and sets nothing. */
static char *set_var(struct env *env, const char *key, const char *value)
{
    if (value == NULL)
        return NULL;

    size_t key_len = strlen(key);
    size_t value_size = strlen(value) + 1;
    size_t size = key_len + 1 + value_size;
    char *assignment = size <= env->room ? env->text : xmalloc(size);
    if (assignment == env->text) {
        env->text += size;
        env->room -= size;
    }
    memcpy(assignment, key, key_len);
    assignment[key_len] = '=';
    memcpy(assignment + key_len + 1, value, value_size);
    put(env, assignment);
    return assignment + key_len + 1;
}

/* In decimal digits, from END backwards; VALUE is not negative. */
static char *write_number(char *end, int64_t value)
{
    *--end = '\0';
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

static void set_number(struct env *env, const char *key, int64_t value)
{
    char text[24];

    set_var(env, key, write_number(text + sizeof(text), value));
}

static void set_pid(struct env *env, const char *key, struct spawn_variables *variables)
{
    variables->pids[variables->n_pids++] = set_var(env, key, PID_ROOM);
}

char **spawn_environment_of(struct spawn_variables *variables, pid_t pid)
{
    char text[sizeof(PID_ROOM)];
    const char *digits = write_number(text + sizeof(text), pid);

    for (size_t i = 0; i < variables->n_pids; i++) {
        size_t at = 0;

        do
            variables->pids[i][at] = digits[at];
        while (digits[at++] != '\0');
    }
    return variables->env;
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
static void inherit(const struct child *child, struct env *env)
{
    bool other_user = spawn_is_other_user(child->spec);

    if (child->spec->exec->clear_environment) {
        set_var(env, "PATH", SPAWN_DEFAULT_PATH);
        return;
    }
    for (char **p = child->req->baseline->environment; p != NULL && *p != NULL; p++) {
        if (!other_user || !is_login_var(*p))
            add(env, *p);
    }
}

static void set_login(const struct spec *spec, struct env *env)
{
    const struct spec_ids *ids = &spec->exec->ids;

    if (!spawn_is_other_user(spec))
        return;
    set_var(env, "USER", ids->user_name);
    set_var(env, "LOGNAME", ids->user_name);
    set_var(env, "HOME", ids->home);
    set_var(env, "SHELL", ids->shell);
}

/* A terminal without its kind is of little use; systemd takes these two as well. */
static void set_terminal_kind(const struct spec *spec, struct env *env)
{
    bool is_console = spec->place->tty != NULL && strncmp(spec->place->tty, "/dev/tty", 8) == 0 &&
                      spec->place->tty[8] >= '0' && spec->place->tty[8] <= '9';

    if (spec->place->tty != NULL && strv_env_get(env->items, "TERM") == NULL)
        set_var(env, "TERM", is_console ? "linux" : "vt220");
}

static size_t length(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

bool spawn_environment_fits(const struct spawn_request *req)
{
    const struct spec *spec = req->spec;
    const struct spec_ids *ids = &spec->exec->ids;
    const struct spawn_variables *room;
    size_t most =
        strv_len(req->baseline->environment) + strv_len(spec->place->environment) + strv_len(req->variables) + OWN;
    size_t text = length(spec->name) + length(req->instance_id) + 2 * length(ids->user_name) + length(ids->home) +
                  length(ids->shell) + OWN_TEXT;

    return most < sizeof(room->items) / sizeof(*room->items) && text <= sizeof(room->text);
}

/* The later wins: files over `environment`, as in systemd. */
void spawn_environment(const struct child *child, struct spawn_variables *variables)
{
    const struct spec *spec = child->spec;
    const struct spawn_request *req = child->req;
    char **of_files = NULL;

    for (char **p = spec->place->environment_files; p != NULL && *p != NULL; p++)
        of_files = add_env_files(child, of_files, *p);
    struct env env = env_new(variables, strv_len(req->baseline->environment) + strv_len(spec->place->environment) +
                                            strv_len(of_files) + strv_len(req->variables) + OWN);

    inherit(child, &env);
    set_login(spec, &env);
    set_terminal_kind(spec, &env);
    put_all(&env, spec->place->environment);
    put_all(&env, of_files);
    set_var(&env, "SUPD_SERVICE", spec->name);
    set_var(&env, "SUPD_INSTANCE", req->instance_id);
    if (req->n_listen_fds > 0) {
        set_pid(&env, "LISTEN_PID", variables);
        set_var(&env, "LISTEN_FDNAMES", req->listen_names);
        set_number(&env, "LISTEN_FDS", (int64_t)req->n_listen_fds);
    }
    if (req->watchdog > 0) {
        set_pid(&env, "WATCHDOG_PID", variables);
        set_number(&env, "WATCHDOG_USEC", req->watchdog);
    }
    put_all(&env, req->variables);
    set_pid(&env, "SUPD_EXEC_PID", variables);
    variables->env = env.items;
}
