/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"
#include "os/identity.h"
#include "os/sockets.h"

static char dir[64];
static char path[96];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/supd-sockets-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/s", dir);
}

static void teardown(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static struct socket_spec parse(const char *text)
{
    struct socket_spec spec;
    char err[600] = "";

    ck_assert_msg(socket_spec_parse(text, &spec, err, sizeof(err)), "%s", err);
    return spec;
}

/* KIND:PATH,OPTIONS */
static struct socket_spec parse_path(const char *kind, const char *options)
{
    char text[160];

    snprintf(text, sizeof(text), "%s:%s%s", kind, path, options);
    return parse(text);
}

static int open_spec(const struct socket_spec *spec)
{
    char err[256] = "";
    int fd = sockets_open(spec, err, sizeof(err));

    ck_assert_msg(fd > STDERR_FILENO, "%s", err);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return fd;
}

static void open_fails(const struct socket_spec *spec, const char *word)
{
    char err[256] = "";

    ck_assert_int_eq(sockets_open(spec, err, sizeof(err)), -1);
    ck_assert_msg(strstr(err, word) != NULL, "%s", err);
}

/* The kernel chooses a port of FAMILY, which is free again for a moment. */
static unsigned free_port(int family)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
    socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
    int fd = socket(family, SOCK_STREAM, 0);

    if (fd == -1 || bind(fd, addr, len) == -1)
        return 0;
    ck_assert_int_eq(getsockname(fd, addr, &len), 0);
    close(fd);
    return ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
}

/* ADDRESS:PORTOPTIONS, with a port that is free */
static struct socket_spec parse_port(const char *address, int family, const char *options)
{
    char text[128];

    snprintf(text, sizeof(text), "%s:%u%s", address, free_port(family), options);
    return parse(text);
}

