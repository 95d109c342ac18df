/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "supd/commands.h"
#include "supd/server_session.h"
#include "supd/usage.h"

/* Answers that one caller may wait for at a time. */
#define MAX_WAITING 256

static const struct ctl_limits limits = {
    .max_line = PROTO_MAX_REQUEST,
    .max_backlog = 16 * 1024 * 1024,
    .max_total = 64 * 1024 * 1024,
    .max_clients = 4096,
    .idle = 30 * USEC_PER_SEC,
    .per_turn = 16,
};

/* ---- answers ---- */

static void send_message(struct session *session, json_t *message)
{
    size_t len;
    char *line = proto_encode(message, &len);

    ctl_client_send(session->client, line, len);
    free(line);
    json_decref(message);
}

static void batch_done(struct session *session, struct batch *batch)
{
    if (--batch->pending > 0)
        return;
    if (json_array_size(batch->answers) > 0)
        send_message(session, batch->answers);
    else
        json_decref(batch->answers);
    free(batch);
}

struct reply *session_reply(struct session *session, json_t *id, struct batch *batch)
{
    struct reply *reply = xcalloc(1, sizeof *reply);

    reply->session = session;
    reply->id = json_incref(id);
    reply->batch = batch;
    session->waiting++;
    TAILQ_INSERT_TAIL(&session->replies, reply, link);
    return reply;
}

static void reply_free(struct reply *reply)
{
    struct session *session = reply->session;

    TAILQ_REMOVE(&session->replies, reply, link);
    session->waiting--;
    if (reply->paused)
        ctl_client_resume(session->client);
    if (reply->held)
        ctl_client_unhold(session->client);
    json_decref(reply->id);
    free(reply);
}

/* MESSAGE is stolen; it is the answer to a request that had an id. */
static void reply_send(struct reply *reply, json_t *message)
{
    struct session *session = reply->session;
    struct batch *batch = reply->batch;

    if (!reply->id)
        json_decref(message);
    else if (batch)
        json_array_append_new(batch->answers, message);
    else
        send_message(session, message);
    reply_free(reply);
    if (batch)
        batch_done(session, batch);
}

void reply_result(struct reply *reply, json_t *result)
{
    reply_send(reply, proto_result(reply->id, result));
}

void reply_begin(const struct reply *reply, struct json_out *out)
{
    json_out_open(out, '{');
    json_out_key(out, "jsonrpc");
    json_out_string(out, "2.0");
    json_out_key(out, "id");
    if (reply->id)
        json_out_tree(out, reply->id);
    else
        json_out_null(out);
    json_out_key(out, "result");
}

void reply_end(struct reply *reply, struct json_out *out)
{
    json_out_close(out, '}');
    if (reply->batch || !reply->id) {
        reply_send(reply, json_out_read(out));
    } else {
        buf_add_char(&out->text, '\n');
        ctl_client_send(reply->session->client, out->text.data, out->text.len);
        reply_free(reply);
    }
    buf_free(&out->text);
}

void reply_error(struct reply *reply, enum proto_error code, json_t *data, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    reply_send(reply, proto_error(reply->id, code, data, "%s", text));
    free(text);
}

void reply_on_gone(struct reply *reply, void (*fn)(void *ctx), void *ctx)
{
    reply->gone = fn;
    reply->gone_ctx = ctx;
    if (!reply->held)
        ctl_client_hold(reply->session->client);
    reply->held = true;
}

void reply_before_others(struct reply *reply)
{
    if (!reply->paused)
        ctl_client_pause(reply->session->client);
    reply->paused = true;
}

void reply_on_handover(struct reply *reply, json_t *(*save)(void *ctx))
{
    reply->save = save;
}

void session_subscribe(struct session *session, json_t *patterns)
{
    json_decref(session->patterns);
    session->patterns = json_incref(patterns);
    if (session->subscribed)
        return;
    session->subscribed = true;
    ctl_client_hold(session->client);
    LIST_INSERT_HEAD(&session->server->subscribers, session, link);
}

void reply_subscribe(struct reply *reply, json_t *patterns)
{
    session_subscribe(reply->session, patterns);
}

/* ---- requests ---- */

