/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/check_main.h"

static char text[2 * 1024 * 1024];

/* A pipe as stderr; returns its other end, nonblocking. */
static int stderr_pipe(void)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    return fds[0];
}

/* All that can be read now. */
static const char *read_all(int fd)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

static size_t count_lines(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += *s == '\n';
    return n;
}

START_TEST(word_time_and_level)
{
    int fd = stderr_pipe();
    int year;
    int month;
    int ms;

    unsetenv("JOURNAL_STREAM");
    log_open(LOG_TARGET_STDERR, "supd");
    log_warning("service %s: %d", "web", 7);
    const char *line = read_all(fd);
    ck_assert_int_eq(sscanf(line, "warning %d-%d-%*d %*d:%*d:%*d.%d ", &year, &month, &ms), 3);
    ck_assert_ptr_nonnull(strstr(line, " service web: 7\n"));
    ck_assert_uint_eq(count_lines(line), 1);

    ck_assert_int_eq(log_get_level(), LOG_LEVEL_INFO);
    log_debug("hidden");
    ck_assert_str_eq(read_all(fd), "");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("seen");
    log_info("seen");
    ck_assert_uint_eq(count_lines(read_all(fd)), 2);
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("hidden");
    ck_assert_str_eq(read_all(fd), "");
    log_error("seen");
    ck_assert_int_eq(strncmp(read_all(fd), "error ", 6), 0);
    log_set_level(LOG_LEVEL_INFO);
}
END_TEST

START_TEST(opens_itself)
{
    int fd = stderr_pipe();

    log_info("early");
    ck_assert_ptr_nonnull(strstr(read_all(fd), " early\n"));
}
END_TEST

START_TEST(level_words)
{
    enum log_level level = LOG_LEVEL_INFO;

    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        ck_assert(log_level_parse(log_level_name((enum log_level)i), &level));
        ck_assert_int_eq(level, i);
    }
    ck_assert(!log_level_parse("warn", &level));
    ck_assert(!log_level_parse("", &level));
}
END_TEST

START_TEST(full_pipe_drops_and_tells)
{
    int fd = stderr_pipe();
    char before[128];

    log_open(LOG_TARGET_STDERR, "supd");
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
    for (int i = 0; i < 20000; i++)
        log_info("line %d", i);
    const char *out = read_all(fd);
    size_t written = count_lines(out);
    ck_assert_uint_gt(written, 0);
    ck_assert_uint_lt(written, 20000);

    log_info("again");
    snprintf(before, sizeof(before), " %zu lines were dropped\n", 20000 - written);
    out = read_all(fd);
    ck_assert_ptr_nonnull(strstr(out, before));
    ck_assert_ptr_nonnull(strstr(out, " again\n"));
    ck_assert_uint_eq(count_lines(out), 2);
    log_info("once");
    ck_assert_uint_eq(count_lines(read_all(fd)), 1);
    /* Who shares the description with us is not touched. */
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

/* A pipe that may not be opened again, because it was made by another user. */
START_TEST(full_pipe_of_another_user)
{
    int fd = stderr_pipe();

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    ck_assert_int_eq(open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK), -1);
    log_open(LOG_TARGET_STDERR, "supd");
    for (int i = 0; i < 20000; i++)
        log_info("line %d", i);
    size_t written = count_lines(read_all(fd));
    ck_assert_uint_gt(written, 0);
    log_info("again");
    ck_assert_ptr_nonnull(strstr(read_all(fd), " lines were dropped\n"));
    close(fd);
    log_info("to nobody: no SIGPIPE");
}
END_TEST

START_TEST(reader_is_gone)
{
    int fd = stderr_pipe();

    log_open(LOG_TARGET_STDERR, "supd");
    signal(SIGPIPE, SIG_IGN);
    close(fd);
    log_info("nobody hears");
    log_open(LOG_TARGET_STDERR, "supd");
    log_info("nor this");
    close(STDERR_FILENO);
    log_open(LOG_TARGET_STDERR, "supd");
    log_info("nor this");
}
END_TEST

