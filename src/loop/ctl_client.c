/* SPDX-License-Identifier: MIT */
#include "loop/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"

#define READ_SIZE (64 * 1024) /* taken from one client in one turn */

static void on_readable(void *ctx);
static void on_writable(void *ctx);

size_t ctl_client_bytes(const struct ctl_client *client)
{
    return client->in.len + client->out.len;
}

static void client_queue(struct ctl_client *client)
{
    client->ready = true;
    client->queued_in = client->sock->turn;
    TAILQ_INSERT_TAIL(&client->sock->ready, client, ready_link);
    loop_timer_set(client->sock->next_turn, 0);
}

void ctl_client_unqueue(struct ctl_client *client)
{
    client->ready = false;
    TAILQ_REMOVE(&client->sock->ready, client, ready_link);
}

void ctl_client_close(struct ctl_client *client)
{
    struct ctlsock *sock = client->sock;

    if (client->fd < 0)
        return;
    loop_io_free(client->reader);
    loop_io_free(client->writer);
    client->reader = client->writer = NULL;
    close(client->fd);
    client->fd = -1;
    client->more = false;
    if (client->ready)
        ctl_client_unqueue(client);
    sock->held_bytes -= ctl_client_bytes(client);
    sock->stats.clients--;
    bytebuf_free(&client->out);
    TAILQ_REMOVE(&sock->clients, client, link);
    TAILQ_INSERT_TAIL(&sock->gone, client, link);
    loop_timer_set(sock->next_turn, 0);
}

void ctl_client_drop(struct ctl_client *client, const char *why)
{
    if (client->fd < 0)
        return;
    log_debug("control socket: client with pid %d dropped: %s", (int)client->peer.pid, why);
    client->sock->stats.dropped++;
    ctl_client_close(client);
}

void ctl_client_free(struct ctl_client *client)
{
    bytebuf_free(&client->in);
    free(client->peer.groups);
    free(client);
}

static void client_touch(struct ctl_client *client)
{
    client->active = clock_now().mono;
    TAILQ_REMOVE(&client->sock->clients, client, link);
    TAILQ_INSERT_TAIL(&client->sock->clients, client, link);
}

