/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../check_main.h"
#include "os/sdnotify.h"

/* More datagrams than any receiver's queue takes. */
#define FLOOD 20000

static char dir[64];
static char path[96];

static void set_up(void)
{
    snprintf(dir, sizeof(dir), "/tmp/test_sdnotify.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/notify", dir);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void tear_down(void)
{
    unlink(path);
    rmdir(dir);
}

/* A receiver at NAME, '@' meaning abstract, as systemd has one; NOTIFY_SOCKET names it. */
static int listen_at(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_uint_lt(len, sizeof(addr.sun_path) + (name[0] == '@'));
    memcpy(addr.sun_path, name, len);
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next datagram, or "" when there is none. */
static const char *received(int fd)
{
    static char buf[8192];
    ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

    if (n < 0)
        ck_assert_int_eq(errno, EAGAIN);
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

static bool has_room(const struct sdnotify *sd)
{
    struct pollfd pfd = {.fd = sdnotify_fd(sd), .events = POLLOUT};

    return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) != 0;
}

/* Fills the receiver's queue until a message has to wait. */
static unsigned fill(struct sdnotify *sd)
{
    for (unsigned i = 0; i < FLOOD; i++) {
        sdnotify_send(sd, "STATUS=%u", i);
        if (!sdnotify_flush(sd))
            return i;
    }
    ck_abort_msg("%u datagrams and the receiver's queue is not full", FLOOD);
    return 0;
}

START_TEST(nobody_listens)
{
    ck_assert_ptr_null(sdnotify_open());
    setenv("NOTIFY_SOCKET", "", 1);
    ck_assert_ptr_null(sdnotify_open());

    sdnotify_send(NULL, "READY=%d", 1);
    ck_assert(sdnotify_flush(NULL));
    ck_assert_int_eq(sdnotify_fd(NULL), -1);
    ck_assert_int_eq(sdnotify_watchdog_usec(NULL), 0);
    sdnotify_close(NULL);
}
END_TEST

START_TEST(bad_addresses)
{
    char too_long[200];

    memset(too_long, 'x', sizeof(too_long));
    too_long[0] = '/';
    too_long[sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path)] = '\0';
    const char *const bad[] = {"notify", "@", "/", "vsock:2:1234", too_long};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        ck_assert_msg(sdnotify_open() == NULL, "%s was taken", bad[i]);
    }
}
END_TEST

START_TEST(reaches_a_path)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();

    ck_assert_ptr_nonnull(sd);
    sdnotify_send(sd, "READY=1\nSTATUS=%d of %s", 3, "four");
    ck_assert_str_eq(received(fd), "READY=1\nSTATUS=3 of four");
    ck_assert_str_eq(received(fd), "");
    ck_assert(sdnotify_flush(sd));
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(reaches_an_abstract_address)
{
    char name[64];

    snprintf(name, sizeof(name), "@test_sdnotify/%d", (int)getpid());
    int fd = listen_at(name);
    struct sdnotify *sd = sdnotify_open();
    sdnotify_send(sd, "STOPPING=1");
    ck_assert_str_eq(received(fd), "STOPPING=1");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(reaches_the_longest_abstract_address)
{
    char name[sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path) + 1];

    int n = snprintf(name, sizeof(name), "@test_sdnotify/%d/", (int)getpid());
    memset(name + n, 'x', sizeof(name) - 1 - (size_t)n);
    name[sizeof(name) - 1] = '\0';
    int fd = listen_at(name);
    struct sdnotify *sd = sdnotify_open();
    ck_assert_ptr_nonnull(sd);
    sdnotify_send(sd, "READY=1");
    ck_assert_str_eq(received(fd), "READY=1");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(the_socket_is_for_supd_alone)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();
    int socket_fd = sdnotify_fd(sd);

    ck_assert_int_ge(socket_fd, 0);
    ck_assert_int_ne(fcntl(socket_fd, F_GETFD) & FD_CLOEXEC, 0);
    sdnotify_close(sd);
    ck_assert_int_eq(fcntl(socket_fd, F_GETFD), -1);
    close(fd);
}
END_TEST

