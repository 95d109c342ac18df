/* SPDX-License-Identifier: MIT */
#include "supd/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/memfile.h"
#include "supd/kept.h"
#include "supd/logs.h"
#include "supd/messages.h"
#include "supd/process.h"
#include "supd/server.h"
#include "supd/sockets.h"

/*
 * Raised when a reader of the one before could not make sense of it, or of the state file that goes with it: since 2
 * that tells of control processes.  What is older is read.
 */
#define FORMAT 2

/* ---- bytes ---- */

json_t *handover_bytes(const char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = xmalloc(2 * len + 1);

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[(unsigned char)data[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)data[i] & 15];
    }
    text[2 * len] = '\0';
    json_t *json = json_string(text);
    free(text);
    return json;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *handover_bytes_get(const json_t *json, size_t *len)
{
    const char *text = json_string_value(json);

    if (!text)
        return NULL;
    *len = json_string_length(json) / 2;
    char *data = xmalloc(*len + 1);
    for (size_t i = 0; i < *len; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            free(data);
            return NULL;
        }
        data[i] = (char)(high << 4 | low);
    }
    return data;
}

/* ---- writing ---- */

void handover_key(const char *name, enum process_part part, char key[HANDOVER_KEY_MAX])
{
    static const char *const suffixes[] = {[PART_MAIN] = "", [PART_CONTROL] = "/control", [PART_CHECK] = "/check"};

    /* No service has a slash in its name. */
    snprintf(key, HANDOVER_KEY_MAX, "%s%s", name, suffixes[part]);
}

static void add_process(json_t *object, const struct process *process, enum process_part part)
{
    char key[HANDOVER_KEY_MAX];

    handover_key(process->service->spec->name, part, key);
    json_object_set_new(object, key,
                        json_pack("{s:i, s:i, s:b, s:b}", "pid", (int)process_pid(process), "fd", process->pidfd,
                                  "child", (int)process->is_child, "stored", (int)(process->stored != 0)));
}

static json_t *processes(const struct supervisor *sup)
{
    json_t *object = json_object();

    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        if (svc_has_process(s->svc))
            add_process(object, &s->main, PART_MAIN);
        if (svc_has_control(s->svc))
            add_process(object, process_of(s, PART_CONTROL), PART_CONTROL);
        if (svc_has_check(s->svc))
            add_process(object, process_of(s, PART_CHECK), PART_CHECK);
    }
    return object;
}

static json_t *sockets(const struct supervisor *sup)
{
    json_t *object = json_object();

    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        json_t *array = sockets_save(s);
        json_t *messages = messages_save(s);

        if (!array)
            array = json_array();
        if (messages)
            json_array_append_new(array, messages);
        kept_save(s, array);
        logs_save(s, array);
        if (json_array_size(array) > 0)
            json_object_set(object, s->spec->name, array);
        json_decref(array);
    }
    return object;
}

static json_t *snapshot(struct supervisor *sup)
{
    const struct rlimit *nofile = &sup->baseline.nofile;

    return json_pack("{s:i, s:s, s:s, s:s, s:{s:i}, s:{s:i}, s:b, s:[I, I], s:[I, I], s:o, s:o, s:o}", "format", FORMAT,
                     "version", PACKAGE_VERSION, "binary", sup->binary, "socket", sup->socket_path, "lock", "fd",
                     sup->lock.fd, "listen", "fd", server_listener(sup->server), "syslog", (int)sup->syslog, "started",
                     (json_int_t)sup->started.mono, (json_int_t)sup->started.wall, "nofile",
                     (json_int_t)nofile->rlim_cur, (json_int_t)nofile->rlim_max, "processes", processes(sup),
                     "sessions", server_save(sup->server), "sockets", sockets(sup));
}

int handover_write(struct supervisor *sup)
{
    json_t *root = snapshot(sup);
    char *text = json_dumps(root, JSON_COMPACT);
    int fd = text ? memfile_new("supd-handover", text, strlen(text)) : -EILSEQ;

    free(text);
    json_decref(root);
    return fd;
}

/* ---- reading ---- */

