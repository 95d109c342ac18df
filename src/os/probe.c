/* SPDX-License-Identifier: MIT */
#include "os/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sockets.h"

/* A line of a program that has nothing else to say; a longer one is looked at as far as this. */
#define LINE_MAX_LEN 4096

bool probe_path(const char *path)
{
    return access(path, F_OK) == 0;
}

int probe_line_new(const char *path)
{
    if (unlink(path) == -1 && errno != ENOENT)
        return -errno;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd == -1 ? -errno : fd;
}

int probe_line(const char *path)
{
    char text[LINE_MAX_LEN];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd == -1)
        return -errno;
    ssize_t n = read(fd, text, sizeof text);
    int rc = n == -1 ? -errno : memchr(text, '\n', (size_t)n) != NULL;
    close(fd);
    return rc;
}

int probe_connect(const struct socket_spec *address)
{
    struct sockaddr_storage addr;
    socklen_t len = sockets_address(address, &addr);

    if (len == 0)
        return -errno;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return -errno;
    if (connect(fd, (struct sockaddr *)&addr, len) == 0 || errno == EINPROGRESS)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

/* A port that nobody has bound may be given to the very socket that connects to it, which then talks to itself. */
static bool talks_to_itself(int fd)
{
    struct sockaddr_storage self = {0};
    struct sockaddr_storage peer = {0};
    socklen_t self_len = sizeof self;
    socklen_t peer_len = sizeof peer;

    return getsockname(fd, (struct sockaddr *)&self, &self_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && self_len == peer_len &&
           memcmp(&self, &peer, self_len) == 0;
}

int probe_connected(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    if (poll(&pfd, 1, 0) <= 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        return -errno;
    if (error != 0)
        return -error;
    return talks_to_itself(fd) ? -ECONNREFUSED : 1;
}
