/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loop/ctlsock.h"

/* An exec closes descriptors one after another: the lock may be free, and the socket of the dead still open in its child. */
#define PATIENCE_MS 2000
#define LOOK_MS 10

static int unix_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* Takes a socket away that nobody listens on.  0 when the place is free. */
static int clear_place(const struct sockaddr_un *addr)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -ENOTSOCK;

    int probe = unix_socket();
    if (probe < 0)
        return probe;
    int error = connect(probe, (const struct sockaddr *)addr, sizeof *addr) == 0 ? 0 : errno;
    close(probe);
    /* EAGAIN is a living one whose queue is full. */
    if (error == 0 || error == EAGAIN)
        return -EADDRINUSE;
    if (error != ECONNREFUSED)
        return -error;
    return unlink(addr->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* 0 when the place is free, be it after a while. */
static int wait_for_place(const struct sockaddr_un *addr)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int rc = clear_place(addr);

    for (int waited = 0; rc == -EADDRINUSE && waited < PATIENCE_MS; waited += LOOK_MS) {
        nanosleep(&pause, NULL);
        rc = clear_place(addr);
    }
    return rc;
}

/* The mode stands before listen(2), so nobody gets in by one that was wider for a moment. */
static int bind_and_listen(int fd, const struct sockaddr_un *addr, mode_t mode)
{
    mode_t saved = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)addr, sizeof *addr);
    int error = errno;

    umask(saved);
    if (rc != 0)
        return -error;
    if (chmod(addr->sun_path, mode) == 0 && listen(fd, SOMAXCONN) == 0)
        return 0;
    error = errno;
    unlink(addr->sun_path);
    return -error;
}

int ctlsock_listen(const char *path, mode_t mode)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof addr.sun_path)
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path) + 1);

    int rc = wait_for_place(&addr);
    if (rc < 0)
        return rc;
    int fd = unix_socket();
    if (fd < 0)
        return fd;
    rc = bind_and_listen(fd, &addr, mode);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}
