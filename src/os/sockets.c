/* SPDX-License-Identifier: MIT */
#include "os/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* An address as the kernel takes it. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len;
};

static bool is_inet(const struct socket_spec *spec)
{
    return spec->kind == SOCKET_TCP || spec->kind == SOCKET_UDP;
}

static int type_of(const struct socket_spec *spec)
{
    if (spec->kind == SOCKET_UNIX_SEQPACKET)
        return SOCK_SEQPACKET;
    return socket_spec_is_stream(spec) ? SOCK_STREAM : SOCK_DGRAM;
}

/* IPV4_ONLY: what `*` means where the kernel has no IPv6.  False with errno where an interface is not there. */
static bool make_address(const struct socket_spec *spec, bool ipv4_only, struct address *address)
{
    memset(address, 0, sizeof(*address));
    if (!is_inet(spec)) {
        size_t len = strlen(spec->path);

        address->un.sun_family = AF_UNIX;
        memcpy(address->un.sun_path + spec->abstract, spec->path, len);
        address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
        return true;
    }
    if (spec->ipv6 || (spec->any && !ipv4_only)) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(spec->port);
        memcpy(&address->in6.sin6_addr, spec->addr, sizeof(address->in6.sin6_addr));
        address->len = sizeof(address->in6);
        if (spec->scope[0] != '\0')
            address->in6.sin6_scope_id = if_nametoindex(spec->scope);
        return spec->scope[0] == '\0' || address->in6.sin6_scope_id != 0;
    }
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons(spec->port);
    memcpy(&address->in.sin_addr, spec->addr, sizeof(address->in.sin_addr));
    address->len = sizeof(address->in);
    return true;
}

socklen_t sockets_address(const struct socket_spec *spec, struct sockaddr_storage *addr)
{
    struct address address;

    if (!make_address(spec, false, &address))
        return 0;
    memcpy(addr, &address.any, address.len);
    return address.len;
}

static int get_number(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, level, option, &value, &len) == 0 ? value : -1;
}

/* ---- the path of a unix socket ---- */

static uid_t owner_of(const struct socket_spec *spec)
{
    return spec->user[0] != '\0' ? (uid_t)strtoul(spec->user, NULL, 10) : geteuid();
}

/* Not that of the directory, whatever its mode says. */
static gid_t group_of(const struct socket_spec *spec)
{
    return spec->group[0] != '\0' ? (gid_t)strtoul(spec->group, NULL, 10) : getegid();
}

/* By a descriptor of the path, so that nobody who can write to the directory can put something else in its place. */
static int change_owner_and_mode(const struct socket_spec *spec)
{
    char path[64];
    struct stat st;
    int rc = 0;
    int fd = open(spec->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd == -1)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) == 0 && !S_ISSOCK(st.st_mode))
        rc = -EEXIST;
    else if (fchownat(fd, "", owner_of(spec), group_of(spec), AT_EMPTY_PATH) == -1 || chmod(path, spec->mode) == -1)
        rc = -errno;
    close(fd);
    return rc;
}

bool sockets_set_owner(const struct socket_spec *spec, char *err, size_t err_size)
{
    int rc = socket_spec_has_path(spec) ? change_owner_and_mode(spec) : 0;

    if (rc < 0)
        snprintf(err, err_size, "mode or owner of %s: %s", spec->path, strerror(-rc));
    return rc == 0;
}

/*
 * Does somebody hold the socket of this address?  Asked with a datagram socket: the kernel refuses it where a stream
 * socket listens, so that no connection comes to anybody.
 */
static bool somebody_answers(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1)
        return true;
    bool refused = connect(fd, &address->any, address->len) == -1 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* Removes a socket that an earlier supd has left.  False with ERR written where it is anything else. */
