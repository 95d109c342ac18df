/* SPDX-License-Identifier: MIT */
/*
 * Callers live through a live upgrade: their connections, what they subscribed to, and the answers they wait for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "supd/handover.h"
#include "supd/server_session.h"
#include "supd/upgrade.h"
#include "supd/waiters.h"

/* ---- saving ---- */

/* The number of the batch in the array, where it is put if it is new. */
static int save_batch(json_t *batches, struct batch **seen, struct batch *batch)
{
    size_t n = json_array_size(batches);

    for (size_t i = 0; i < n; i++) {
        if (seen[i] == batch)
            return (int)i;
    }
    seen[n] = batch;
    json_array_append_new(batches,
                          json_pack("{s:O, s:I}", "answers", batch->answers, "pending", (json_int_t)batch->pending));
    return (int)n;
}

static json_t *save_reply(struct reply *reply, json_t *batches, struct batch **seen)
{
    json_t *saved = json_pack("{s:o, s:i}", "wait", reply->save ? reply->save(reply->gone_ctx) : json_null(), "batch",
                              reply->batch ? save_batch(batches, seen, reply->batch) : -1);

    if (reply->id)
        json_object_set(saved, "id", reply->id);
    return saved;
}

static void save_session(void *ctx, struct ctl_client *client)
{
    struct session *session = ctl_client_data(client);
    struct ctl_connection connection = ctl_client_connection(client);
    struct batch **seen = xcalloc(session->waiting + 1, sizeof(struct batch *));
    json_t *batches = json_array();
    json_t *replies = json_array();
    struct reply *reply;

    TAILQ_FOREACH(reply, &session->replies, link)
    {
        json_array_append_new(replies, save_reply(reply, batches, seen));
    }
    free(seen);
    json_t *saved = json_pack("{s:i, s:o, s:o, s:b, s:b, s:o, s:o}", "fd", connection.fd, "in",
                              handover_bytes(connection.in, connection.in_len), "out",
                              handover_bytes(connection.out, connection.out_len), "eof", (int)connection.eof,
                              "subscribed", (int)session->subscribed, "batches", batches, "replies", replies);
    if (session->patterns)
        json_object_set(saved, "patterns", session->patterns);
    json_array_append_new(ctx, saved);
}

json_t *server_save(struct server *server)
{
    json_t *sessions = json_array();

    if (server)
        ctlsock_each(server->sock, save_session, sessions);
    return sessions;
}

/* ---- restoring ---- */

static void restore_reply(struct session *session, const json_t *saved, struct batch **batches, size_t n_batches)
{
    json_int_t batch = json_integer_value(json_object_get(saved, "batch"));
    json_t *wait = json_object_get(saved, "wait");
    const char *kind = json_string_value(json_object_get(wait, "kind"));
    struct reply *reply = session_reply(session, json_object_get(saved, "id"),
                                        batch >= 0 && (size_t)batch < n_batches ? batches[batch] : NULL);

    if (kind && strcmp(kind, "waiter") == 0)
        waiter_restore(session->server->sup, reply, wait);
    else if (kind && strcmp(kind, "upgrade") == 0)
        reply_result(reply, upgrade_result(session->server->sup));
    else
        reply_error(reply, PROTO_E_REFUSED, NULL, "supd was upgraded meanwhile; ask again");
}

static void restore_replies(struct session *session, const json_t *saved)
{
    const json_t *saved_batches = json_object_get(saved, "batches");
    size_t n = json_array_size(saved_batches);
    struct batch **batches = xcalloc(n + 1, sizeof(struct batch *));
    size_t i;
    json_t *item;

    json_array_foreach(saved_batches, i, item)
    {
        batches[i] = xcalloc(1, sizeof *batches[i]);
        batches[i]->answers = json_incref(json_object_get(item, "answers"));
        batches[i]->pending = (size_t)json_integer_value(json_object_get(item, "pending"));
    }
    json_array_foreach(json_object_get(saved, "replies"), i, item)
    {
        restore_reply(session, item, batches, n);
    }
    free(batches);
}

static void restore_session(struct server *server, const json_t *saved)
{
    struct ctl_connection connection = {.fd = (int)json_integer_value(json_object_get(saved, "fd"))};
    char *in = handover_bytes_get(json_object_get(saved, "in"), &connection.in_len);
    char *out = handover_bytes_get(json_object_get(saved, "out"), &connection.out_len);

    connection.in = in;
    connection.out = out;
    connection.eof = json_is_true(json_object_get(saved, "eof"));
    struct ctl_client *client = ctlsock_take_over(server->sock, &connection);
    if (client) {
        struct session *session = ctl_client_data(client);

        if (json_is_true(json_object_get(saved, "subscribed")))
            session_subscribe(session, json_object_get(saved, "patterns"));
        restore_replies(session, saved);
    }
    free(in);
    free(out);
}

void server_restore(struct server *server, const json_t *sessions)
{
    size_t i;
    json_t *session;

    json_array_foreach(sessions, i, session)
    {
        restore_session(server, session);
    }
}