bool ctl_client_hung_up(const struct ctl_client *client)
{
    struct pollfd pfd = {.fd = client->fd};

    return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

/* MSG_NOSIGNAL: a SIGPIPE must not depend on what the program did about it. */
void ctl_client_write(struct ctl_client *client)
{
    bool progress = false;

    while (client->out.len > 0) {
        ssize_t n = send(client->fd, bytebuf_data(&client->out), client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            ctl_client_close(client);
            return;
        }
        bytebuf_consume(&client->out, (size_t)n);
        client->sock->held_bytes -= (size_t)n;
        progress = true;
    }
    if (progress)
        client_touch(client);
}

/* Brings what is watched, and whether the connection goes on, into line with what the client has and owes. */
static void client_settle(struct ctl_client *client)
{
    struct loop *loop = client->sock->loop;

    if (client->fd < 0 || client->busy)
        return;
    if (client->out.len == 0 && (client->ending || (client->eof && !client->more && client->holds == 0))) {
        ctl_client_close(client);
        return;
    }

    if (client->out.len > 0 && !client->writer) {
        client->writer = loop_io_new(loop, client->fd, LOOP_WRITE, on_writable, client);
    } else if (client->out.len == 0) {
        loop_io_free(client->writer);
        client->writer = NULL;
    }

    bool want_read = !client->ending && !client->eof && !client->more;
    if (want_read && !client->reader) {
        client->reader = loop_io_new(loop, client->fd, LOOP_READ, on_readable, client);
    } else if (!want_read) {
        loop_io_free(client->reader);
        client->reader = NULL;
    }
    if ((want_read && !client->reader) || (client->out.len > 0 && !client->writer))
        ctl_client_drop(client, "it cannot be watched");
}

/* Length of the first line of `in` with its newline, or 0 while there is no whole one. */
static size_t client_find_line(struct ctl_client *client)
{
    if (client->in.len == client->scanned)
        return 0;
    const char *data = bytebuf_data(&client->in);
    const char *end = memchr(data + client->scanned, '\n', client->in.len - client->scanned);
    if (end)
        return (size_t)(end - data) + 1;
    client->scanned = client->in.len;
    return 0;
}

static void client_too_long(struct ctl_client *client)
{
    client->ending = true;
    client->sock->stats.dropped++;
    client->sock->handlers.too_long(client->sock->ctx, client);
}

/* Takes the next line; false when there is none to take now. */
static bool client_take_line(struct ctl_client *client)
{
    struct ctlsock *sock = client->sock;
    size_t len = client_find_line(client);
    size_t so_far = len > 0 ? len - 1 : client->in.len;

    if (so_far > sock->limits.max_line) {
        client_too_long(client);
        return false;
    }
    if (len == 0)
        return false;

    client_touch(client);
    if (len > 1)
        sock->handlers.line(sock->ctx, client, bytebuf_data(&client->in), len - 1);
    if (client->fd < 0)
        return false;
    bytebuf_consume(&client->in, len);
    sock->held_bytes -= len;
    client->scanned = 0;
    return true;
}

static bool may_take_lines(const struct ctl_client *client)
{
    return client->out.len < ENOUGH_UNREAD && client->pauses == 0;
}

void ctl_client_take_lines(struct ctl_client *client)
{
    bool taken = true;
    unsigned n = 0;

    client->busy = true;
    while (taken && n++ < client->sock->limits.per_turn && may_take_lines(client))
        taken = client_take_line(client);
    client->busy = false;

    client->more = taken && client->fd >= 0 && client->in.len > 0;
    if (client->more && may_take_lines(client))
        client_queue(client);
    client_settle(client);
}

static void on_readable(void *ctx)
{
    struct ctl_client *client = ctx;
    ssize_t n = recv(client->fd, bytebuf_reserve(&client->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && ctl_client_hung_up(client))) {
        ctl_client_close(client);
        return;
    }
    if (n == 0) {
        client->eof = true;
        ctlsock_look(client->sock);
    }
    bytebuf_commit(&client->in, (size_t)n);
    client->sock->held_bytes += (size_t)n;
    ctl_client_take_lines(client);
    ctlsock_keep_total(client->sock);
}

static void on_writable(void *ctx)
{
    struct ctl_client *client = ctx;

    ctl_client_write(client);
    if (client->more && !client->ready && may_take_lines(client))
        ctl_client_take_lines(client);
    else
        client_settle(client);
}

static struct ctl_client *client_make(struct ctlsock *sock, int fd, const struct ctl_peer *peer)
{
    struct ctl_client *client = xcalloc(1, sizeof *client);

    client->sock = sock;
    client->fd = fd;
    client->peer = *peer;
    client->active = clock_now().mono;
    TAILQ_INSERT_TAIL(&sock->clients, client, link);
    sock->stats.clients++;
    ctlsock_look(sock);
    return client;
}

static void client_introduce(struct ctl_client *client)
{
    struct ctlsock *sock = client->sock;

    client->busy = true;
    client->known = sock->handlers.accepted(sock->ctx, client);
    client->ending = !client->known;
    client->busy = false;
    client_settle(client);
}

void ctl_client_new(struct ctlsock *sock, int fd, const struct ctl_peer *peer)
{
    client_introduce(client_make(sock, fd, peer));
}

struct ctl_client *ctl_client_continue(struct ctlsock *sock, const struct ctl_connection *from,
                                       const struct ctl_peer *peer)
{
    struct ctl_client *client = client_make(sock, from->fd, peer);

    bytebuf_append(&client->in, from->in, from->in_len);
    bytebuf_append(&client->out, from->out, from->out_len);
    sock->held_bytes += from->in_len + from->out_len;
    client->eof = from->eof;
    /* Its lines are taken in the next turn; until then its owner may put back what it waits for. */
    client->more = true;
    client_queue(client);
    client_introduce(client);
    return client->known && client->fd >= 0 ? client : NULL;
}

struct ctl_connection ctl_client_connection(const struct ctl_client *client)
{
    return (struct ctl_connection){
        .fd = client->fd,
        .in = bytebuf_data(&client->in),
        .in_len = client->in.len,
        .out = bytebuf_data(&client->out),
        .out_len = client->out.len,
        .eof = client->eof,
    };
}

void ctl_client_send(struct ctl_client *client, const char *data, size_t len)
{
    struct ctlsock *sock = client->sock;

    if (client->fd < 0)
        return;
    bytebuf_append(&client->out, data, len);
    sock->held_bytes += len;
    if (!client->writer)
        ctl_client_write(client);
    if (client->fd >= 0 && client->out.len > sock->limits.max_backlog)
        ctl_client_drop(client, "it does not read its answers");
    ctlsock_keep_total(sock);
    client_settle(client);
}

void ctl_client_hold(struct ctl_client *client)
{
    client->holds++;
}

void ctl_client_unhold(struct ctl_client *client)
{
    client->holds--;
    if (client->fd < 0 || client->holds > 0)
        return;
    client_touch(client);
    ctlsock_look(client->sock);
    client_settle(client);
}

void ctl_client_pause(struct ctl_client *client)
{
    client->pauses++;
}

/* What it has sent is taken in the next turn: its owner may be amid an answer. */
void ctl_client_resume(struct ctl_client *client)
{
    client->pauses--;
    if (client->fd >= 0 && client->more && !client->busy && !client->ready && may_take_lines(client))
        client_queue(client);
}

const struct ctl_peer *ctl_client_peer(const struct ctl_client *client)
{
    return &client->peer;
}

void ctl_client_set_data(struct ctl_client *client, void *data)
{
    client->data = data;
}

void *ctl_client_data(const struct ctl_client *client)
{
    return client->data;
}