static void handle_request(struct session *session, json_t *message, struct batch *batch)
{
    struct proto_request request;
    enum proto_error code = PROTO_E_INTERNAL;
    char err[256];

    if (!proto_request_parse(message, &request, &code, err, sizeof err)) {
        json_t *answer = proto_error(request.id, code, NULL, "%s", err);

        if (batch)
            json_array_append_new(batch->answers, answer);
        else
            send_message(session, answer);
        proto_request_clear(&request);
        if (batch)
            batch_done(session, batch);
        return;
    }

    struct reply *reply = session_reply(session, request.id, batch);
    if (session->waiting > MAX_WAITING)
        reply_error(reply, PROTO_E_REFUSED, NULL, "too many requests are waiting on this connection");
    else
        command_run(session->server->sup, request.method, request.params, session->admin, reply);
    proto_request_clear(&request);
}

static void handle_batch(struct session *session, json_t *messages)
{
    size_t n = json_array_size(messages);

    if (n == 0) {
        send_message(session, proto_error(NULL, PROTO_E_INVALID_REQUEST, NULL, "an empty batch"));
        return;
    }
    struct batch *batch = xcalloc(1, sizeof *batch);
    batch->answers = json_array();
    batch->pending = n + 1; /* one for ourselves, so that it does not end while we walk it */
    for (size_t i = 0; i < n; i++)
        handle_request(session, json_array_get(messages, i), batch);
    batch_done(session, batch);
}

static void on_line(void *ctx, struct ctl_client *client, const char *line, size_t len)
{
    struct session *session = ctl_client_data(client);
    json_error_t error;

    (void)ctx;
    json_t *message = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!message) {
        send_message(session,
                     proto_error(NULL, PROTO_E_PARSE, NULL, "not JSON: %s, byte %d", error.text, error.position));
        return;
    }
    if (json_is_array(message))
        handle_batch(session, message);
    else
        handle_request(session, message, NULL);
    json_decref(message);
}

static void on_too_long(void *ctx, struct ctl_client *client)
{
    struct session *session = ctl_client_data(client);

    (void)ctx;
    send_message(session, proto_error(NULL, PROTO_E_INVALID_REQUEST, NULL, "a request is at most %d bytes long",
                                      PROTO_MAX_REQUEST));
}

/* ---- callers ---- */

static bool peer_in_group(const struct ctl_peer *peer, gid_t gid)
{
    if (peer->gid == gid)
        return true;
    for (size_t i = 0; i < peer->n_groups; i++) {
        if (peer->groups[i] == gid)
            return true;
    }
    return false;
}

static bool on_accepted(void *ctx, struct ctl_client *client)
{
    struct server *server = ctx;
    const struct settings *settings = &server->sup->config->settings;
    const struct ctl_peer *peer = ctl_client_peer(client);
    bool admin =
        peer->uid == 0 || peer->uid == geteuid() || (settings->admin_group && peer_in_group(peer, settings->admin_gid));
    bool reader = settings->read_group && peer_in_group(peer, settings->read_gid);
    struct session *session = xcalloc(1, sizeof *session);

    session->server = server;
    session->client = client;
    session->admin = admin;
    TAILQ_INIT(&session->replies);
    if (!admin && !reader) {
        log_info("control socket: uid %u (pid %d) is not permitted", peer->uid, peer->pid);
        send_message(session, proto_error(NULL, PROTO_E_NOT_PERMITTED, NULL,
                                          "not permitted: uid %u is in neither admin-group nor read-group", peer->uid));
        free(session);
        return false;
    }
    ctl_client_set_data(client, session);
    return true;
}

static void on_closed(void *ctx, struct ctl_client *client)
{
    struct session *session = ctl_client_data(client);
    struct reply *reply;

    (void)ctx;
    if (session->subscribed)
        LIST_REMOVE(session, link);
    while ((reply = TAILQ_FIRST(&session->replies))) {
        struct batch *batch = reply->batch;

        if (reply->gone)
            reply->gone(reply->gone_ctx);
        reply->held = reply->paused = false;
        reply_free(reply);
        if (batch && --batch->pending == 0) {
            json_decref(batch->answers);
            free(batch);
        }
    }
    json_decref(session->patterns);
    free(session);
}

static const char *listen_error(int error)
{
    if (error == -ENAMETOOLONG)
        return "the path is too long (107 bytes at most)";
    if (error == -EADDRINUSE)
        return "another process answers there: a supd whose lock was removed?";
    return strerror(-error);
}

