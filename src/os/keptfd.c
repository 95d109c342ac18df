/* SPDX-License-Identifier: MIT */
#include "os/keptfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* All eventfds, timerfds and their like have one inode. */
static bool has_inode(const struct stat *st)
{
    return S_ISSOCK(st->st_mode) || S_ISFIFO(st->st_mode) || S_ISREG(st->st_mode);
}

struct keptfd_id keptfd_identify(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags == -1 || fstat(fd, &st) == -1 || !has_inode(&st))
        return (struct keptfd_id){0};
    return (struct keptfd_id){.dev = st.st_dev, .ino = st.st_ino, .access = (uint32_t)(flags & O_ACCMODE)};
}

bool keptfd_same(int a, int b)
{
    pid_t pid = getpid();

    return syscall(SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0;
}

bool keptfd_is_dead(int fd)
{
    struct pollfd poll_fd = {.fd = fd};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static bool is_it(int dir, const char *name, const struct keptfd_id *id)
{
    struct stat st;

    return fstatat(dir, name, &st, 0) == 0 && has_inode(&st) && st.st_dev == id->dev && st.st_ino == id->ino;
}

static int get_copy(int pidfd, int number, const struct keptfd_id *id)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

    if (fd == -1)
        return errno == EBADF ? -ESRCH : -errno;
    /* It may be another by now, and a pipe has two ends. */
    struct keptfd_id got = keptfd_identify(fd);
    if (got.dev == id->dev && got.ino == id->ino && got.access == id->access)
        return fd;
    close(fd);
    return -ESRCH;
}

int keptfd_take_copy(int pidfd, pid_t pid, const struct keptfd_id *id)
{
    char path[32];
    int fd = -ESRCH;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    for (const struct dirent *entry = readdir(dir); entry != NULL && fd == -ESRCH; entry = readdir(dir)) {
        if (is_it(dirfd(dir), entry->d_name, id))
            fd = get_copy(pidfd, atoi(entry->d_name), id);
    }
    closedir(dir);
    return fd;
}
