/* SPDX-License-Identifier: MIT */
/*
 * worker BOARD:SLOT[:MIN:MAX]: the service that is measured.
 *
 * It notes on the board that it has come, tells that it is ready if it was asked to, and stays; or, with MIN and MAX,
 * lives so many milliseconds, at random between the two, notes that it ends and exits.  All in one argument, so that it
 * can stand in a line "#!".
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench/board.h"

struct job {
    char path[256];
    unsigned slot;
    bool ends;
    unsigned min; /* ms */
    unsigned max;
};

static bool parse(const char *text, struct job *job)
{
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    int n;

    if (len == 0 || len >= sizeof(job->path))
        return false;
    memcpy(job->path, text, len);
    job->path[len] = '\0';
    n = sscanf(colon, ":%u:%u:%u", &job->slot, &job->min, &job->max);
    job->ends = n == 3;
    return n == 1 || (n == 3 && job->max >= job->min);
}

/* Whoever comes last is seen by the one number. */
static void note_arrival(struct board *board, unsigned slot, int64_t now)
{
    int64_t ended = atomic_exchange(&board->slots[slot].ended, 0);
    int64_t last = atomic_load(&board->last);

    if (ended != 0) {
        uint32_t i = atomic_fetch_add(&board->n_samples, 1);
        if (i < BOARD_SAMPLES)
            atomic_store(&board->samples[i], now - ended);
    }
    atomic_store(&board->slots[slot].pid, getpid());
    while (last < now && !atomic_compare_exchange_weak(&board->last, &last, now))
        ;
    atomic_fetch_add(&board->arrived, 1);
}

/* As sd_notify(3) does, where it was asked for. */
static void tell_ready(void)
{
    static const char text[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (path == NULL || path[0] != '/' || strlen(path) >= sizeof(to.sun_path))
        return;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) == -1)
        perror("worker: READY");
    if (fd != -1)
        close(fd);
}

static void live(const struct job *job, int64_t now)
{
    unsigned spread = job->max - job->min;
    unsigned ms = job->min + (spread > 0 ? (unsigned)((now / 1000) % (spread + 1)) : 0);
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    if (ms > 0)
        nanosleep(&rest, NULL);
}

int main(int argc, char **argv)
{
    int64_t now = board_now();
    struct job job;

    if (argc < 2 || !parse(argv[1], &job)) {
        fprintf(stderr, "usage: worker BOARD:SLOT[:MIN:MAX]\n");
        return 2;
    }
    struct board *board = board_open(job.path);
    if (board == NULL || job.slot >= board->n_slots) {
        fprintf(stderr, "worker: %s: no board with a slot %u\n", job.path, job.slot);
        return 1;
    }
    note_arrival(board, job.slot, now);
    tell_ready();
    if (job.ends) {
        live(&job, now);
        atomic_store(&board->slots[job.slot].ended, board_now());
        _exit(0);
    }
    for (;;)
        pause();
}
