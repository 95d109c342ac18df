/* SPDX-License-Identifier: MIT */
/* The control socket with real clients, all in one thread: the test takes the loop's turns itself. */
#include "check_main.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/ctlsock.h"
#include "os/clock.h"

#define DEADLINE (60 * USEC_PER_SEC)

static struct loop *loop;
static struct loop_timer *tick;
static struct ctlsock *sock;
static char dir[] = "/tmp/test_ctlsock.XXXXXX";
static char path[64];
static unsigned lines, too_long, closed, accepted;
static bool refuse;
static struct ctl_client *held;

static const struct ctl_limits usual = {
    .max_line = 1024,
    .max_backlog = 1024 * 1024,
    .max_total = 4 * 1024 * 1024,
    .max_clients = 1500,
    .idle = 3600 * USEC_PER_SEC,
    .per_turn = 8,
};

static void on_tick(void *ctx)
{
    (void)ctx;
    loop_timer_set(tick, USEC_PER_MSEC);
}

static bool on_accepted(void *ctx, struct ctl_client *client)
{
    ck_assert_ptr_eq(ctx, &lines);
    accepted++;
    if (!refuse)
        return true;
    ctl_client_send(client, "no\n", 3);
    return false;
}

static struct ctl_client *paused;

/* "big N": N bytes.  "hold", "pause": as they say.  Anything else is sent back. */
static void on_line(void *ctx, struct ctl_client *client, const char *line, size_t len)
{
    (void)ctx;
    char *text = xstrndup(line, len);
    unsigned long n;

    lines++;
    if (sscanf(text, "big %lu", &n) == 1) {
        char *data = xcalloc(n, 1);
        memset(data, 'x', n - 1);
        data[n - 1] = '\n';
        ctl_client_send(client, data, n);
        free(data);
    } else if (strcmp(text, "hold") == 0) {
        ctl_client_hold(client);
        held = client;
    } else if (strcmp(text, "pause") == 0) {
        ctl_client_pause(client);
        paused = client;
    } else {
        ctl_client_send(client, line, len);
        ctl_client_send(client, "\n", 1);
    }
    free(text);
}

static void on_too_long(void *ctx, struct ctl_client *client)
{
    (void)ctx;
    too_long++;
    ctl_client_send(client, "too", 3);
    ctl_client_send(client, " long\n", 6);
}

static void on_closed(void *ctx, struct ctl_client *client)
{
    (void)ctx;
    if (client == held) {
        ctl_client_unhold(client);
        held = NULL;
    }
    closed++;
}

static void serve(const struct ctl_limits *limits)
{
    static const struct ctl_handlers handlers = {on_accepted, on_line, on_too_long, on_closed};
    int fd = ctlsock_listen(path, 0600);

    ck_assert_int_ge(fd, 0);
    sock = ctlsock_new(loop, fd, limits, &handlers, &lines);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/sock", dir);
    loop = loop_new();
    tick = loop_timer_new(loop, on_tick, NULL);
    on_tick(NULL);
}

static void teardown(void)
{
    ctlsock_free(sock);
    loop_timer_free(tick);
    loop_free(loop);
    unlink(path);
    rmdir(dir);
}

static void turn(void)
{
    static int64_t began;

    if (!began)
        began = clock_now().mono;
    ck_assert_msg(clock_now().mono - began < DEADLINE, "what was waited for did not come");
    event_base_loop(loop_base(loop), EVLOOP_ONCE);
}

