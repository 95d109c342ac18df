/* SPDX-License-Identifier: MIT */
#include "supctl/log_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "supctl/text.h"

/* ---- files ---- */

/* The path of the file that NAME ("out", "err") of SERVICE goes to; NULL where it is none, or that of the other one. */
static const char *path_of(const json_t *service, const char *name)
{
    const char *path = json_string_value(json_object_get(json_object_get(service, "log"), name));

    return path && *path == '/' ? path : NULL;
}

static bool errors_are_apart(const json_t *service)
{
    return json_is_string(json_object_get(json_object_get(service, "log-to"), "err"));
}

static struct log_source *find_path(const struct log_list *list, size_t from, const char *path)
{
    for (size_t i = from; i < list->n; i++) {
        if (strcmp(list->sources[i]->path, path) == 0)
            return list->sources[i];
    }
    return NULL;
}

static struct log_source *find_stream(const struct log_list *list, const char *service, const char *stream)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct log_source *source = list->sources[i];
        if (strcmp(source->service, service) == 0 &&
            (strcmp(source->stream, "err") == 0) == (strcmp(stream, "err") == 0))
            return list->sources[i];
    }
    return NULL;
}

/* A file that was taken by another service already, or by this one's other stream, is one log. */
static void add_file(struct log_list *list, const char *service, const char *stream, const char *path)
{
    struct log_source *known = find_path(list, 0, path);

    if (known) {
        if (strcmp(known->service, service) != 0)
            log_source_add_service(known, service);
        else
            known->stream = "both";
        known->seen = true;
        return;
    }
    list->sources = xreallocarray(list->sources, list->n + 1, sizeof(struct log_source *));
    list->sources[list->n++] = log_source_new(service, stream, path);
}

struct stream_path {
    const char *stream;
    const char *path;
};

/* The one or two files of SERVICE; returns how many. */
static size_t files_of(const json_t *service, enum log_streams streams, struct stream_path *files)
{
    const char *out = path_of(service, "out");
    const char *err = path_of(service, "err");
    size_t n = 0;

    if (out && streams == LOG_STREAMS_ALL)
        files[n++] = (struct stream_path){errors_are_apart(service) ? "out" : "both", out};
    if (err)
        files[n++] = (struct stream_path){"err", err};
    return n;
}

void log_list_fill(struct log_list *list, const json_t *services, enum log_streams streams, int supd_pid,
                   log_list_note_fn *note)
{
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        struct stream_path files[2];
        size_t n = files_of(service, streams, files);

        for (size_t f = 0; f < n; f++)
            add_file(list, text_member(service, "name"), files[f].stream, files[f].path);
        if (n > 0)
            continue;
        char *words = log_list_note(service, streams, supd_pid);
        note(words);
        free(words);
    }
}

void log_list_refresh(struct log_list *list, const json_t *services, enum log_streams streams, size_t *first_new)
{
    const json_t *service;
    size_t i;

    for (i = 0; i < list->n; i++)
        list->sources[i]->seen = false;
    *first_new = list->n;
    json_array_foreach(services, i, service)
    {
        struct stream_path files[2];
        size_t n = files_of(service, streams, files);

        for (size_t f = 0; f < n; f++) {
            const char *name = text_member(service, "name");
            struct log_source *known = find_path(list, 0, files[f].path);
            if (!known)
                known = find_stream(list, name, files[f].stream);
            if (!known)
                add_file(list, name, files[f].stream, files[f].path);
            else if (strcmp(known->path, files[f].path) != 0)
                log_source_move(known, files[f].path);
            if (known)
                known->seen = true;
        }
    }
    for (i = *first_new; i-- > 0;) {
        if (list->sources[i]->seen)
            continue;
        log_list_remove(list, i);
        (*first_new)--;
    }
}

void log_list_remove(struct log_list *list, size_t i)
{
    log_source_free(list->sources[i]);
    memmove(list->sources + i, list->sources + i + 1, (--list->n - i) * sizeof(struct log_source *));
}

void log_list_clear(struct log_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        log_source_free(list->sources[i]);
    free(list->sources);
    *list = (struct log_list){0};
}

/* ---- what is in no file ---- */

/* Where supd's own standard output or error goes, as far as this user may know; to be freed. */
static char *place_of_supd(int supd_pid, bool error)
{
    char link[64], target[4096];

    snprintf(link, sizeof link, "/proc/%d/fd/%d", supd_pid, error ? STDERR_FILENO : STDOUT_FILENO);
    ssize_t len = supd_pid > 0 ? readlink(link, target, sizeof target - 1) : -1;
    if (len < 0)
        return xstrdup("where that is the journal, 'journalctl -u supd' shows it");
    target[len] = '\0';
    if (strcmp(target, "/dev/null") == 0)
        return xstrdup("to /dev/null, where nothing is kept");
    if (strncmp(target, "socket:", 7) == 0)
        return xstrdup("to the journal: 'journalctl -u supd' shows it");
    if (strncmp(target, "pipe:", 5) == 0)
        return xstrdup("into a pipe, to what started supd");
    if (strncmp(target, "/dev/", 5) == 0)
        return xasprintf("to the terminal %s", target);
    return xasprintf("to %s: 'tail %s' shows it", target, target);
}

static char *note_of(const char *name, const char *what, const char *to, bool error, int supd_pid)
{
    const char *key = error ? "log-error" : "log";

    if (strcmp(to, "journal") == 0)
        return xasprintf("%s: %s goes to the journal: 'journalctl SYSLOG_IDENTIFIER=%s' shows it", name, what, name);
    if (strcmp(to, "syslog") == 0)
        return xasprintf("%s: %s goes to syslog: 'grep %s /var/log/syslog' shows it where rsyslog keeps it there", name,
                         what, name);
    if (strcmp(to, "none") == 0)
        return xasprintf("%s: %s is thrown away (%s = none)", name, what, key);
    if (strcmp(to, "tty") == 0)
        return xasprintf("%s: %s goes to its terminal (tty)", name, what);
    char *place = place_of_supd(supd_pid, error);
    char *note = xasprintf("%s: %s goes where supd's own goes (%s = inherit), %s", name, what, key, place);
    free(place);
    return note;
}

char *log_list_note(const json_t *service, enum log_streams streams, int supd_pid)
{
    const json_t *kinds = json_object_get(service, "log-to");
    const char *name = text_member(service, "name");
    bool error = streams == LOG_STREAMS_ERR && errors_are_apart(service);

    if (streams == LOG_STREAMS_ERR && !error && path_of(service, "out"))
        return xasprintf(
            "%s: its errors go where its output goes (it has no log-error), to %s: 'supctl logs %s' shows both", name,
            path_of(service, "out"), name);
    return note_of(name, error ? "its standard error" : "its output", text_member(kinds, error ? "err" : "out"), error,
                   supd_pid);
}