START_TEST(errno_is_kept)
{
    int fd = stderr_pipe();

    errno = ENOENT;
    log_open(LOG_TARGET_STDERR, "supd");
    ck_assert_int_eq(errno, ENOENT);
    for (int i = 0; i < 5000; i++) {
        errno = EXDEV;
        log_error("%s", strerror(errno));
        ck_assert_int_eq(errno, EXDEV);
    }
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    errno = ENOENT;
    log_error("x");
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(one_message_one_line)
{
    int fd = stderr_pipe();
    static char big[10000];

    log_open(LOG_TARGET_STDERR, "supd");
    log_info("a\nb\r\x1b[31m\x7f\tc \xc3\xa4 \xc2\x9b end");
    ck_assert_ptr_nonnull(strstr(read_all(fd), " a\\nb\\x0d\\x1b[31m\\x7f\tc \xc3\xa4 \\xc2\x9b end\n"));

    memset(big, 'x', sizeof(big) - 1);
    log_info("%s", big);
    const char *line = read_all(fd);
    ck_assert_uint_eq(count_lines(line), 1);
    ck_assert_uint_le(strlen(line), 4096);
    ck_assert_ptr_nonnull(strstr(line, "xxx...\n"));
    memset(big, '\n', sizeof(big) - 1);
    log_info("%s", big);
    line = read_all(fd);
    ck_assert_uint_eq(count_lines(line), 1);
    ck_assert_uint_le(strlen(line), 4096);
}
END_TEST

START_TEST(journal)
{
    int fds[2];
    struct stat st;
    char stream[64];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open(LOG_TARGET_STDERR, "supd");
    log_set_level(LOG_LEVEL_DEBUG);
    log_error("e");
    log_warning("w");
    log_info("i");
    log_debug("d");
    ck_assert_str_eq(read_all(fds[0]), "<3>e\n<4>w\n<6>i\n<7>d\n");

    /* A journal that is stuck holds nobody up. */
    for (int i = 0; i < 100000; i++)
        log_info("line %d", i);
    ck_assert_uint_lt(count_lines(read_all(fds[0])), 100000);
    log_info("again");
    ck_assert_ptr_nonnull(strstr(read_all(fds[0]), " lines were dropped\n<6>again\n"));

    setenv("JOURNAL_STREAM", "1:1", 1);
    log_open(LOG_TARGET_STDERR, "supd");
    log_info("i");
    ck_assert_int_eq(strncmp(read_all(fds[0]), "info ", 5), 0);
    close(fds[0]);
    log_info("no SIGPIPE");
}
END_TEST

START_TEST(regular_file)
{
    FILE *fp = tmpfile();

    ck_assert_int_eq(dup2(fileno(fp), STDERR_FILENO), STDERR_FILENO);
    log_open(LOG_TARGET_STDERR, "supd");
    for (int i = 0; i < 10000; i++)
        log_info("line %d", i);
    rewind(fp);
    ck_assert_uint_eq(count_lines(read_all(fileno(fp))), 10000);
    fclose(fp);
}
END_TEST

static int listen_as_syslog(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    unlink(addr.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* With a /dev of our own, in a mount namespace of our own. */
START_TEST(syslog_daemon)
{
    if (unshare(CLONE_NEWNS) == -1)
        return;
    ck_assert_int_eq(mount("none", "/", "none", MS_REC | MS_PRIVATE, ""), 0);
    ck_assert_int_eq(mount("tmpfs", "/dev", "tmpfs", 0, ""), 0);

    log_open(LOG_TARGET_SYSLOG, "supd");
    log_info("nobody is there");
    int fd = listen_as_syslog();
    log_error("hello");

    char want[64];
    snprintf(want, sizeof(want), " supd[%d]: 1 line was dropped", (int)getpid());
    ssize_t n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_int_eq(strncmp(text, "<28>", 4), 0);
    ck_assert_ptr_nonnull(strstr(text, want));
    n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_int_eq(strncmp(text, "<27>", 4), 0);
    ck_assert_str_eq(text + n - 7, ": hello");

    /* The daemon is restarted. */
    close(fd);
    fd = listen_as_syslog();
    log_error("there");
    n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text + n - 7, ": there");

    /* It is stuck. */
    for (int i = 0; i < 10000; i++)
        log_error("line %d", i);
    close(fd);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, word_time_and_level);
    tcase_add_test(tc, opens_itself);
    tcase_add_test(tc, level_words);
    tcase_add_test(tc, full_pipe_drops_and_tells);
    tcase_add_test(tc, full_pipe_of_another_user);
    tcase_add_test(tc, reader_is_gone);
    tcase_add_test(tc, errno_is_kept);
    tcase_add_test(tc, one_message_one_line);
    tcase_add_test(tc, journal);
    tcase_add_test(tc, regular_file);
    tcase_add_test(tc, syslog_daemon);
    suite_add_tcase(suite, tc);
    return suite;
}
