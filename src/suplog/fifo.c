/* SPDX-License-Identifier: MIT */
#include "suplog/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log_stream.h"

#define GLASS_SIZE (4 * LOG_LINE_MAX)

int fifo_open(int dir, const char *name, uint64_t inode)
{
    int fd = openat(dir, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0)
        return -errno;
    bool is_fifo = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    if (is_fifo && (inode == 0 || inode == st.st_ino))
        return fd;
    close(fd);
    return is_fifo ? -ESTALE : -EINVAL;
}

bool fifo_open_glass(int glass[2])
{
    if (pipe2(glass, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    fcntl(glass[1], F_SETPIPE_SZ, GLASS_SIZE); /* EPERM: less is seen at a time */
    return true;
}

ssize_t fifo_peek(int fifo, const int glass[2], char *buf, size_t max)
{
    ssize_t n = tee(fifo, glass[1], max, SPLICE_F_NONBLOCK);
    size_t have = 0;

    if (n <= 0)
        return n < 0 && errno != EAGAIN ? -errno : 0;
    while (have < (size_t)n) {
        ssize_t got = read(glass[0], buf + have, (size_t)n - have);

        if (got <= 0 && !(got < 0 && errno == EINTR))
            return got < 0 ? -errno : -EIO;
        have += got > 0 ? (size_t)got : 0;
    }
    return n;
}

int fifo_take(int fifo, char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fifo, buf, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        buf += n;
        len -= (size_t)n;
    }
    return 0;
}

size_t fifo_left(int fifo)
{
    int left = 0;

    return ioctl(fifo, FIONREAD, &left) == 0 && left > 0 ? (size_t)left : 0;
}

bool fifo_is_full(int fifo)
{
    struct pollfd ask = {.fd = fifo, .events = POLLOUT};

    return poll(&ask, 1, 0) == 0;
}