START_TEST(a_full_receiver_neither_blocks_nor_loses_the_last_word)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();
    unsigned waits = fill(sd);

    ck_assert(!has_room(sd));
    sdnotify_send(sd, "WATCHDOG=1");
    sdnotify_send(sd, "READY=1\nSTATUS=ready");
    for (unsigned i = 0; i < FLOOD; i++)
        sdnotify_send(sd, "WATCHDOG=1");
    ck_assert(!sdnotify_flush(sd));

    for (unsigned i = 0; i < waits; i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "STATUS=%u", i);
        ck_assert_str_eq(received(fd), expected);
    }
    ck_assert_str_eq(received(fd), "");
    ck_assert(has_room(sd));
    ck_assert(sdnotify_flush(sd));
    /* The status that waited is told by the newer message, and one sign of life is enough. */
    ck_assert_str_eq(received(fd), "READY=1\nSTATUS=ready");
    ck_assert_str_eq(received(fd), "WATCHDOG=1");
    ck_assert_str_eq(received(fd), "");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(what_is_not_repeated_is_kept)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();

    fill(sd);
    sdnotify_send(sd, "READY=1\nSTATUS=a");
    sdnotify_send(sd, "STATUS=b");
    sdnotify_send(sd, "STAT=c");
    while (strncmp(received(fd), "STATUS=", 7) == 0)
        continue;
    ck_assert(sdnotify_flush(sd));
    ck_assert_str_eq(received(fd), "READY=1\nSTATUS=a");
    ck_assert_str_eq(received(fd), "STATUS=b");
    ck_assert_str_eq(received(fd), "STAT=c");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();
    unsigned n = 0;

    fill(sd);
    for (unsigned i = 0; i < 1000; i++)
        sdnotify_send(sd, "X_KIND_%u=1", i);
    while (*received(fd) != '\0')
        continue;
    sdnotify_flush(sd);
    const char *text;
    char last[64] = "";
    while (*(text = received(fd)) != '\0') {
        snprintf(last, sizeof(last), "%s", text);
        n++;
        sdnotify_flush(sd);
    }
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, 64);
    ck_assert_str_eq(last, "X_KIND_999=1");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(a_message_too_long_is_cut_to_what_systemd_reads)
{
    char text[6000];
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    sdnotify_send(sd, "STATUS=%s", text);
    ck_assert_uint_eq(strlen(received(fd)), 4096);
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(a_receiver_that_comes_back_is_found_again)
{
    int fd = listen_at(path);
    struct sdnotify *sd = sdnotify_open();

    sdnotify_send(sd, "READY=1");
    ck_assert_str_eq(received(fd), "READY=1");
    close(fd);
    unlink(path);
    sdnotify_send(sd, "STATUS=lost");
    ck_assert(sdnotify_flush(sd));

    fd = listen_at(path);
    sdnotify_send(sd, "STATUS=found");
    ck_assert_str_eq(received(fd), "STATUS=found");
    ck_assert_str_eq(received(fd), "");
    sdnotify_close(sd);
    close(fd);
}
END_TEST

START_TEST(watchdog_interval)
{
    static const struct {
        const char *usec;
        const char *pid; /* "self": ours */
        int64_t expected;
    } cases[] = {
        {NULL, NULL, 0},
        {"20000000", NULL, 20000000},
        {"20000000", "self", 20000000},
        {"20000000", "1", 0},
        {"20000000", "", 0},
        {"0", "self", 0},
        {"-5", "self", 0},
        {"12x", "self", 0},
        {"", "self", 0},
        {"99999999999999999999", "self", 0},
        {NULL, "self", 0},
    };
    const size_t i = (size_t)_i;
    int fd = listen_at(path);
    char self[16];

    snprintf(self, sizeof(self), "%d", (int)getpid());
    if (cases[i].usec != NULL)
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
    if (cases[i].pid != NULL)
        setenv("WATCHDOG_PID", strcmp(cases[i].pid, "self") == 0 ? self : cases[i].pid, 1);
    struct sdnotify *sd = sdnotify_open();
    ck_assert_int_eq(sdnotify_watchdog_usec(sd), cases[i].expected);
    sdnotify_close(sd);
    close(fd);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("sdnotify");
    TCase *tc = tcase_create("sdnotify");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, nobody_listens);
    tcase_add_test(tc, bad_addresses);
    tcase_add_test(tc, reaches_a_path);
    tcase_add_test(tc, reaches_an_abstract_address);
    tcase_add_test(tc, reaches_the_longest_abstract_address);
    tcase_add_test(tc, the_socket_is_for_supd_alone);
    tcase_add_test(tc, a_full_receiver_neither_blocks_nor_loses_the_last_word);
    tcase_add_test(tc, what_is_not_repeated_is_kept);
    tcase_add_test(tc, the_queue_is_bounded);
    tcase_add_test(tc, a_message_too_long_is_cut_to_what_systemd_reads);
    tcase_add_test(tc, a_receiver_that_comes_back_is_found_again);
    tcase_add_loop_test(tc, watchdog_interval, 0, 11);
    suite_add_tcase(suite, tc);
    return suite;
}
