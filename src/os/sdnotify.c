/* SPDX-License-Identifier: MIT */
#include "os/sdnotify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

/* systemd ignores a longer datagram as a whole. */
#define MESSAGE_MAX 4096

/* Superseded messages are dropped, so only senders of ever new kinds of messages get here. */
#define QUEUE_MAX 16

/* A descriptor on its way into the fd store, or a name on its way out. */
struct store_op {
    char name[32];
    int fd; /* -1: to be removed */
    TAILQ_ENTRY(store_op) link;
    UT_hash_handle hh; /* only those to be stored */
};

struct sdnotify {
    int fd;
    bool connected;
    bool said; /* that messages are lost; not again until one has gone out */
    struct sockaddr_un addr;
    socklen_t addr_len;
    int64_t watchdog_usec;
    char *queue[QUEUE_MAX]; /* oldest first */
    size_t n;
    TAILQ_HEAD(, store_op) ops; /* sent after the messages; at most two a descriptor that we hold */
    struct store_op *to_store;  /* by name */
};

static bool parse_address(const char *text, struct sockaddr_un *addr, socklen_t *addr_len)
{
    size_t len = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || len < 2) {
        log_error("NOTIFY_SOCKET=%s: not an absolute path or an @abstract address; systemd is not told anything", text);
        return false;
    }
    /* A path needs its NUL; an abstract address has one in front instead, in place of the '@'. */
    if (len >= sizeof(addr->sun_path) + (text[0] == '@')) {
        log_error("NOTIFY_SOCKET=%s: longer than %zu bytes; systemd is not told anything", text,
                  sizeof(addr->sun_path) - 1);
        return false;
    }
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    memcpy(addr->sun_path, text, len);
    if (text[0] == '@')
        addr->sun_path[0] = '\0';
    *addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
    return true;
}

static int64_t parse_number(const char *name)
{
    const char *text = getenv(name);
    char *end;

    if (text == NULL)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value <= 0) {
        log_warning("%s=%s: not a positive number; the watchdog is not answered", name, text);
        return 0;
    }
    return value;
}

static int64_t watchdog_from_environment(void)
{
    /* Set for another process: we only inherited the variables. */
    if (getenv("WATCHDOG_PID") != NULL && parse_number("WATCHDOG_PID") != getpid())
        return 0;
    return parse_number("WATCHDOG_USEC");
}

struct sdnotify *sdnotify_open(void)
{
    const char *text = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr;
    socklen_t addr_len;

    if (text == NULL || text[0] == '\0' || !parse_address(text, &addr, &addr_len))
        return NULL;

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        log_error("socket for NOTIFY_SOCKET: %s; systemd is not told anything", strerror(errno));
        return NULL;
    }

    struct sdnotify *sd = xcalloc(1, sizeof(*sd));
    sd->fd = fd;
    sd->addr = addr;
    sd->addr_len = addr_len;
    sd->watchdog_usec = watchdog_from_environment();
    TAILQ_INIT(&sd->ops);
    return sd;
}

static void drop(struct sdnotify *sd, size_t i)
{
    free(sd->queue[i]);
    sd->n--;
    memmove(&sd->queue[i], &sd->queue[i + 1], (sd->n - i) * sizeof(sd->queue[0]));
}

static void drop_op(struct sdnotify *sd, struct store_op *op)
{
    TAILQ_REMOVE(&sd->ops, op, link);
    if (op->fd >= 0)
        HASH_DEL(sd->to_store, op);
    free(op);
}

void sdnotify_close(struct sdnotify *sd)
{
    if (sd == NULL)
        return;
    sdnotify_flush(sd);
    while (sd->n > 0)
        drop(sd, sd->n - 1);
    while (!TAILQ_EMPTY(&sd->ops))
        drop_op(sd, TAILQ_FIRST(&sd->ops));
    close(sd->fd);
    free(sd);
}