static bool remove_stale(const struct socket_spec *spec, const struct address *address, char *err, size_t err_size)
{
    struct stat st;

    if (lstat(spec->path, &st) == -1)
        return true; /* gone meanwhile */
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(err, err_size, "%s is there and is no socket: remove it, or choose another path", spec->path);
        return false;
    }
    if (somebody_answers(address)) {
        snprintf(err, err_size, "%s: another process listens there", strerror(EADDRINUSE));
        return false;
    }
    if (st.st_uid != geteuid() && st.st_uid != owner_of(spec)) {
        snprintf(err, err_size, "a socket of uid %u is there, on which nobody listens: remove it", st.st_uid);
        return false;
    }
    if (unlink(spec->path) == -1 && errno != ENOENT) {
        snprintf(err, err_size, "unlink: %s", strerror(errno));
        return false;
    }
    return true;
}

/* With no right for anybody, until the owner is right. */
static int bind_path(int fd, const struct address *address)
{
    mode_t before = umask(0777);
    int rc = bind(fd, &address->any, address->len) == -1 ? -errno : 0;

    umask(before);
    return rc;
}

static bool bind_unix(int fd, const struct socket_spec *spec, const struct address *address, char *err, size_t err_size)
{
    int rc = bind_path(fd, address);

    if (rc == -EADDRINUSE && !spec->abstract) {
        if (!remove_stale(spec, address, err, err_size))
            return false;
        rc = bind_path(fd, address);
    }
    if (rc < 0) {
        snprintf(err, err_size, "%s", strerror(-rc));
        return false;
    }
    if (sockets_set_owner(spec, err, err_size))
        return true;
    unlink(spec->path);
    return false;
}

struct sockets_file sockets_file(const struct socket_spec *spec)
{
    struct stat st;

    if (!socket_spec_has_path(spec) || lstat(spec->path, &st) == -1 || !S_ISSOCK(st.st_mode))
        return (struct sockets_file){0};
    return (struct sockets_file){.dev = st.st_dev, .ino = st.st_ino};
}

void sockets_unlink(const struct socket_spec *spec, const struct sockets_file *file)
{
    struct sockets_file now = sockets_file(spec);

    if (now.ino != 0 && now.ino == file->ino && now.dev == file->dev)
        unlink(spec->path);
}

/* ---- opening ---- */

static bool set_option(int fd, int level, int option, int value, const char *name, char *err, size_t err_size)
{
    if (setsockopt(fd, level, option, &value, sizeof(value)) == 0)
        return true;
    snprintf(err, err_size, "%s: %s", name, strerror(errno));
    return false;
}

static bool bind_inet(int fd, const struct socket_spec *spec, const struct address *address, char *err, size_t err_size)
{
    /* Connections of an earlier life that are not over yet do not hold the port.  For udp it would let two share one. */
    if (spec->kind == SOCKET_TCP && !set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", err, err_size))
        return false;
    if (spec->reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "reuse-port", err, err_size))
        return false;
    if (address->any.sa_family == AF_INET6 &&
        !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->ipv6_only, "ipv6-only", err, err_size))
        return false;
    if (bind(fd, &address->any, address->len) == 0)
        return true;
    snprintf(err, err_size, "%s", strerror(errno));
    return false;
}

