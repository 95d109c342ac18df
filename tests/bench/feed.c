/* SPDX-License-Identifier: MIT */
/*
 * What loggers are measured with (bench_logs.py):
 *
 *   feed flow GATE RESULT BYTES BLOCK   says in RESULT that it waits, does so until somebody opens the FIFO GATE for writing,
 *                                       and writes lines of 100 bytes to stdout, so many BYTES (0: for ever) in writes of
 *                                       BLOCK; then "BEGAN CPU" into RESULT: ns of CLOCK_MONOTONIC and of its own processor
 *                                       time
 *   feed tick MILLISECONDS              the time in ns as a line to stdout, one each so many, for ever
 *   feed lag FILE LINES                 follows FILE, which `feed tick` fills, and tells how old each line is when it is
 *                                       there: ns
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define LINE 100

static unsigned long long time_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (unsigned long long)now.tv_sec * 1000000000U + (unsigned long long)now.tv_nsec;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0)
            err(1, "write");
        data += n;
        len -= (size_t)n;
    }
}

static void tell(const char *path, const char *text)
{
    char *fresh;

    if (asprintf(&fresh, "%s.new", path) < 0)
        err(1, "memory");
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        err(1, "%s", fresh);
    write_all(fd, text, strlen(text));
    close(fd);
    if (rename(fresh, path) < 0)
        err(1, "%s", path);
    free(fresh);
}

static char *lines_of(size_t len)
{
    char *text = malloc(len);

    if (text == NULL)
        err(1, "memory");
    for (size_t i = 0; i < len; i++)
        text[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % LINE % 26);
    return text;
}

static int flow(const char *gate, const char *result, uint64_t bytes, size_t block)
{
    char *text = lines_of(block);
    char told[64];

    tell(result, "");
    int fd = open(gate, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err(1, "%s", gate);
    unsigned long long cpu = time_of(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long long began = time_of(CLOCK_MONOTONIC);
    for (uint64_t left = bytes; left > 0 || bytes == 0;) {
        size_t n = left < block && bytes > 0 ? (size_t)left : block;

        write_all(STDOUT_FILENO, text, n);
        left -= bytes > 0 ? n : 0;
    }
    cpu = time_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    snprintf(told, sizeof told, "%llu %llu\n", began, cpu);
    tell(result, told);
    free(text);
    return 0;
}

static _Noreturn void tick(unsigned milliseconds)
{
    const struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    char line[32];

    for (;;) {
        int len = snprintf(line, sizeof line, "%llu\n", time_of(CLOCK_MONOTONIC));
        write_all(STDOUT_FILENO, line, (size_t)len);
        nanosleep(&pause, NULL);
    }
}

/* Waits until FILE was changed. */
static void await(int news)
{
    char events[4096];

    if (read(news, events, sizeof events) < 0)
        err(1, "inotify");
}

static int lag(const char *path, unsigned lines)
{
    FILE *file = fopen(path, "re");
    int news = inotify_init1(IN_CLOEXEC);
    char line[32];

    if (file == NULL || news < 0 || inotify_add_watch(news, path, IN_MODIFY) < 0)
        err(1, "%s", path);
    fseek(file, 0, SEEK_END);
    while (lines > 0) {
        await(news);
        for (clearerr(file); lines > 0 && fgets(line, sizeof line, file) != NULL; lines--)
            printf("%llu\n", time_of(CLOCK_MONOTONIC) - strtoull(line, NULL, 10));
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "flow") == 0 && argc == 6)
        return flow(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
    if (strcmp(mode, "tick") == 0 && argc == 3)
        tick((unsigned)strtoul(argv[2], NULL, 10));
    if (strcmp(mode, "lag") == 0 && argc == 4)
        return lag(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    errx(2, "usage: see tests/bench/feed.c");
}