static bool unpack(struct handover *handover, char *err, size_t err_size)
{
    json_int_t mono, wall, soft, hard;
    json_error_t error;
    int format = 0;
    int syslog = 0;

    json_unpack(handover->root, "{s:i, s:s}", "format", &format, "version", &handover->version);
    if (format < 1 || format > FORMAT) {
        snprintf(err, err_size, "supd %s hands over in format %d, and this is supd %s, which knows formats up to %d",
                 handover->version ? handover->version : "?", format, PACKAGE_VERSION, FORMAT);
        return false;
    }
    if (json_unpack_ex(handover->root, &error, 0, "{s:s, s:s, s:{s:i}, s:{s:i}, s:b, s:[I, I], s:[I, I], s:o, s:o}",
                       "binary", &handover->binary, "socket", &handover->socket_path, "lock", "fd", &handover->lock_fd,
                       "listen", "fd", &handover->listen_fd, "syslog", &syslog, "started", &mono, &wall, "nofile",
                       &soft, &hard, "processes", &handover->processes, "sessions", &handover->sessions) < 0) {
        snprintf(err, err_size, "what supd %s hands over makes no sense: %s", handover->version, error.text);
        return false;
    }
    handover->sockets = json_object_get(handover->root, "sockets");
    handover->syslog = syslog;
    handover->started = (struct timestamp){.mono = mono, .wall = wall};
    handover->nofile = (struct rlimit){.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
    return true;
}

static char *read_all(int fd, size_t *len)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return NULL;
    char *text = xmalloc((size_t)st.st_size + 1);
    for (*len = 0; *len < (size_t)st.st_size;) {
        ssize_t n = pread(fd, text + *len, (size_t)st.st_size - *len, (off_t)*len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    return text;
}

struct handover *handover_read(int fd, char *err, size_t err_size)
{
    size_t len;
    json_error_t error;
    char *text = read_all(fd, &len);

    if (!text) {
        snprintf(err, err_size, "--resume %d: %s", fd, strerror(errno));
        return NULL;
    }
    struct handover *handover = xcalloc(1, sizeof *handover);
    handover->root = json_loadb(text, len, 0, &error);
    free(text);
    if (!handover->root)
        snprintf(err, err_size, "--resume %d: %s", fd, error.text);
    if (handover->root && unpack(handover, err, err_size))
        return handover;
    handover_free(handover);
    return NULL;
}

void handover_free(struct handover *handover)
{
    if (!handover)
        return;
    json_decref(handover->root);
    free(handover);
}

static void keep_open(const json_t *holder, bool keep)
{
    const json_t *fd = json_object_get(holder, "fd");

    if (json_integer_value(fd) > STDERR_FILENO)
        fcntl((int)json_integer_value(fd), F_SETFD, keep ? 0 : FD_CLOEXEC);
}

void handover_keep_open(const struct handover *handover, bool keep)
{
    const char *name;
    json_t *process;
    json_t *session;
    json_t *array;
    json_t *socket;
    size_t i;

    keep_open(json_object_get(handover->root, "lock"), keep);
    keep_open(json_object_get(handover->root, "listen"), keep);
    json_object_foreach(handover->processes, name, process)
    {
        keep_open(process, keep);
    }
    json_array_foreach(handover->sessions, i, session)
    {
        keep_open(session, keep);
    }
    json_object_foreach(handover->sockets, name, array)
    {
        json_array_foreach(array, i, socket)
        {
            keep_open(socket, keep);
        }
    }
}

void handover_promise(char *buf, size_t size, pid_t pid)
{
    snprintf(buf, size, "ready to take over from process %d\n", (int)pid);
}

bool handover_process(const struct handover *handover, const char *key, pid_t pid, int *pidfd, bool *is_child)
{
    json_t *process = json_object_get(handover->processes, key);
    int found_pid = 0;
    int child = 0;

    if (json_unpack(process, "{s:i, s:i, s:b}", "pid", &found_pid, "fd", pidfd, "child", &child) < 0 ||
        found_pid != pid)
        return false;
    *is_child = child;
    return true;
}

bool handover_stored(const struct handover *handover, const char *key)
{
    return json_is_true(json_object_get(json_object_get(handover->processes, key), "stored"));
}

int handover_take_socket(const struct handover *handover, const char *name, const char *address, bool *stored)
{
    json_t *socket;
    size_t i;

    json_array_foreach(json_object_get(handover->sockets, name), i, socket)
    {
        const char *listen = json_string_value(json_object_get(socket, "listen"));
        int fd = (int)json_integer_value(json_object_get(socket, "fd"));

        if (listen && strcmp(listen, address) == 0 && fd > STDERR_FILENO) {
            *stored = json_is_true(json_object_get(socket, "stored"));
            json_object_set_new(socket, "fd", json_integer(-1));
            return fd;
        }
    }
    return -1;
}

const char *handover_status(const struct handover *handover, const char *name)
{
    const char *status = NULL;
    json_t *socket;
    size_t i;

    json_array_foreach(json_object_get(handover->sockets, name), i, socket)
    {
        if (json_object_get(socket, "status"))
            status = json_string_value(json_object_get(socket, "status"));
    }
    return status;
}

static void drop_socket(struct supervisor *sup, const char *service, const json_t *socket)
{
    const char *listen = json_string_value(json_object_get(socket, "listen"));
    int fd = (int)json_integer_value(json_object_get(socket, "fd"));
    char name[FDSTORE_NAME_MAX];

    if (!listen || fd <= STDERR_FILENO)
        return;
    if (json_is_true(json_object_get(socket, "stored")))
        sdnotify_unstore(sup->sd, fdstore_socket_name(service, listen, name));
    close(fd);
}

void handover_drop_sockets(const struct handover *handover, struct supervisor *sup)
{
    const char *service;
    json_t *array;
    json_t *socket;
    size_t i;

    json_object_foreach(handover->sockets, service, array)
    {
        json_array_foreach(array, i, socket)
        {
            drop_socket(sup, service, socket);
        }
    }
    notify_flush(sup);
}
