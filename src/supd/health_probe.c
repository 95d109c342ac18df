/* SPDX-License-Identifier: MIT */
#include "supd/health_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "core/http.h"
#include "os/probe.h"

#define WORDS_MAX 192

struct health_probe {
    struct loop *loop;
    health_probe_fn fn;
    void *ctx;
    int fd;        /* -1: not connected, for .error */
    int error;     /* -errno */
    char *subject; /* what it is about */
    struct loop_io *io;
    struct loop_timer *timer; /* to tell what was known at once */

    /* http; of tcp .request is NULL */
    char *request;
    size_t sent;
    struct spec_statuses wanted;
    char *needle; /* NULL: any body will do */
    struct buf answer;
    struct buf body;
};

const char *health_probe_subject(const struct health_probe *probe)
{
    return probe->subject;
}

void health_probe_free(struct health_probe *probe)
{
    if (!probe)
        return;
    loop_io_free(probe->io);
    loop_timer_free(probe->timer);
    if (probe->fd >= 0)
        close(probe->fd);
    free(probe->subject);
    free(probe->request);
    free(probe->needle);
    buf_free(&probe->answer);
    buf_free(&probe->body);
    free(probe);
}

static void tell(struct health_probe *probe, bool ok, const char *how)
{
    char words[WORDS_MAX];

    snprintf(words, sizeof words, "%.120s: %.64s", probe->subject, how);
    loop_io_free(probe->io);
    probe->io = NULL;
    probe->fn(probe->ctx, ok, words);
    health_probe_free(probe);
}

static void tell_error(struct health_probe *probe, int error)
{
    tell(probe, false, strerror(-error));
}

/* ---- http ---- */

static bool has_needle(const struct health_probe *probe)
{
    return memmem(probe->body.data, probe->body.len, probe->needle, strlen(probe->needle)) != NULL;
}

/* Tells what has come of it, as soon as that is known; then the probe is gone. */
static void judge(struct health_probe *probe, bool at_end)
{
    int status = 0;
    char how[32];
    enum http_progress progress =
        http_read(probe->answer.len > 0 ? probe->answer.data : "", probe->answer.len, at_end, &status, &probe->body);

    snprintf(how, sizeof how, "%d", status);
    if (progress == HTTP_MORE)
        return;
    if (progress == HTTP_BAD) {
        tell(probe, false, probe->answer.len == 0 ? "the connection was closed without an answer" : "no HTTP answer");
    } else if ((unsigned)status < probe->wanted.first || (unsigned)status > probe->wanted.last) {
        tell(probe, false, how);
    } else if (!probe->needle || (probe->body.len > 0 && has_needle(probe))) {
        tell(probe, true, how);
    } else if (progress == HTTP_WHOLE) {
        snprintf(how, sizeof how, "%d, body does not match", status);
        tell(probe, false, how);
    }
}

static void on_readable(void *ctx)
{
    struct health_probe *probe = ctx;
    char data[4096];
    ssize_t n = recv(probe->fd, data, sizeof data, 0);

    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        /* Some say all that they have to, and then cut the line. */
        if (probe->answer.len == 0)
            tell_error(probe, -errno);
        else
            judge(probe, true);
        return;
    }
    if ((size_t)n > HTTP_ANSWER_MAX - probe->answer.len)
        n = (ssize_t)(HTTP_ANSWER_MAX - probe->answer.len);
    buf_add(&probe->answer, data, (size_t)n);
    judge(probe, n == 0 || probe->answer.len == HTTP_ANSWER_MAX);
}

static void send_request(struct health_probe *probe)
{
    size_t left = strlen(probe->request) - probe->sent;
    ssize_t n = send(probe->fd, probe->request + probe->sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        tell_error(probe, -errno);
        return;
    }
    if (n > 0)
        probe->sent += (size_t)n;
    if (probe->sent < strlen(probe->request))
        return;
    loop_io_free(probe->io);
    probe->io = loop_io_new(probe->loop, probe->fd, LOOP_READ, on_readable, probe);
}

/* ---- the connection ---- */

static void on_writable(void *ctx)
{
    struct health_probe *probe = ctx;
    int rc = probe_connected(probe->fd);

    if (rc == 0)
        return;
    if (rc < 0)
        tell_error(probe, rc);
    else if (probe->request)
        send_request(probe);
    else
        tell(probe, true, "connected");
}

static void on_timer(void *ctx)
{
    struct health_probe *probe = ctx;

    tell_error(probe, probe->error);
}

/* What was read with the configuration is read again: it is looked at once in a while only. */
static void read_where(struct health_probe *probe, const struct spec_check *check, struct socket_spec *address)
{
    struct check_http http;
    char err[256];

    if (!check->http) {
        if (!check_tcp_parse(check->tcp, address, err, sizeof err))
            abort(); /* spec_set() has read it */
        probe->subject = xasprintf("%s%s", strncmp(check->tcp, "unix:", 5) == 0 ? "" : "tcp ", check->tcp);
        return;
    }
    if (!check_http_parse(check->http, &http, err, sizeof err))
        abort();
    *address = http.address;
    probe->subject = xasprintf("GET %s", http.path[0] ? http.path : "/");
    probe->request = http_request(&http);
    probe->wanted = check->http_status;
    probe->needle = xstrdup(check->http_body);
}

struct health_probe *health_probe_new(struct loop *loop, const struct spec_check *check, health_probe_fn fn, void *ctx)
{
    struct health_probe *probe = xcalloc(1, sizeof *probe);
    struct socket_spec address;

    probe->loop = loop;
    probe->fn = fn;
    probe->ctx = ctx;
    read_where(probe, check, &address);
    probe->fd = probe_connect(&address);
    probe->error = probe->fd;
    if (probe->fd >= 0)
        probe->io = loop_io_new(loop, probe->fd, LOOP_WRITE, on_writable, probe);
    if (probe->fd >= 0 && !probe->io)
        probe->error = -errno;
    if (!probe->io) {
        probe->timer = loop_timer_new(loop, on_timer, probe);
        loop_timer_set(probe->timer, 0);
    }
    return probe;
}