/* Has MESSAGE a line that sets the variable which the line ASSIGNMENT sets? */
static bool sets_same_variable(const char *message, const char *assignment)
{
    size_t name_len = strcspn(assignment, "=\n");

    for (const char *line = message; *line != '\0';) {
        if (strcspn(line, "=\n") == name_len && memcmp(line, assignment, name_len) == 0)
            return true;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}

/* Does NEWER set every variable of OLDER again? */
static bool supersedes(const char *newer, const char *older)
{
    for (const char *line = older; *line != '\0';) {
        if (!sets_same_variable(newer, line))
            return false;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return true;
}

static void enqueue(struct sdnotify *sd, const char *message)
{
    for (size_t i = sd->n; i-- > 0;)
        if (supersedes(message, sd->queue[i]))
            drop(sd, i);
    if (sd->n == QUEUE_MAX) {
        if (!sd->said)
            log_warning("systemd does not read its notifications, %d wait already; the oldest are dropped", QUEUE_MAX);
        sd->said = true;
        drop(sd, 0);
    }
    sd->queue[sd->n++] = xstrdup(message);
}

void sdnotify_send(struct sdnotify *sd, const char *fmt, ...)
{
    char message[MESSAGE_MAX + 1];
    va_list ap;

    if (sd == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);

    enqueue(sd, message);
    sdnotify_flush(sd);
}

static struct store_op *new_op(struct sdnotify *sd, const char *name, int fd)
{
    struct store_op *op = xcalloc(1, sizeof(*op));

    snprintf(op->name, sizeof(op->name), "%s", name);
    op->fd = fd;
    TAILQ_INSERT_TAIL(&sd->ops, op, link);
    return op;
}

void sdnotify_store(struct sdnotify *sd, const char *name, int fd)
{
    if (sd == NULL)
        return;
    struct store_op *op = new_op(sd, name, fd);
    HASH_ADD_STR(sd->to_store, name, op);
    sdnotify_flush(sd);
}

void sdnotify_unstore(struct sdnotify *sd, const char *name)
{
    struct store_op *waiting;

    if (sd == NULL)
        return;
    HASH_FIND_STR(sd->to_store, name, waiting);
    if (waiting != NULL)
        drop_op(sd, waiting);
    else
        new_op(sd, name, -1);
    sdnotify_flush(sd);
}

/*
 * Connected, because poll() on a socket that is not would never wait for room at the receiver.
 * PASSED is a descriptor to go with it, or -1.
 */
static int send_once(struct sdnotify *sd, const char *message, int passed)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (char *)message, .iov_len = strlen(message)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (!sd->connected && connect(sd->fd, (const struct sockaddr *)&sd->addr, sd->addr_len) < 0)
        return errno;
    sd->connected = true;
    if (passed >= 0) {
        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof(control.buf);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &passed, sizeof(int));
    }
    return sendmsg(sd->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

static int send_message(struct sdnotify *sd, const char *message, int passed)
{
    int error = send_once(sd, message, passed);

    if (error == ECONNREFUSED || error == ENOTCONN || error == ECONNRESET || error == EPIPE) {
        /* The receiver has opened its socket anew. */
        sd->connected = false;
        error = send_once(sd, message, passed);
    }
    return error;
}

/* Sends one message.  False: there is no room now. */
static bool deliver(struct sdnotify *sd, const char *message, int passed)
{
    int error;

    do {
        error = send_message(sd, message, passed);
    } while (error == EINTR);
    if (error == EAGAIN)
        return false;
    /* Any other error will be the same on the next try: the message is lost, and that is said. */
    if (error != 0 && !sd->said)
        log_warning("systemd cannot be told \"%.*s\": %s", (int)strcspn(message, "\n"), message, strerror(error));
    sd->said = error != 0;
    return true;
}

bool sdnotify_flush(struct sdnotify *sd)
{
    struct store_op *op;
    char message[80];

    if (sd == NULL)
        return true;
    while (sd->n > 0) {
        if (!deliver(sd, sd->queue[0], -1))
            return false;
        drop(sd, 0);
    }
    while ((op = TAILQ_FIRST(&sd->ops)) != NULL) {
        /* FDPOLL=0: without it systemd drops a pidfd as soon as its process has ended. */
        if (op->fd >= 0)
            snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", op->name);
        else
            snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", op->name);
        if (!deliver(sd, message, op->fd))
            return false;
        drop_op(sd, op);
    }
    return true;
}

int sdnotify_fd(const struct sdnotify *sd)
{
    return sd == NULL ? -1 : sd->fd;
}

int64_t sdnotify_watchdog_usec(const struct sdnotify *sd)
{
    return sd == NULL ? 0 : sd->watchdog_usec;
}