static struct server *serve_on(struct supervisor *sup, int fd)
{
    static const struct ctl_handlers handlers = {
        .accepted = on_accepted,
        .line = on_line,
        .too_long = on_too_long,
        .closed = on_closed,
    };
    struct server *server = xcalloc(1, sizeof *server);

    server->sup = sup;
    LIST_INIT(&server->subscribers);
    server->sock = ctlsock_new(sup->loop, fd, &limits, &handlers, server);
    return server;
}

/* With a group the groups of each caller decide. */
static mode_t socket_mode(const struct supervisor *sup)
{
    const struct settings *settings = &sup->config->settings;

    return settings->admin_group || settings->read_group ? 0666 : 0600;
}

void server_open_to_groups(struct supervisor *sup)
{
    if (sup->server && chmod(sup->socket_path, socket_mode(sup)) < 0)
        log_error("cannot set the mode of the control socket %s: %s", sup->socket_path, strerror(errno));
}

struct server *server_new(struct supervisor *sup, char *err, size_t err_size)
{
    int fd = ctlsock_listen(sup->socket_path, socket_mode(sup));

    if (fd < 0) {
        snprintf(err, err_size, "cannot listen on the control socket %s: %s", sup->socket_path, listen_error(fd));
        return NULL;
    }
    return serve_on(sup, fd);
}

struct server *server_inherit(struct supervisor *sup, int listen_fd)
{
    return serve_on(sup, listen_fd);
}

int server_listener(const struct server *server)
{
    return server ? ctlsock_listener(server->sock) : -1;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    server->closing = true;
    ctlsock_free(server->sock);
    free(server);
}

size_t server_clients(const struct server *server)
{
    return server ? ctlsock_stats(server->sock).clients : 0;
}

/* ---- events ---- */

static bool wants(const struct session *session, const char *name)
{
    size_t i;
    json_t *pattern;

    if (!session->patterns || !name)
        return true;
    json_array_foreach(session->patterns, i, pattern)
    {
        if (proto_name_matches(json_string_value(pattern), name))
            return true;
    }
    return false;
}

static bool anybody_listens(const struct supervisor *sup)
{
    return sup->server && !sup->server->closing && !LIST_EMPTY(&sup->server->subscribers);
}

/* PARAMS is stolen.  NAME is NULL for what concerns everybody. */
static void tell(struct supervisor *sup, const char *name, json_t *params)
{
    json_t *message = proto_notification("event", params);
    size_t len;
    char *line = proto_encode(message, &len);
    struct session *session;

    LIST_FOREACH(session, &sup->server->subscribers, link)
    {
        if (wants(session, name))
            ctl_client_send(session->client, line, len);
    }
    free(line);
    json_decref(message);
}

void server_tell_state(struct service *service, enum svc_state from)
{
    const struct svc *svc = service->svc;
    char words[SVC_REASON_WORDS_MAX];

    if (!anybody_listens(service->sup))
        return;
    json_t *params =
        json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s}", "type", "state", "at", proto_seconds(clock_now().wall), "name",
                  service->spec->name, "from", svc_state_name(from), "to", svc_state_name(svc->state), "state",
                  svc_state_name(svc->state), "desired", svc->desired_up ? "up" : "down");
    json_object_set_new(params, "pid", svc_has_process(svc) ? json_integer(svc->proc.pid) : json_null());
    const char *reason = svc_reason_words(svc, words, sizeof words);
    json_object_set_new(params, "reason", reason ? json_string(reason) : json_null());
    json_object_set_new(params, "exit", proto_exit_tree(&svc->exit, usage_last(service)));
    tell(service->sup, service->spec->name, params);
}

void server_tell_service(struct supervisor *sup, const char *type, const char *name)
{
    if (!anybody_listens(sup))
        return;
    tell(sup, name, json_pack("{s:s, s:o, s:s}", "type", type, "at", proto_seconds(clock_now().wall), "name", name));
}

void server_tell_reload(struct supervisor *sup, bool ok)
{
    if (!anybody_listens(sup))
        return;
    tell(sup, NULL,
         json_pack("{s:s, s:o, s:n, s:b}", "type", "reload", "at", proto_seconds(clock_now().wall), "name", "ok", ok));
}
