/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC on the control socket: who may call, requests and batches in,
 * answers and events out.  The verbs are in commands.c.
 */
#ifndef SUPD_SUPD_SERVER_H
#define SUPD_SUPD_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/proto.h"
#include "supd/supervisor.h"

/* The place where one request is to be answered.  Used up by reply_result(), reply_end() or reply_error(). */
struct reply;

/* RESULT and DATA are stolen; DATA may be NULL. */
void reply_result(struct reply *reply, json_t *result);
void reply_error(struct reply *reply, enum proto_error code, json_t *data, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * A long result, written as text: between the two calls it, and nothing else, is added to OUT, which is empty before and
 * behind.
 */
void reply_begin(const struct reply *reply, struct json_out *out);
void reply_end(struct reply *reply, struct json_out *out);

/*
 * The answer will come later: FN is called when the caller hangs up before it.
 * After FN the reply is gone.
 */
void reply_on_gone(struct reply *reply, void (*fn)(void *ctx), void *ctx);

/* No further request of its connection is looked at before it is answered. */
void reply_before_others(struct reply *reply);

/*
 * In a live upgrade SAVE, called with the context of reply_on_gone(), says what the answer waits for: an object with a
 * "kind" that server_restore() knows.  Without it the next binary answers that it has to be asked again.
 */
void reply_on_handover(struct reply *reply, json_t *(*save)(void *ctx));

/* The caller of this request wants events about names that match one of PATTERNS (NULL: all). */
void reply_subscribe(struct reply *reply, json_t *patterns);

/* Listens on sup->socket_path.  NULL with ERR written when that fails. */
struct server *server_new(struct supervisor *sup, char *err, size_t err_size);

/* The configuration in force may name groups now, or none any more: the mode of the socket follows. */
void server_open_to_groups(struct supervisor *sup);
/* Serves a listening descriptor that the binary before has opened; takes it over. */
struct server *server_inherit(struct supervisor *sup, int listen_fd);
/* The listening descriptor, the server's own; -1 for NULL. */
int server_listener(const struct server *server);

/* All callers, for the next binary, and back.  The services are there already. */
json_t *server_save(struct server *server);
void server_restore(struct server *server, const json_t *sessions);

/* Sends what is pending, as far as it goes without waiting, and closes.  NULL is fine, here and below. */
void server_free(struct server *server);

size_t server_clients(const struct server *server);

/* Tells subscribers: SERVICE has left state FROM; a service was "added", "removed" or "changed"; a reload ended. */
void server_tell_state(struct service *service, enum svc_state from);
void server_tell_service(struct supervisor *sup, const char *type, const char *name);
void server_tell_reload(struct supervisor *sup, bool ok);

#endif
