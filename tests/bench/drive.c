/* SPDX-License-Identifier: MIT */
#include "bench/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/board.h"

void drive_fail(const char *what)
{
    fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct board *open_board(const char *path)
{
    struct board *board = board_open(path);

    if (board == NULL)
        drive_fail(path);
    return board;
}

static void pause_ms(long ms)
{
    const struct timespec rest = {.tv_nsec = ms * 1000000};

    nanosleep(&rest, NULL);
}

/* BOARD COMMAND...: becomes COMMAND, whose beginning is noted. */
static int drive_launch(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    struct board *board = open_board(argv[0]);
    atomic_store(&board->began, board_now());
    execvp(argv[1], argv + 1);
    drive_fail(argv[1]);
}

/* BOARD: kills all its workers; prints how long it took until so many had come again. */
static int drive_storm(int argc, char **argv)
{
    if (argc != 1)
        return 2;
    struct board *board = open_board(argv[0]);
    uint32_t n = board->n_slots;
    pid_t *pids = calloc(n, sizeof(*pids));
    if (pids == NULL)
        drive_fail("calloc");

    for (uint32_t i = 0; i < n; i++)
        pids[i] = atomic_load(&board->slots[i].pid);
    atomic_store(&board->arrived, 0);
    int64_t began = board_now();
    for (uint32_t i = 0; i < n; i++)
        kill(pids[i], SIGKILL);
    while (atomic_load(&board->arrived) < n && board_now() - began < DRIVE_PATIENCE)
        pause_ms(2);
    free(pids);
    if (atomic_load(&board->arrived) < n) {
        fprintf(stderr, "drive: only %u of %u have come again\n", atomic_load(&board->arrived), n);
        return 1;
    }
    printf("%lld\n", (long long)(atomic_load(&board->last) - began));
    return 0;
}

/* PID: sends it SIGTERM; prints how long it took until it had ended. */
static int drive_stop(int argc, char **argv)
{
    if (argc != 1)
        return 2;
    pid_t pid = (pid_t)strtol(argv[0], NULL, 10);
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (ended.fd == -1)
        drive_fail("pidfd_open");

    int64_t began = board_now();
    kill(pid, SIGTERM);
    if (poll(&ended, 1, (int)(DRIVE_PATIENCE / 1000000)) != 1) {
        fprintf(stderr, "drive: %d does not end\n", (int)pid);
        return 1;
    }
    printf("%lld\n", (long long)(board_now() - began));
    return 0;
}

/* ROUNDS COMMAND...: runs it so often, its output thrown away; prints how long each took. */
static int drive_time(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    long rounds = argc >= 2 ? strtol(argv[0], NULL, 10) : 0;

    if (rounds < 1)
        return 2;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (long i = 0; i < rounds; i++) {
        int64_t began = board_now();
        int status;
        pid_t pid;

        errno = posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ);
        if (errno != 0 || waitpid(pid, &status, 0) != pid)
            drive_fail(argv[1]);
        int64_t took = board_now() - began;
        if (!WIFEXITED(status)) {
            fprintf(stderr, "drive: %s: wait status %d\n", argv[1], status);
            return 1;
        }
        printf("%lld\n", (long long)took);
    }
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *arguments;
    } commands[] = {
        {"launch", drive_launch, "BOARD COMMAND..."},
        {"storm", drive_storm, "BOARD"},
        {"stop", drive_stop, "PID"},
        {"time", drive_time, "ROUNDS COMMAND..."},
        {"reattach", drive_reattach, "RUNTIME SOCKET COMMAND..."},
        {"stored", drive_stored, "RUNTIME SOCKET BOARD COMMAND..."},
        {"pollers", drive_pollers, "SOCKET CLIENTS PERIOD_MS NAME"},
    };
    int status = 2;

    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            status = commands[i].run(argc - 2, argv + 2);
    }
    if (status != 2)
        return status;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(stderr, "usage: drive %s %s\n", commands[i].name, commands[i].arguments);
    return 2;
}
