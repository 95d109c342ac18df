/* SPDX-License-Identifier: MIT */
/*
 * The control socket's plumbing: listening, who is calling, lines in, lines out.
 *
 * No client can hold the loop or the memory: a line has a greatest length, a
 * client that is silent, that does not read its answers or that sends without end
 * is dropped, and only so many requests of one client are taken in one turn.
 * Knows nothing of JSON.
 */
#ifndef SUPD_LOOP_CTLSOCK_H
#define SUPD_LOOP_CTLSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/loop.h"

struct ctlsock;
struct ctl_client;

struct ctl_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary, SO_PEERGROUPS */
    size_t n_groups;
};

struct ctl_limits {
    size_t max_line;    /* bytes of one request */
    size_t max_backlog; /* bytes of answers that one client has not read yet */
    size_t max_total;   /* what is held for all clients, both ways; past it the one with the most is dropped */
    size_t max_clients; /* past it the longest silent one is dropped, or the new one where none is silent */
    int64_t idle;       /* us without a whole request or a byte of an answer read, then it is dropped, unless held */
    unsigned per_turn;  /* requests of one client in one turn of the loop */
};

struct ctl_handlers {
    /* A new caller.  False: it is closed after what was sent to it here has been written. */
    bool (*accepted)(void *ctx, struct ctl_client *client);
    /* A line, without its newline, LEN bytes, may hold NULs; not empty.  Gone when the handler returns. */
    void (*line)(void *ctx, struct ctl_client *client, const char *line, size_t len);
    /* The line was longer than max_line; the client is closed after what is sent here. */
    void (*too_long)(void *ctx, struct ctl_client *client);
    /* The client is gone or dropped; forget it.  Not called for one that accepted() refused. */
    void (*closed)(void *ctx, struct ctl_client *client);
};

/*
 * Makes and listens on the Unix socket PATH with MODE, replacing a dead one there
 * (the caller holds the lock, so no living supd owns it).  Returns the descriptor,
 * or -errno.  -ENAMETOOLONG: the path does not fit an address.  -EADDRINUSE: somebody
 * listens there all the same (another runtime directory, the same socket path), for 2 s
 * already: a child of a dead one may have it a moment longer than the lock.
 * -ENOTSOCK: there is something else than a socket.
 */
int ctlsock_listen(const char *path, mode_t mode);

/* Serves LISTEN_FD, which it takes over. */
struct ctlsock *ctlsock_new(struct loop *loop, int listen_fd, const struct ctl_limits *limits,
                            const struct ctl_handlers *handlers, void *ctx);
/* Tries to write what is pending (not waiting), closes everybody, with closed() for each.  Not to be called in a handler. */
void ctlsock_free(struct ctlsock *sock);

/* Queues LEN bytes, whole lines, for the client.  May drop the client: it is told by closed(), in a later turn. */
void ctl_client_send(struct ctl_client *client, const char *data, size_t len);

/* A held client (it waits for an answer, or has subscribed) is not dropped for silence.  Counted: hold and unhold pair up. */
void ctl_client_hold(struct ctl_client *client);
void ctl_client_unhold(struct ctl_client *client);

/* No line of a paused client is taken; the rest of what it does is seen.  Counted as well. */
void ctl_client_pause(struct ctl_client *client);
void ctl_client_resume(struct ctl_client *client);

const struct ctl_peer *ctl_client_peer(const struct ctl_client *client);
/* The owner's own pointer, NULL at first. */
void ctl_client_set_data(struct ctl_client *client, void *data);
void *ctl_client_data(const struct ctl_client *client);

/* A connection as a successor of this process, which inherits its descriptors, needs it. */
struct ctl_connection {
    int fd;
    const char *in; /* read and not yet taken */
    size_t in_len;
    const char *out; /* not yet written */
    size_t out_len;
    bool eof; /* it sends no more */
};

/* The listening descriptor, ctlsock's own. */
int ctlsock_listener(const struct ctlsock *sock);
/* Calls FN for each client that is served, but not for one that is only waited for to read its last answer. */
void ctlsock_each(struct ctlsock *sock, void (*fn)(void *ctx, struct ctl_client *client), void *ctx);
/* What is borrowed stands until the next turn of the loop. */
struct ctl_connection ctl_client_connection(const struct ctl_client *client);
/*
 * Goes on with a connection that a predecessor accepted; takes the descriptor over and copies the bytes.  accepted() is
 * asked as for a new one: NULL where it refuses.  Not to be called in a handler.
 */
struct ctl_client *ctlsock_take_over(struct ctlsock *sock, const struct ctl_connection *connection);

struct ctl_stats {
    size_t clients;
    uint64_t accepted;
    uint64_t dropped;
};

struct ctl_stats ctlsock_stats(const struct ctlsock *sock);

#endif
