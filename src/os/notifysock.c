/* SPDX-License-Identifier: MIT */
#include "os/notifysock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fdstore.h"
#include "os/procfs.h"

#define ADDRESS_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
/* So many levels above a process are looked at. */
#define ANCESTORS_MAX 64
/* More than net.unix.max_dgram_qlen is on any usual system. */
#define DISCARD_MAX 4096

char *notifysock_path(const char *runtime_dir, const char *service, char *err, size_t err_size)
{
    char name[FDSTORE_NAME_MAX];
    char *path = xasprintf("%s/" NOTIFYSOCK_DIR "/%s", runtime_dir, service);

    if (strlen(path) < ADDRESS_MAX)
        return path;
    free(path);
    /* No service has a name that begins so. */
    path = xasprintf("%s/" NOTIFYSOCK_DIR "/.%s", runtime_dir, fdstore_socket_name(service, NOTIFYSOCK_DIR, name));
    if (strlen(path) < ADDRESS_MAX)
        return path;
    snprintf(err, err_size, "NOTIFY_SOCKET: %s is too long for the address of a socket: use a shorter runtime-dir",
             path);
    free(path);
    return NULL;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    return addr;
}

int notifysock_open(const char *path, char *err, size_t err_size)
{
    struct sockaddr_un addr = address_of(path);
    int on = 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1) {
        snprintf(err, err_size, "NOTIFY_SOCKET: socket: %s", strerror(errno));
        return -1;
    }
    if ((unlink(path) == -1 && errno != ENOENT) || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == -1 ||
        bind(fd, (struct sockaddr *)&addr, sizeof addr) == -1 || chmod(path, 0666) == -1) {
        snprintf(err, err_size, "NOTIFY_SOCKET: %s: %s", path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

bool notifysock_is(int fd, const char *path)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof addr - 1;
    struct stat st;
    int type = 0;
    socklen_t type_len = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == -1 || type != SOCK_DGRAM)
        return false;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) == -1 || addr.sun_family != AF_UNIX)
        return false;
    return strcmp(addr.sun_path, path) == 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

bool notifysock_look(int fd, struct notifysock_message *message)
{
    union ancillary_room control;
    struct iovec iov = {.iov_base = message->text, .iov_len = sizeof message->text - 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
    ssize_t len;

    do
        len = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (len == -1 && errno == EINTR);
    if (len == -1)
        return false;
    message->len = (size_t)len;
    ancillary_read(&msg, &message->along);
    message->text[len] = '\0';
    message->whole = !(msg.msg_flags & MSG_TRUNC) && message->along.pid > 0;
    return true;
}

/* Descriptors that came along are closed by the kernel, since there is no room for them. */
static bool discard_one(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) >= 0;
}

void notifysock_done(int fd)
{
    discard_one(fd);
}

void notifysock_discard(int fd)
{
    for (int i = 0; i < DISCARD_MAX && discard_one(fd); i++)
        continue;
}

/* ---- who it was ---- */

/* Of the session of LEADER, or below it. */
static bool comes_of(pid_t pid, pid_t leader)
{
    struct procfs_stat st;

    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
        if (pid == leader)
            return true;
        if (procfs_read_stat(pid, &st) < 0)
            return false;
        if (st.session == leader)
            return true;
        pid = st.ppid;
    }
    return false;
}

static bool environ_is(pid_t pid, const struct notifysock_owner *owner)
{
    size_t len;
    char *block = procfs_environ(pid, &len);

    if (!block)
        return false;
    const char *instance = procfs_environ_find(block, len, "SUPD_INSTANCE");
    const char *service = procfs_environ_find(block, len, "SUPD_SERVICE");
    bool is = instance && service && strcmp(instance, owner->instance) == 0 && strcmp(service, owner->service) == 0;
    free(block);
    return is;
}

bool notifysock_is_member(pid_t pid, const struct notifysock_owner *owner)
{
    return (owner->leader > 0 && comes_of(pid, owner->leader)) || environ_is(pid, owner);
}