static int open_socket(const struct socket_spec *spec, const struct address *address)
{
    int fd = socket(address->any.sa_family, type_of(spec) | SOCK_CLOEXEC, 0);

    if (fd == -1 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

int sockets_open(const struct socket_spec *spec, char *err, size_t err_size)
{
    struct address address;

    if (!make_address(spec, false, &address)) {
        snprintf(err, err_size, "interface %s: %s", spec->scope, strerror(errno));
        return -1;
    }
    int fd = open_socket(spec, &address);
    if (fd == -1 && errno == EAFNOSUPPORT && spec->any) {
        make_address(spec, true, &address);
        fd = open_socket(spec, &address);
    }
    if (fd == -1) {
        snprintf(err, err_size, "socket: %s", strerror(errno));
        return -1;
    }
    bool bound =
        is_inet(spec) ? bind_inet(fd, spec, &address, err, err_size) : bind_unix(fd, spec, &address, err, err_size);
    if (!bound)
        goto fail;
    if (socket_spec_is_stream(spec) && listen(fd, (int)spec->backlog) == -1) {
        snprintf(err, err_size, "%s", strerror(errno));
        if (socket_spec_has_path(spec))
            unlink(spec->path);
        goto fail;
    }
    return fd;

fail:
    close(fd);
    return -1;
}

void sockets_prepare(int fd, const struct socket_spec *spec)
{
    int flags = fcntl(fd, F_GETFL);
    int wanted = spec->nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

    if (socket_spec_is_stream(spec))
        listen(fd, (int)spec->backlog);
    if (flags != -1 && wanted != flags)
        fcntl(fd, F_SETFL, wanted);
}

/* ---- finding ---- */

static bool same_address(int fd, const struct address *wanted)
{
    struct address got = {.len = sizeof(got) - sizeof(got.len)};

    if (getsockname(fd, &got.any, &got.len) == -1 || got.any.sa_family != wanted->any.sa_family)
        return false;
    switch (wanted->any.sa_family) {
    case AF_INET:
        return got.in.sin_port == wanted->in.sin_port && got.in.sin_addr.s_addr == wanted->in.sin_addr.s_addr;
    case AF_INET6:
        return got.in6.sin6_port == wanted->in6.sin6_port && got.in6.sin6_scope_id == wanted->in6.sin6_scope_id &&
               memcmp(&got.in6.sin6_addr, &wanted->in6.sin6_addr, sizeof(got.in6.sin6_addr)) == 0;
    case AF_UNIX:
        return got.len == wanted->len && memcmp(&got.un, &wanted->un, got.len) == 0;
    default:
        return false;
    }
}

/* A connection that was accepted has the address of the socket that accepted it. */
static bool is_connection(int fd, const struct socket_spec *spec)
{
    struct address peer = {.len = sizeof(peer) - sizeof(peer.len)};

    if (socket_spec_is_stream(spec))
        return get_number(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1;
    return getpeername(fd, &peer.any, &peer.len) == 0;
}

bool sockets_is(int fd, const struct socket_spec *spec)
{
    struct address address;

    if (get_number(fd, SOL_SOCKET, SO_TYPE) != type_of(spec) || is_connection(fd, spec))
        return false;
    if (is_inet(spec) && get_number(fd, SOL_SOCKET, SO_REUSEPORT) != spec->reuse_port)
        return false;
    if (is_inet(spec) && spec->ipv6 && get_number(fd, IPPROTO_IPV6, IPV6_V6ONLY) != spec->ipv6_only)
        return false;
    if (!make_address(spec, false, &address))
        return false;
    return same_address(fd, &address) ||
           (spec->any && make_address(spec, true, &address) && same_address(fd, &address));
}

static int get_copy(int pidfd, int number, const struct socket_spec *spec)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

    if (fd == -1)
        return errno == EBADF ? -ESRCH : -errno;
    if (sockets_is(fd, spec))
        return fd;
    close(fd);
    return -ESRCH;
}

static bool is_socket(int dir, const char *name)
{
    char target[16];
    ssize_t len = readlinkat(dir, name, target, sizeof(target));

    return len > 8 && memcmp(target, "socket:[", 8) == 0;
}

int sockets_take_copy(int pidfd, pid_t pid, const struct socket_spec *spec, int likely)
{
    char path[32];
    int fd = get_copy(pidfd, likely, spec);

    if (fd != -ESRCH)
        return fd;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
    for (const struct dirent *entry = readdir(dir); entry != NULL && fd == -ESRCH; entry = readdir(dir)) {
        if (is_socket(dirfd(dir), entry->d_name))
            fd = get_copy(pidfd, atoi(entry->d_name), spec);
    }
    closedir(dir);
    return fd;
}
