/* SPDX-License-Identifier: MIT */
#include "os/memfile.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int memfile_write_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int memfile_new(const char *name, const void *data, size_t len)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    int rc = memfile_write_all(fd, data, len);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}