static int get_number(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    ck_assert_int_eq(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static bool connects(int family, unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in6.sin6_addr = in6addr_loopback;
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof(in))
                               : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
    close(fd);
    return rc == 0;
}

START_TEST(tcp)
{
    struct socket_spec spec = parse_port("tcp:127.0.0.1", AF_INET, "");
    int fd = open_spec(&spec);

    ck_assert(sockets_is(fd, &spec));
    ck_assert(connects(AF_INET, spec.port));
    ck_assert_int_eq(get_number(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    open_fails(&spec, "Address already in use");
    close(fd);
    ck_assert(!connects(AF_INET, spec.port));
}
END_TEST

START_TEST(every_address)
{
    struct socket_spec spec = parse_port("tcp:*", AF_INET, "");
    int fd = open_spec(&spec);

    ck_assert(sockets_is(fd, &spec));
    ck_assert(connects(AF_INET, spec.port));
    if (free_port(AF_INET6) != 0)
        ck_assert(connects(AF_INET6, spec.port));
    close(fd);
}
END_TEST

START_TEST(ipv6)
{
    if (free_port(AF_INET6) == 0)
        return;
    struct socket_spec both = parse_port("tcp:[::]", AF_INET6, "");
    int fd = open_spec(&both);
    ck_assert(connects(AF_INET, both.port) && connects(AF_INET6, both.port));

    struct socket_spec only = both;
    only.ipv6_only = true;
    ck_assert(sockets_is(fd, &both) && !sockets_is(fd, &only));
    close(fd);
    fd = open_spec(&only);
    ck_assert(sockets_is(fd, &only) && !sockets_is(fd, &both));
    ck_assert(connects(AF_INET6, only.port) && !connects(AF_INET, only.port));
    close(fd);
}
END_TEST

START_TEST(reuse_port)
{
    struct socket_spec spec = parse_port("udp:127.0.0.1", AF_INET, ",reuse-port");
    struct socket_spec alone = spec;
    int one = open_spec(&spec);
    int two = open_spec(&spec);

    alone.reuse_port = false;
    ck_assert(sockets_is(one, &spec) && !sockets_is(one, &alone));
    open_fails(&alone, "Address already in use");
    close(one);
    close(two);
    one = open_spec(&alone);
    open_fails(&alone, "Address already in use");
    close(one);
}
END_TEST

START_TEST(interface_that_is_not_there)
{
    struct socket_spec spec = parse("tcp:[fe80::1%nosuchif0]:80");

    open_fails(&spec, "interface nosuchif0");
}
END_TEST

static const char *const unix_kinds[] = {"unix", "unix-dgram", "unix-seqpacket"};

START_TEST(paths)
{
    struct socket_spec spec = parse_path(unix_kinds[_i], ",mode=0640");
    mode_t before = umask(0022);
    int fd = open_spec(&spec);
    struct stat st;

    ck_assert_int_eq(umask(before), 0022);
    ck_assert(sockets_is(fd, &spec));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
    open_fails(&spec, "another process listens there");

    /* Nobody answers any more: it is in nobody's way. */
    close(fd);
    fd = open_spec(&spec);
    struct sockets_file file = sockets_file(&spec);
    ck_assert_uint_ne(file.ino, 0);
    close(fd);
    sockets_unlink(&spec, &file);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(owner)
{
    struct socket_spec spec = parse_path("unix", ",mode=0600,user=12345,group=23456");
    struct stat st;

    if (geteuid() != 0) {
        open_fails(&spec, "Operation not permitted");
        ck_assert_int_eq(access(path, F_OK), -1);
        return;
    }
    close(open_spec(&spec));
    close(open_spec(&spec)); /* the stale one is the owner's */
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, 12345);
    ck_assert_uint_eq(st.st_gid, 23456);

    struct socket_spec other = parse_path("unix", "");
    open_fails(&other, "a socket of uid 12345 is there");

    char err[256] = "";
    spec = parse_path("unix", ",mode=0606,group=7");
    ck_assert_msg(sockets_set_owner(&spec, err, sizeof(err)), "%s", err);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert_uint_eq(st.st_gid, 7);
    ck_assert_uint_eq(st.st_mode & 07777, 0606);
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
    struct socket_spec spec = parse_path("unix", "");
    struct sockets_file file = {0};

    close(open(path, O_CREAT | O_WRONLY, 0600));
    open_fails(&spec, "is no socket");
    sockets_unlink(&spec, &file);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_uint_eq(sockets_file(&spec).ino, 0);
    unlink(path);
    ck_assert_int_eq(symlink("/nonexistent", path), 0);
    open_fails(&spec, "is no socket");
    unlink(path);
    spec = parse("unix:/nonexistent/s");
    open_fails(&spec, "No such file or directory");
}
END_TEST

START_TEST(another_one_in_its_place_stays)
{
    struct socket_spec spec = parse_path("unix", "");
    int fd = open_spec(&spec);
    struct sockets_file file = sockets_file(&spec);
    char aside[128];

    /* Kept, so that its inode is not used again. */
    snprintf(aside, sizeof(aside), "%s.aside", path);
    ck_assert_int_eq(rename(path, aside), 0);
    int other = open_spec(&spec);
    sockets_unlink(&spec, &file);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(aside);
    close(fd);
    close(other);
}
END_TEST

START_TEST(abstract)
{
    char text[160];

    snprintf(text, sizeof(text), "unix:@%s", path);
    struct socket_spec spec = parse(text);
    int fd = open_spec(&spec);

    ck_assert(sockets_is(fd, &spec));
    ck_assert_int_eq(access(path, F_OK), -1);
    open_fails(&spec, "Address already in use");
    close(fd);
}
END_TEST

START_TEST(prepared_for_the_next)
{
    struct socket_spec spec = parse_port("tcp:127.0.0.1", AF_INET, "");
    int fd = open_spec(&spec);

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
    ck_assert(!connects(AF_INET, spec.port));
    sockets_prepare(fd, &spec);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert(connects(AF_INET, spec.port));
    spec.nonblocking = true;
    sockets_prepare(fd, &spec);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
}
END_TEST

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* A child that holds FD, moved to number TO; *PIDFD is its pidfd.  -1 in a sandbox that has none (valgrind is one). */
static pid_t holder(int fd, int to, int *pidfd)
{
    pid_t pid = fork();

    if (pid == 0) {
        dup2(fd, to);
        if (fd != to)
            close(fd);
        raise(SIGSTOP);
        _exit(0);
    }
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
    *pidfd = identity_pidfd(pid);
    if (*pidfd == -ENOSYS) {
        end(pid);
        return -1;
    }
    ck_assert_int_ge(*pidfd, 0);
    return pid;
}

static ino_t inode(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return st.st_ino;
}

static const int places[] = {3, 57};

START_TEST(copied_from_a_process)
{
    struct socket_spec spec = parse_port("tcp:127.0.0.1", AF_INET, "");
    struct socket_spec other = spec;
    int fd = open_spec(&spec);
    ino_t want = inode(fd);
    int pidfd;

    /* A connection has the same address, and is not what is looked for. */
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(spec.port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(accepted, 0);
    ck_assert(!sockets_is(accepted, &spec));

    pid_t pid = holder(fd, places[_i], &pidfd);
    close(fd);
    if (pid == -1)
        return;
    other.port ^= 1;
    ck_assert_int_eq(sockets_take_copy(pidfd, pid, &other, 3), -ESRCH);
    int copy = sockets_take_copy(pidfd, pid, &spec, 3);
    ck_assert_int_ge(copy, 0);
    ck_assert_int_eq(fcntl(copy, F_GETFD), FD_CLOEXEC);
    ck_assert_uint_eq(inode(copy), want);
    end(pid);
    ck_assert(connects(AF_INET, spec.port));
    ck_assert_int_eq(sockets_take_copy(pidfd, pid, &spec, 3), -ESRCH);
    close(copy);
    close(client);
    close(accepted);
    close(pidfd);
}
END_TEST

START_TEST(a_copy_needs_the_right)
{
    struct socket_spec spec = parse_path("unix", "");
    int fd = open_spec(&spec);
    int pidfd;
    int status;

    if (geteuid() != 0)
        return;
    pid_t pid = holder(fd, 3, &pidfd);
    if (pid == -1)
        return;
    pid_t child = fork();
    if (child == 0) {
        if (setuid(65534) != 0)
            _exit(1);
        _exit(sockets_take_copy(pidfd, pid, &spec, 3) == -EPERM ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    end(pid);
    close(pidfd);
    close(fd);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("sockets");
    TCase *tc = tcase_create("sockets");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tcp);
    tcase_add_test(tc, every_address);
    tcase_add_test(tc, ipv6);
    tcase_add_test(tc, reuse_port);
    tcase_add_test(tc, interface_that_is_not_there);
    tcase_add_loop_test(tc, paths, 0, 3);
    tcase_add_test(tc, owner);
    tcase_add_test(tc, what_is_no_socket_stays);
    tcase_add_test(tc, another_one_in_its_place_stays);
    tcase_add_test(tc, abstract);
    tcase_add_test(tc, prepared_for_the_next);
    tcase_add_loop_test(tc, copied_from_a_process, 0, 2);
    tcase_add_test(tc, a_copy_needs_the_right);
    suite_add_tcase(suite, tc);
    return suite;
}
