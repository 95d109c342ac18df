/* SPDX-License-Identifier: MIT */
#include "loop/ctlsock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/ctl_client.h"
#include "os/clock.h"

#define ACCEPTS_PER_TURN 64
#define LOOK_ROUND (1 * USEC_PER_SEC) /* how often the silent are looked for */
#define ACCEPT_PAUSE (1 * USEC_PER_SEC)

static void on_acceptable(void *ctx);

void ctlsock_look(struct ctlsock *sock)
{
    if (sock->looking)
        return;
    sock->looking = true;
    loop_timer_set(sock->look_round, sock->limits.idle < LOOK_ROUND ? sock->limits.idle : LOOK_ROUND);
}

void ctlsock_keep_total(struct ctlsock *sock)
{
    while (sock->held_bytes > sock->limits.max_total) {
        struct ctl_client *client, *most = NULL;
        TAILQ_FOREACH(client, &sock->clients, link)
        {
            if (!most || ctl_client_bytes(client) > ctl_client_bytes(most))
                most = client;
        }
        ctl_client_drop(most, "all clients together hold too much memory");
    }
}

/* Buries the gone and goes on with those that had more than their turn's share of requests. */
static void on_next_turn(void *ctx)
{
    struct ctlsock *sock = ctx;
    struct ctl_client *client;

    while ((client = TAILQ_FIRST(&sock->gone))) {
        TAILQ_REMOVE(&sock->gone, client, link);
        if (client->known)
            sock->handlers.closed(sock->ctx, client);
        ctl_client_free(client);
    }

    /* Those that come back into the list while it is worked off wait for the turn after. */
    sock->turn++;
    while ((client = TAILQ_FIRST(&sock->ready)) && client->queued_in != sock->turn) {
        ctl_client_unqueue(client);
        ctl_client_take_lines(client);
    }
}

/* The silent, and those that have hung up after they had closed their sending side, which wakes nobody. */
static void on_look_round(void *ctx)
{
    struct ctlsock *sock = ctx;
    struct ctl_client *client, *next;
    int64_t now = clock_now().mono;
    bool again = false;

    for (client = TAILQ_FIRST(&sock->clients); client; client = next) {
        next = TAILQ_NEXT(client, link);
        if (client->eof && ctl_client_hung_up(client)) {
            ctl_client_close(client);
            continue;
        }
        if ((client->holds == 0 || client->ending) && now - client->active >= sock->limits.idle) {
            ctl_client_drop(client, "it was silent for too long");
            continue;
        }
        again = again || client->holds == 0 || client->ending || client->eof;
    }
    sock->looking = false;
    if (again)
        ctlsock_look(sock);
}

static bool drop_most_silent(struct ctlsock *sock, const char *why)
{
    struct ctl_client *client;

    TAILQ_FOREACH(client, &sock->clients, link)
    {
        if (client->holds > 0)
            continue;
        ctl_client_drop(client, why);
        return true;
    }
    return false;
}

/* Who is it?  False where the kernel does not say, and then nobody is served. */
static bool read_peer(int fd, struct ctl_peer *peer)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    *peer = (struct ctl_peer){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    peer->pid = cred.pid;
    peer->uid = cred.uid;
    peer->gid = cred.gid;

    /* Linux before 4.13 knows no SO_PEERGROUPS: the primary group then stands alone. */
    len = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
        return true;
    peer->groups = xmalloc(len);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &len) == 0)
        peer->n_groups = len / sizeof *peer->groups;
    return true;
}

static void take_connection(struct ctlsock *sock, int fd)
{
    struct ctl_peer peer;

    sock->stats.accepted++;
    if (sock->stats.clients >= sock->limits.max_clients && !drop_most_silent(sock, "there are too many clients")) {
        sock->stats.dropped++;
        close(fd);
        return;
    }
    if (!read_peer(fd, &peer)) {
        log_warning("control socket: a client that cannot be known is refused: %s", strerror(errno));
        close(fd);
        return;
    }
    ctl_client_new(sock, fd, &peer);
}

/* Watching a listener that cannot be accepted from would wake us for ever. */
static void pause_accepting(struct ctlsock *sock, int error)
{
    if (!sock->starved)
        log_warning("control socket: no new client can be taken, trying again every second: %s", strerror(error));
    sock->starved = true;
    loop_io_free(sock->acceptor);
    sock->acceptor = NULL;
    loop_timer_set(sock->pause_over, ACCEPT_PAUSE);
}

static void on_pause_over(void *ctx)
{
    struct ctlsock *sock = ctx;

    sock->acceptor = loop_io_new(sock->loop, sock->listen_fd, LOOP_READ, on_acceptable, sock);
    if (!sock->acceptor)
        loop_timer_set(sock->pause_over, ACCEPT_PAUSE);
}

/* accept4(2) without a descriptor to give fails before it looks whether anybody is there. */
static bool somebody_waits(const struct ctlsock *sock)
{
    struct pollfd pfd = {.fd = sock->listen_fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

static void on_acceptable(void *ctx)
{
    struct ctlsock *sock = ctx;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(sock->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            sock->starved = false;
            take_connection(sock, fd);
            continue;
        }
        int error = errno;
        if (error == EAGAIN || !somebody_waits(sock))
            return;
        if (error == EINTR || error == ECONNABORTED)
            continue;
        if (error == EMFILE && drop_most_silent(sock, "supd has no descriptor left"))
            continue;
        pause_accepting(sock, error);
        return;
    }
}

struct ctlsock *ctlsock_new(struct loop *loop, int listen_fd, const struct ctl_limits *limits,
                            const struct ctl_handlers *handlers, void *ctx)
{
    struct ctlsock *sock = xcalloc(1, sizeof *sock);

    sock->loop = loop;
    sock->listen_fd = listen_fd;
    sock->limits = *limits;
    sock->handlers = *handlers;
    sock->ctx = ctx;
    TAILQ_INIT(&sock->clients);
    TAILQ_INIT(&sock->ready);
    TAILQ_INIT(&sock->gone);
    sock->pause_over = loop_timer_new(loop, on_pause_over, sock);
    sock->next_turn = loop_timer_new(loop, on_next_turn, sock);
    sock->look_round = loop_timer_new(loop, on_look_round, sock);
    on_pause_over(sock);
    return sock;
}

int ctlsock_listener(const struct ctlsock *sock)
{
    return sock->listen_fd;
}

void ctlsock_each(struct ctlsock *sock, void (*fn)(void *ctx, struct ctl_client *client), void *ctx)
{
    struct ctl_client *client;

    TAILQ_FOREACH(client, &sock->clients, link)
    {
        if (client->known && !client->ending)
            fn(ctx, client);
    }
}

struct ctl_client *ctlsock_take_over(struct ctlsock *sock, const struct ctl_connection *connection)
{
    struct ctl_peer peer;

    if (!read_peer(connection->fd, &peer)) {
        close(connection->fd);
        return NULL;
    }
    return ctl_client_continue(sock, connection, &peer);
}

void ctlsock_free(struct ctlsock *sock)
{
    struct ctl_client *client;

    if (!sock)
        return;
    while ((client = TAILQ_FIRST(&sock->clients))) {
        ctl_client_write(client);
        ctl_client_close(client);
    }
    on_next_turn(sock);
    loop_timer_free(sock->pause_over);
    loop_timer_free(sock->next_turn);
    loop_timer_free(sock->look_round);
    loop_io_free(sock->acceptor);
    close(sock->listen_fd);
    free(sock);
}

struct ctl_stats ctlsock_stats(const struct ctlsock *sock)
{
    return sock->stats;
}
