/* SPDX-License-Identifier: MIT */
#include "os/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance_template.h"
#include "os/config_build.h"
#include "os/config_read.h"

#define MAX_FILE_SIZE ((off_t)16 * 1024 * 1024)
#define MAX_NESTING 16

/* A file that is being read, with those that include it. */
struct reading {
    struct config_build *build;
    const struct reading *parent;
    unsigned depth;
    unsigned file; /* its number in the build */
    const char *path;
    dev_t dev;
    ino_t ino;
    char **patterns; /* what it includes, for when it has been read */
    unsigned *lines;
    size_t n_patterns;
};

struct config *config_new(void)
{
    struct config *config = xcalloc(1, sizeof(*config));

    config->settings.log_level = LOG_LEVEL_INFO;
    config->settings.check_slots = CHECK_SLOTS_DEFAULT;
    config->settings.watch = xstrdup("auto");
    config->settings.cgroup = xstrdup("auto");
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    spec_list_free(&config->services);
    for (size_t i = 0; i < config->n_templates; i++)
        instance_template_free(config->templates[i]);
    free(config->templates);
    free(config->settings.runtime_dir);
    free(config->settings.state_dir);
    free(config->settings.watch);
    free(config->settings.cgroup);
    free(config->settings.socket);
    free(config->settings.admin_group);
    free(config->settings.read_group);
    free(config);
}

void config_errors_clear(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        free(errors->items[i].file);
        free(errors->items[i].message);
    }
    free(errors->items);
    *errors = (struct config_errors){0};
}

