/* SPDX-License-Identifier: MIT */
/* What asks supd on its control socket. */
#include "bench/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench/board.h"

/* A connection to the socket at PATH, or -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1)
        drive_fail("socket");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Reads a line, and throws it away; false at the end of the connection. */
static bool read_answer(int fd)
{
    static char buf[65536];
    ssize_t n;

    do
        n = read(fd, buf, sizeof(buf));
    while (n > 0 && buf[n - 1] != '\n');
    return n > 0;
}

static bool send_text(int fd, const char *text)
{
    size_t len = strlen(text);

    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* The lock is taken, and then its file written. */
static int64_t wait_for_lock(int inotify)
{
    struct pollfd written = {.fd = inotify, .events = POLLIN};

    if (poll(&written, 1, (int)(DRIVE_PATIENCE / 1000000)) != 1) {
        fprintf(stderr, "drive: the lock is not taken\n");
        exit(1);
    }
    return board_now();
}

static int64_t wait_for_answer(const char *socket_path, int64_t began)
{
    static const struct timespec rest = {.tv_nsec = 100000};
    bool answered = false;

    while (!answered) {
        int fd = connect_to(socket_path);

        if (fd >= 0) {
            answered = send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"supd.info\"}\n") && read_answer(fd);
            close(fd);
        } else {
            nanosleep(&rest, NULL);
        }
        if (board_now() - began > DRIVE_PATIENCE) {
            fprintf(stderr, "drive: no answer\n");
            exit(1);
        }
    }
    return board_now();
}

pid_t drive_run(char **command, void (*in_child)(void *ctx), void *ctx)
{
    pid_t pid = fork();

    if (pid == -1)
        drive_fail("fork");
    if (pid > 0)
        return pid;
    /* Who waits for the end of our output must not wait for supd's. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (in_child != NULL)
        in_child(ctx);
    execvp(command[0], command);
    drive_fail(command[0]);
}

void drive_come_back(const char *runtime, const char *socket_path, char **command, void (*in_child)(void *ctx),
                     void *ctx)
{
    char lock[256];

    snprintf(lock, sizeof(lock), "%s/lock", runtime);
    int inotify = inotify_init1(IN_CLOEXEC);
    if (inotify == -1 || inotify_add_watch(inotify, lock, IN_MODIFY) == -1)
        drive_fail(lock);

    int64_t began = board_now();
    pid_t pid = drive_run(command, in_child, ctx);
    int64_t locked = wait_for_lock(inotify);
    int64_t answered = wait_for_answer(socket_path, began);
    printf("%lld\n%lld\n%d\n", (long long)(locked - began), (long long)(answered - locked), (int)pid);
    close(inotify);
}

int drive_reattach(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    drive_come_back(argv[0], argv[1], argv + 2, NULL, NULL);
    return 0;
}

static volatile sig_atomic_t ended;

static void on_term(int signo)
{
    (void)signo;
    ended = 1;
}

int drive_pollers(int argc, char **argv)
{
    struct sigaction term = {.sa_handler = on_term};
    char request[256];

    if (argc != 4)
        return 2;
    long n = strtol(argv[1], NULL, 10);
    long period = strtol(argv[2], NULL, 10);
    if (n < 1 || period < 1)
        return 2;
    int *fds = calloc((size_t)n, sizeof(*fds));
    if (fds == NULL)
        drive_fail("calloc");
    for (long i = 0; i < n; i++) {
        fds[i] = connect_to(argv[0]);
        if (fds[i] == -1)
            drive_fail(argv[0]);
    }
    snprintf(request, sizeof(request),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"service.list\",\"params\":{\"names\":[\"%.64s\"]}}\n",
             argv[3]);
    sigaction(SIGTERM, &term, NULL);

    /* One client's turn after the other's, spread over the period. */
    int64_t next = board_now();
    for (long i = 0; !ended; i = (i + 1) % n) {
        if (!(send_text(fds[i], request) && read_answer(fds[i])) && !ended)
            drive_fail("asking for the status");
        next += period * 1000000 / n;
        const struct timespec at = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    for (long i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
    return 0;
}
