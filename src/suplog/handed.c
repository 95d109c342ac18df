/* SPDX-License-Identifier: MIT */
#include "suplog/handed.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suplog/say.h"

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

void handed_open(struct handed *handed, int listener)
{
    int listens = 0;
    socklen_t len = sizeof listens;

    *handed = (struct handed){.listener = -1, .connection = -1};
    if (getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
        handed->listener = listener;
}

static int passed_fd(struct msghdr *msg)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* One message, TEXT, as a string.  Its length; 0: supd is gone; -1: there is none for now. */
static ssize_t receive(int connection, char *text, size_t size, int *fd)
{
    union control control;
    struct iovec iov = {text, size - 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;

    do {
        n = recvmsg(connection, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *fd = n > 0 ? passed_fd(&msg) : -1;
    text[n > 0 ? n : 0] = '\0';
    return n < 0 && errno != EAGAIN ? 0 : n;
}

/* The one before has said all by now. */
static void accept_next(struct handed *handed)
{
    if (handed->listener < 0)
        return;
    handed->connection = accept4(handed->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    handed->number += handed->connection >= 0;
    if (handed->connection >= 0 || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    say(LOG_LEVEL_ERROR, "cannot be handed any more FIFOs: %s; they are opened as they are listed", strerror(errno));
    handed->listener = -1;
}

enum handed_what handed_take(struct handed *handed, struct log_stream *stream, int *fd)
{
    char text[LOG_STREAM_LINE_MAX + 1];
    char err[128];

    if (handed->connection < 0)
        accept_next(handed);
    while (handed->connection >= 0) {
        ssize_t n = receive(handed->connection, text, sizeof text, fd);

        if (n < 0)
            return HANDED_NOTHING;
        if (n == 0) {
            close(handed->connection);
            handed->connection = -1;
            accept_next(handed);
            continue;
        }
        if (*fd < 0 && strcmp(text, LOG_LISTED) == 0)
            return HANDED_LISTED;
        if (*fd >= 0 && log_stream_decode(text, stream, err, sizeof err))
            return HANDED_FIFO;
        say(LOG_LEVEL_ERROR, "what supd hands over makes no sense");
        if (*fd >= 0)
            close(*fd);
    }
    return HANDED_NOTHING;
}