static int join(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    ck_assert_int_ge(fd, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    ck_assert_msg(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0, "connect: %s", strerror(errno));
    return fd;
}

/* Sends as much as the socket takes now; -1 when the other side is gone. */
static ssize_t push(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

    return n < 0 && errno == EAGAIN ? 0 : n;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(push(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Takes turns until LEN bytes have come, or the end; returns how many. */
static size_t hear(int fd, char *buf, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = recv(fd, buf + got, len - got, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        if (n > 0)
            got += (size_t)n;
        else
            turn();
    }
    return got;
}

static void expect(int fd, const char *text)
{
    char buf[256] = "";

    ck_assert_uint_eq(hear(fd, buf, strlen(text)), strlen(text));
    ck_assert_str_eq(buf, text);
}

static void expect_end(int fd)
{
    char buf[64] = "";

    ck_assert_msg(hear(fd, buf, sizeof buf - 1) == 0, "more came: %s", buf);
    close(fd);
}

START_TEST(lines_come_whole)
{
    serve(&usual);
    int fd = join();

    say(fd, "one\ntw");
    expect(fd, "one\n");
    say(fd, "o\n\nthree\n");
    expect(fd, "two\nthree\n");
    ck_assert_uint_eq(lines, 3);
    close(fd);
    while (closed == 0)
        turn();
    ck_assert_uint_eq(ctlsock_stats(sock).clients, 0);
    ck_assert_uint_eq(ctlsock_stats(sock).dropped, 0);
}
END_TEST

START_TEST(the_caller_is_known)
{
    serve(&usual);
    int fd = join();

    say(fd, "hold\n");
    while (!held)
        turn();
    const struct ctl_peer *peer = ctl_client_peer(held);
    ck_assert_int_eq(peer->pid, getpid());
    ck_assert_int_eq((int)peer->uid, (int)getuid());
    ck_assert_int_eq((int)peer->gid, (int)getgid());
    ck_assert_int_eq((int)peer->n_groups, getgroups(0, NULL));
    ctl_client_set_data(held, &lines);
    ck_assert_ptr_eq(ctl_client_data(held), &lines);
    close(fd);
}
END_TEST

START_TEST(a_closed_sending_side_still_gets_answers)
{
    serve(&usual);
    int fd = join();

    /* More lines than one turn takes, and the end right behind them. */
    for (int i = 0; i < 30; i++)
        say(fd, "x\n");
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 30; i++)
        expect(fd, "x\n");
    expect_end(fd);

    fd = join();
    say(fd, "hold\n");
    shutdown(fd, SHUT_WR);
    while (!held)
        turn();
    struct ctl_client *client = held;
    held = NULL;
    for (int i = 0; i < 5; i++)
        turn();
    ctl_client_send(client, "later\n", 6);
    expect(fd, "later\n");
    ctl_client_unhold(client);
    expect_end(fd);
}
END_TEST

START_TEST(a_paused_one_waits_with_its_lines)
{
    serve(&usual);
    int fd = join();
    int other = join();

    say(fd, "before\npause\none\n");
    expect(fd, "before\n");
    while (!paused)
        turn();
    say(fd, "two\n");
    say(other, "x\n");
    expect(other, "x\n");
    for (int i = 0; i < 5; i++)
        turn();
    ck_assert_uint_eq(lines, 3); /* "before", "pause" and "x" */
    ctl_client_pause(paused);
    ctl_client_resume(paused);
    for (int i = 0; i < 5; i++)
        turn();
    ck_assert_uint_eq(lines, 3);
    ctl_client_resume(paused);
    expect(fd, "one\ntwo\n");

    /* More than one turn takes, and then the end, all of it while nothing is taken. */
    paused = NULL;
    say(fd, "pause\n");
    for (int i = 0; i < 30; i++)
        say(fd, "y\n");
    shutdown(fd, SHUT_WR);
    while (!paused)
        turn();
    for (int i = 0; i < 5; i++)
        turn();
    ctl_client_resume(paused);
    for (int i = 0; i < 30; i++)
        expect(fd, "y\n");
    expect_end(fd);

    /* It hangs up without having sent more. */
    paused = NULL;
    say(other, "pause\n");
    while (!paused)
        turn();
    close(other);
    while (closed < 2)
        turn();
}
END_TEST

START_TEST(one_that_hung_up_while_it_waited_is_let_go)
{
    serve(&usual);
    int fd = join();

    say(fd, "hold\n");
    while (!held)
        turn();
    close(fd);
    while (closed == 0)
        turn();

    fd = join();
    say(fd, "hold\n");
    shutdown(fd, SHUT_WR);
    while (!held)
        turn();
    for (int i = 0; i < 5; i++)
        turn();
    close(fd);
    while (closed == 1)
        turn();
}
END_TEST

START_TEST(a_line_without_end_is_refused)
{
    static char junk[1024 * 1024];

    serve(&usual);
    int fd = join();
    size_t sent = 0;
    memset(junk, 'j', sizeof junk);
    while (sent < 10 * sizeof junk) {
        ssize_t n = push(fd, junk, sizeof junk);
        if (n < 0)
            break;
        sent += (size_t)n;
        turn();
    }
    ck_assert_uint_lt(sent, sizeof junk);
    expect(fd, "too long\n");
    expect_end(fd);
    while (closed == 0)
        turn();
    ck_assert_uint_eq(too_long, 1);
    ck_assert_uint_eq(lines, 0);

    /* The greatest line passes, one more byte does not. */
    fd = join();
    junk[1024] = '\n';
    ck_assert_int_eq(push(fd, junk, 1025), 1025);
    char buf[1025];
    ck_assert_uint_eq(hear(fd, buf, sizeof buf), sizeof buf);
    junk[1024] = 'j';
    junk[1025] = '\n';
    ck_assert_int_eq(push(fd, junk, 1026), 1026);
    expect(fd, "too long\n");
    expect_end(fd);
}
END_TEST

START_TEST(a_flood_leaves_others_their_turn)
{
    serve(&usual);
    int flood = join(), fd = join();
    char many[4096];

    for (size_t i = 0; i < sizeof many; i += 2)
        memcpy(many + i, "f\n", 2);
    while (push(flood, many, sizeof many) > 0)
        ;
    turn();
    turn();
    unsigned before = lines;
    say(fd, "quick\n");
    expect(fd, "quick\n");
    ck_assert_uint_le(lines - before, 10 * usual.per_turn);
    close(flood);
    close(fd);
}
END_TEST

START_TEST(one_that_never_reads_is_not_asked_for_more)
{
    serve(&usual);
    int fd = join(), other = join();
    size_t idle_turns = 0;

    /* Each request makes a long answer; the requests stop being taken, and no memory is lost to them. */
    while (idle_turns < 20) {
        unsigned before = lines;
        ck_assert_int_ge(push(fd, "big 100000\n", 11), 0);
        turn();
        idle_turns = lines == before ? idle_turns + 1 : 0;
    }
    ck_assert_uint_eq(ctlsock_stats(sock).dropped, 0);
    say(other, "well\n");
    expect(other, "well\n");

    /* It reads at last, and everything asked for comes. */
    char *buf = xmalloc(100000);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_uint_eq(hear(fd, buf, 100000), 100000);
        ck_assert_int_eq(buf[99999], '\n');
    }
    free(buf);
    close(fd);
    close(other);
}
END_TEST

START_TEST(a_backlog_too_large_is_dropped)
{
    serve(&usual);
    int fd = join(), other = join();

    say(fd, "big 5000000\n");
    while (closed == 0)
        turn();
    ck_assert_uint_eq(ctlsock_stats(sock).dropped, 1);
    say(other, "well\n");
    expect(other, "well\n");
    close(fd);
    close(other);
}
END_TEST

START_TEST(together_they_hold_no_more_than_the_total)
{
    struct ctl_limits limits = usual;
    int fds[20];

    limits.max_total = 3 * 1024 * 1024;
    serve(&limits);
    int small = join();
    say(small, "hold\n");
    for (int i = 0; i < 20; i++) {
        fds[i] = join();
        say(fds[i], "big 1000000\n");
    }
    while (closed < 10)
        turn();
    ck_assert_uint_gt(ctlsock_stats(sock).clients, 1);
    say(small, "still here\n");
    expect(small, "still here\n");
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    close(small);
}
END_TEST

START_TEST(the_silent_are_dropped_the_held_are_not)
{
    struct ctl_limits limits = usual;

    limits.idle = 50 * USEC_PER_MSEC;
    serve(&limits);
    int silent = join(), half = join(), waiting = join();
    say(half, "no newline");
    say(waiting, "hold\n");
    while (closed < 2)
        turn();
    ck_assert_uint_eq(ctlsock_stats(sock).dropped, 2);
    ck_assert_ptr_nonnull(held);
    ctl_client_send(held, "done\n", 5);
    expect(waiting, "done\n");

    struct ctl_client *client = held;
    held = NULL;
    ctl_client_unhold(client);
    expect_end(waiting);
    close(silent);
    close(half);
}
END_TEST

START_TEST(past_the_most_clients_the_silent_make_room)
{
    struct ctl_limits limits = usual;
    int fds[4];

    limits.max_clients = 3;
    serve(&limits);
    for (int i = 0; i < 3; i++) {
        fds[i] = join();
        say(fds[i], "here\n");
        expect(fds[i], "here\n");
    }
    say(fds[0], "again\n");
    expect(fds[0], "again\n");
    fds[3] = join();
    expect_end(fds[1]);
    say(fds[3], "new\n");
    expect(fds[3], "new\n");

    say(fds[0], "hold\n");
    say(fds[2], "hold\n");
    say(fds[3], "hold\n");
    while (lines < 8)
        turn();
    int late = join();
    expect_end(late);
    ck_assert_uint_eq(ctlsock_stats(sock).clients, 3);
    close(fds[0]);
    close(fds[2]);
    close(fds[3]);
    held = NULL;
}
END_TEST

START_TEST(a_refused_one_hears_why)
{
    serve(&usual);
    refuse = true;
    int fd = join();
    expect(fd, "no\n");
    expect_end(fd);

    /* Whatever it had sent is not looked at. */
    fd = join();
    push(fd, "order\n", 6);
    expect(fd, "no\n");
    close(fd);
    for (int i = 0; i < 5; i++)
        turn();
    ck_assert_uint_eq(closed, 0);
    ck_assert_uint_eq(lines, 0);
    ck_assert_uint_eq(ctlsock_stats(sock).clients, 0);
}
END_TEST

START_TEST(a_thousand_at_once)
{
    enum { N = 1000 };
    static int fds[N];
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    serve(&usual);
    for (int i = 0; i < N; i++)
        fds[i] = join();
    for (int i = 0; i < N; i++)
        say(fds[i], "ping\n");
    for (int i = 0; i < N; i++)
        expect(fds[i], "ping\n");
    ck_assert_uint_eq(ctlsock_stats(sock).clients, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    while (closed < N)
        turn();
    ck_assert_uint_eq(ctlsock_stats(sock).clients, 0);
    ck_assert_uint_eq(ctlsock_stats(sock).dropped, 0);
}
END_TEST

START_TEST(without_descriptors_it_does_not_spin)
{
    serve(&usual);
    int fd = join();
    say(fd, "hold\n");
    while (!held)
        turn();

    int late = join();
    int top = dup(late);
    struct rlimit limit, none = {.rlim_cur = (rlim_t)top};
    getrlimit(RLIMIT_NOFILE, &limit);
    none.rlim_max = limit.rlim_max;
    close(top);
    setrlimit(RLIMIT_NOFILE, &none);
    turn();
    turn();

    /* The listener is still readable: were it watched, a look at the loop would find it active at once. */
    loop_timer_clear(tick);
    for (int i = 0; i < 50; i++)
        event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
    ck_assert_uint_eq(accepted, 1);
    ck_assert_int_eq(event_base_get_num_events(loop_base(loop), EVENT_BASE_COUNT_ACTIVE), 0);
    on_tick(NULL);

    setrlimit(RLIMIT_NOFILE, &limit);
    say(late, "late\n");
    expect(late, "late\n");

    /* With a silent one to let go, the next is taken at once. */
    int next = join();
    top = dup(next);
    none.rlim_cur = (rlim_t)top;
    close(top);
    setrlimit(RLIMIT_NOFILE, &none);
    expect_end(late);
    setrlimit(RLIMIT_NOFILE, &limit);
    say(next, "next\n");
    expect(next, "next\n");
    close(next);
    close(fd);
}
END_TEST

START_TEST(the_end_writes_what_is_pending)
{
    serve(&usual);
    int fd = join();
    char *buf = xmalloc(100000);

    say(fd, "big 100000\n");
    while (lines == 0)
        turn();
    ctlsock_free(sock);
    sock = NULL;
    ck_assert_uint_eq(closed, 1);
    ck_assert_uint_eq(hear(fd, buf, 100000), 100000);
    expect_end(fd);
    free(buf);
}
END_TEST

START_TEST(the_place_is_taken_with_care)
{
    struct stat st;
    char longer[200];

    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(ctlsock_listen(longer, 0600), -ENAMETOOLONG);

    int fd = ctlsock_listen(path, 0666);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0666);
    ck_assert_int_eq(ctlsock_listen(path, 0600), -EADDRINUSE);
    close(fd);
    fd = ctlsock_listen(path, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    close(fd);
    unlink(path);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ck_assert_int_eq(ctlsock_listen(path, 0600), -ENOTSOCK);
    ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

/* A child of a dead supd, in the middle of its exec: it still has the socket when we come, and not for long. */
START_TEST(a_child_of_the_dead_has_it_a_moment_longer)
{
    int fd = ctlsock_listen(path, 0600);

    ck_assert_int_ge(fd, 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct pollfd caller = {.fd = fd, .events = POLLIN};

        _exit(poll(&caller, 1, -1) == 1 ? 0 : 1);
    }
    close(fd);
    fd = ctlsock_listen(path, 0600);
    ck_assert_int_ge(fd, 0);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    close(fd);
    unlink(path);
}
END_TEST

/* Clients that do everything at random; a quiet one is answered all the while, and nothing is left at the end. */
START_TEST(noise)
{
    enum { N = 24, ROUNDS = 4000 };
    struct ctl_limits limits = usual;
    int fds[N];
    char junk[3000], buf[8192];

    limits.max_clients = 20;
    limits.max_backlog = 60000;
    limits.max_total = 100000;
    serve(&limits);
    srand(4711);
    for (int i = 0; i < N; i++)
        fds[i] = join();
    for (int i = 0; i < ROUNDS; i++) {
        int *fd = &fds[rand() % N];
        size_t len = (size_t)rand() % sizeof junk;
        for (size_t k = 0; k < len; k++)
            junk[k] = rand() % 50 ? (char)rand() : '\n';
        switch (rand() % 8) {
        case 0:
            close(*fd);
            *fd = join();
            break;
        case 1:
            shutdown(*fd, rand() % 3);
            break;
        case 2:
            while (recv(*fd, buf, sizeof buf, 0) > 0)
                ;
            break;
        case 3:
            push(*fd, "\nbig 30000\n", 11);
            break;
        case 4:
            push(*fd, "\nhold\n", 6);
            break;
        case 5:
            turn();
            break;
        default:
            push(*fd, junk, len);
        }
        if (held && rand() % 4 == 0) {
            struct ctl_client *client = held;
            held = NULL;
            ctl_client_unhold(client);
        }
        if (i % 100 == 0) {
            int quiet = join();
            say(quiet, "quiet\n");
            expect(quiet, "quiet\n");
            close(quiet);
        }
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
    while (ctlsock_stats(sock).clients > 0)
        turn();
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("ctlsock");
    TCase *tc = tcase_create("ctlsock");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, lines_come_whole);
    tcase_add_test(tc, the_caller_is_known);
    tcase_add_test(tc, a_closed_sending_side_still_gets_answers);
    tcase_add_test(tc, a_paused_one_waits_with_its_lines);
    tcase_add_test(tc, one_that_hung_up_while_it_waited_is_let_go);
    tcase_add_test(tc, a_line_without_end_is_refused);
    tcase_add_test(tc, a_flood_leaves_others_their_turn);
    tcase_add_test(tc, one_that_never_reads_is_not_asked_for_more);
    tcase_add_test(tc, a_backlog_too_large_is_dropped);
    tcase_add_test(tc, together_they_hold_no_more_than_the_total);
    tcase_add_test(tc, the_silent_are_dropped_the_held_are_not);
    tcase_add_test(tc, past_the_most_clients_the_silent_make_room);
    tcase_add_test(tc, a_refused_one_hears_why);
    tcase_add_test(tc, a_thousand_at_once);
    tcase_add_test(tc, without_descriptors_it_does_not_spin);
    tcase_add_test(tc, the_end_writes_what_is_pending);
    tcase_add_test(tc, the_place_is_taken_with_care);
    tcase_add_test(tc, a_child_of_the_dead_has_it_a_moment_longer);
    tcase_add_test(tc, noise);
    suite_add_tcase(suite, tc);
    return suite;
}
