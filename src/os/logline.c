/* SPDX-License-Identifier: MIT */
#include "os/logline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FILE "line"
#define BACKLOG 8                      /* of supds, of which all but the last are dead */
#define SEND_BUFFER (16 * 1024 * 1024) /* a thousand services may start before suplog comes to read */

/* By its descriptor the directory has a short name: an address has room for 108 bytes only. */
static int open_dir(const char *dir, struct sockaddr_un *addr)
{
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(addr->sun_path, sizeof addr->sun_path, "/proc/self/fd/%d/" SOCKET_FILE, fd);
    return fd;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

int logline_listen(const char *dir)
{
    struct sockaddr_un addr;
    int at = open_dir(dir, &addr);
    int fd = at < 0 ? at : new_socket();
    int rc = 0;

    if (fd >= 0 && ((unlinkat(at, SOCKET_FILE, 0) < 0 && errno != ENOENT) ||
                    bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, BACKLOG) < 0))
        rc = -errno;
    if (at >= 0)
        close(at);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

int logline_connect(const char *dir)
{
    const int size = SEND_BUFFER;
    struct sockaddr_un addr;
    int at = open_dir(dir, &addr);
    int fd = at < 0 ? at : new_socket();

    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        int rc = -errno;

        close(fd);
        fd = rc;
    }
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* as much as everybody may have */
    if (at >= 0)
        close(at);
    return fd;
}

int logline_send(int line, const char *text, size_t len, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)text, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(line, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}
