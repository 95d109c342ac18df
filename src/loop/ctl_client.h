/* SPDX-License-Identifier: MIT */
/*
 * What ctlsock.c (the listener, the turns, the look-out for the silent) and ctl_client.c
 * (one connection: its bytes, its lines, its end) share, and nobody else includes.
 */
#ifndef SUPD_LOOP_CTL_CLIENT_H
#define SUPD_LOOP_CTL_CLIENT_H

#include <sys/queue.h>

#include "base/bytebuf.h"
#include "loop/ctlsock.h"

#define ENOUGH_UNREAD (256 * 1024) /* a client with so many answers before it is not asked for more requests */

struct ctl_client {
    TAILQ_ENTRY(ctl_client) link;       /* in the order of `active` */
    TAILQ_ENTRY(ctl_client) ready_link; /* while `ready` */
    struct ctlsock *sock;
    int fd; /* -1 once it is dropped */
    struct loop_io *reader;
    struct loop_io *writer; /* only while there is something that could not be written at once */
    struct bytebuf in;
    struct bytebuf out;
    uint64_t queued_in; /* the turn in which it came into the ready list */
    size_t scanned;     /* bytes of `in` known to hold no newline */
    int64_t active;     /* last whole request, or last byte of an answer that it took */
    unsigned holds;
    unsigned pauses;
    bool known;  /* accepted() took it, so closed() is owed */
    bool ending; /* is closed once `out` is empty; nothing is read any more */
    bool eof;    /* it sends no more, but may still read */
    bool more;   /* `in` may hold another line: in the ready list, or waiting until `out` has shrunk or it is resumed */
    bool ready;  /* in the ready list */
    bool busy;   /* a handler runs for it: it is settled afterwards */
    struct ctl_peer peer;
    void *data;
};

TAILQ_HEAD(client_list, ctl_client);

struct ctlsock {
    struct loop *loop;
    int listen_fd;
    struct loop_io *acceptor; /* NULL while accepting is paused */
    struct loop_timer *pause_over;
    struct loop_timer *next_turn;
    struct loop_timer *look_round;
    bool looking; /* look_round is set */
    bool starved; /* the last accept failed, and it was said */
    struct ctl_limits limits;
    struct ctl_handlers handlers;
    void *ctx;
    struct client_list clients;
    struct client_list ready; /* had their share of this turn, go on in the next */
    struct client_list gone;  /* closed() is owed, then they are freed */
    uint64_t turn;
    size_t held_bytes; /* in `in` and `out` of all clients */
    struct ctl_stats stats;
};

/* Begins to serve the connection FD, which was accepted just now. */
void ctl_client_new(struct ctlsock *sock, int fd, const struct ctl_peer *peer);
/* The same with one that a predecessor has served.  NULL where it is refused. */
struct ctl_client *ctl_client_continue(struct ctlsock *sock, const struct ctl_connection *from,
                                       const struct ctl_peer *peer);

/* Lets go of the connection at once.  The struct stays until the next turn, so that no caller up the stack loses it. */
void ctl_client_close(struct ctl_client *client);
/* The same to a client that did something wrong; WHY is for the log. */
void ctl_client_drop(struct ctl_client *client, const char *why);
void ctl_client_free(struct ctl_client *client);

/* Has it closed both directions? */
bool ctl_client_hung_up(const struct ctl_client *client);

/* Writes what the socket takes. */
void ctl_client_write(struct ctl_client *client);

/* Takes at most per_turn lines, and none while the client has not read what it asked for before. */
void ctl_client_take_lines(struct ctl_client *client);

/* Takes it out of the ready list. */
void ctl_client_unqueue(struct ctl_client *client);

/* What it makes us keep. */
size_t ctl_client_bytes(const struct ctl_client *client);

/* Makes sure that the silent are looked for. */
void ctlsock_look(struct ctlsock *sock);

/* Past max_total the client with the most is dropped, so that the small ones never pay for a big one. */
void ctlsock_keep_total(struct ctlsock *sock);

#endif