/* SIZE bytes of FD, or less where the file has become shorter; NULL with errno set. */
static char *read_bytes(int fd, size_t size, size_t *len)
{
    char *text = xmalloc(size);

    *len = 0;
    while (*len < size) {
        ssize_t n = read(fd, text + *len, size - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return NULL;
        }
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return text;
}

/* The text of a regular file, or NULL with the reason in *WHY (static, or of strerror(3)). */
static char *read_file(const char *path, struct stat *st, size_t *len, const char **why)
{
    char *text = NULL;
    /* O_NONBLOCK: the open of a FIFO would wait. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, st) < 0) {
        *why = strerror(errno);
        goto out;
    }
    if (!S_ISREG(st->st_mode)) {
        *why = S_ISDIR(st->st_mode) ? "is a directory, not a file" : "is not a regular file";
        goto out;
    }
    if (st->st_size > MAX_FILE_SIZE) {
        *why = "is larger than 16 MiB: that is no configuration";
        goto out;
    }
    text = read_bytes(fd, (size_t)st->st_size, len);
    if (text == NULL)
        *why = strerror(errno);
out:
    if (fd >= 0)
        close(fd);
    return text;
}

static void on_section(void *ctx, struct config_section *section)
{
    struct reading *r = ctx;

    config_build_add_section(r->build, r->file, section);
}

static void on_error(void *ctx, unsigned line, const char *message)
{
    struct reading *r = ctx;

    config_build_error(r->build, r->file, line, "%s", message);
}

/* Kept until the file is read: libconfuse cannot read two at a time. */
static void on_include(void *ctx, const char *pattern, unsigned line)
{
    struct reading *r = ctx;

    r->patterns = strv_push(r->patterns, xstrdup(pattern));
    r->lines = xreallocarray(r->lines, r->n_patterns + 1, sizeof(*r->lines));
    r->lines[r->n_patterns++] = line;
}

static void on_include_in_dump(void *ctx, const char *pattern, unsigned line)
{
    struct reading *r = ctx;

    config_build_error(r->build, r->file, line, "include(\"%s\") cannot stand in a dump", pattern);
}

static const struct config_read_handlers read_handlers = {on_section, on_include, on_error};
static const struct config_read_handlers dump_handlers = {on_section, on_include_in_dump, on_error};

static void read_includes(struct reading *r);

/* R is set up but for what the file itself tells.  False with *WHY when it cannot be read at all. */
static bool read_one(struct reading *r, const char *path, const char **why)
{
    struct stat st;
    size_t len;
    char *text = read_file(path, &st, &len, why);

    if (text == NULL)
        return false;
    r->path = path;
    r->dev = st.st_dev;
    r->ino = st.st_ino;
    for (const struct reading *p = r->parent; p != NULL; p = p->parent) {
        if (p->dev == r->dev && p->ino == r->ino) {
            *why = "includes itself, straight or through other files";
            free(text);
            return false;
        }
    }

    r->file = config_build_add_file(r->build, path);
    config_read(text, len, false, &read_handlers, r);
    free(text);
    read_includes(r);
    strv_free(r->patterns);
    free(r->lines);
    return true;
}

static void include_one(const struct reading *r, const char *path, unsigned line)
{
    struct reading inner = {.build = r->build, .parent = r, .depth = r->depth + 1};
    const char *why;

    if (inner.depth > MAX_NESTING)
        config_build_error(r->build, r->file, line, "include: files are nested more than %d deep", MAX_NESTING);
    else if (!read_one(&inner, path, &why))
        config_build_error(r->build, r->file, line, "include: %s: %s", path, why);
}

/* What does not exist matches nothing; what cannot be read ends the search. */
static int on_glob_error(const char *path, int err)
{
    (void)path;
    return err != ENOENT && err != ENOTDIR;
}

static void include_glob(const struct reading *r, const char *pattern, unsigned line)
{
    glob_t found = {0};
    int rc = glob(pattern, 0, on_glob_error, &found);

    if (rc == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            include_one(r, found.gl_pathv[i], line);
    } else if (rc != GLOB_NOMATCH) {
        config_build_error(r->build, r->file, line, "include: %s: its directory cannot be read", pattern);
    }
    globfree(&found);
}

/* PATTERN as seen from the directory of the file that includes it; to be freed. */
static char *resolve_pattern(const struct reading *r, const char *pattern)
{
    const char *slash = strrchr(r->path, '/');

    if (pattern[0] == '/' || slash == NULL)
        return xstrdup(pattern);
    return xasprintf("%.*s/%s", (int)(slash - r->path), r->path, pattern);
}

static void read_includes(struct reading *r)
{
    for (size_t i = 0; i < r->n_patterns; i++) {
        char *pattern = resolve_pattern(r, r->patterns[i]);
        if (strpbrk(r->patterns[i], "*?[") != NULL)
            include_glob(r, pattern, r->lines[i]);
        else
            include_one(r, pattern, r->lines[i]);
        free(pattern);
    }
}

struct config *config_load(const char *path, struct config_errors *errors)
{
    struct reading r = {.build = config_build_new(false)};
    const char *why;

    if (!read_one(&r, path, &why))
        config_build_error(r.build, config_build_add_file(r.build, path), 0, "%s", why);
    return config_build_finish(r.build, errors);
}

struct config *config_load_dump(const char *name, const char *text, size_t len, struct config_errors *errors)
{
    struct reading r = {.build = config_build_new(true), .path = name};

    r.file = config_build_add_file(r.build, name);
    config_read(text, len, true, &dump_handlers, &r);
    return config_build_finish(r.build, errors);
}

static bool same_string(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_group(const char *a, gid_t a_gid, const char *b, gid_t b_gid)
{
    return same_string(a, b) && (a == NULL || a_gid == b_gid);
}

size_t config_settings_diff(const struct settings *a, const struct settings *b, const char **names, size_t max)
{
    const struct {
        const char *name;
        bool same;
    } checks[] = {
        {"runtime-dir", same_string(a->runtime_dir, b->runtime_dir)},
        {"state-dir", same_string(a->state_dir, b->state_dir)},
        {"log-level", a->log_level == b->log_level},
        {"watch", same_string(a->watch, b->watch)},
        {"cgroup", same_string(a->cgroup, b->cgroup)},
        {"start-slots", a->start_slots == b->start_slots},
        {"check-slots", a->check_slots == b->check_slots},
        {"control.socket", same_string(a->socket, b->socket)},
        {"control.admin-group", same_group(a->admin_group, a->admin_gid, b->admin_group, b->admin_gid)},
        {"control.read-group", same_group(a->read_group, a->read_gid, b->read_group, b->read_gid)},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && n < max; i++) {
        if (!checks[i].same)
            names[n++] = checks[i].name;
    }
    return n;
}
