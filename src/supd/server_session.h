/* SPDX-License-Identifier: MIT */
/*
 * What server.c (requests, answers, events) and server_handover.c (the same callers under another binary) share, and
 * nobody else includes.
 */
#ifndef SUPD_SUPD_SERVER_SESSION_H
#define SUPD_SUPD_SERVER_SESSION_H

#include <sys/queue.h>

#include "supd/server.h"

struct server {
    struct supervisor *sup;
    struct ctlsock *sock;
    LIST_HEAD(, session) subscribers;
    bool closing;
};

/* A connected caller. */
struct session {
    struct server *server;
    struct ctl_client *client;
    bool admin;
    bool subscribed;
    json_t *patterns; /* NULL: every name */
    size_t waiting;
    TAILQ_HEAD(, reply) replies; /* not yet answered */
    LIST_ENTRY(session) link;    /* among the subscribers */
};

/* An array of requests on one line: answered in one line when the last is. */
struct batch {
    json_t *answers;
    size_t pending;
};

struct reply {
    struct session *session;
    json_t *id; /* NULL: a notification */
    struct batch *batch;
    bool held;   /* the client is held for it */
    bool paused; /* and paused */
    void (*gone)(void *ctx);
    json_t *(*save)(void *ctx);
    void *gone_ctx; /* of both */
    TAILQ_ENTRY(reply) link;
};

/* ID may be NULL and is not stolen. */
struct reply *session_reply(struct session *session, json_t *id, struct batch *batch);
/* PATTERNS may be NULL and is not stolen. */
void session_subscribe(struct session *session, json_t *patterns);

#endif
