/* SPDX-License-Identifier: MIT */
/*
 * board: what the measured workers and who measures them share, a file that each of them maps.
 *
 * A worker notes here when it has reached the first line of its main(), and when it ends of itself; so what is timed
 * needs neither pipe nor system call.  All times are CLOCK_MONOTONIC in ns.  The file is made, all zero, by who drives
 * the measurement (board.py, which knows this layout).
 */
#ifndef SUPD_TESTS_BENCH_BOARD_H
#define SUPD_TESTS_BENCH_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#define BOARD_SAMPLES 65536

struct board_slot {
    _Atomic int32_t pid;   /* of the last worker that came */
    _Atomic int64_t ended; /* when it was about to end of itself; 0: it was not, or its successor has come */
};

struct board {
    _Atomic uint32_t arrived;   /* workers since it was last set to 0 */
    _Atomic uint32_t n_samples; /* may go beyond BOARD_SAMPLES, what is more is not kept */
    _Atomic int64_t last;       /* when the last of them came */
    _Atomic int64_t began;      /* when the supervisor was executed */
    uint32_t n_slots;
    uint32_t unused;
    _Atomic int64_t samples[BOARD_SAMPLES]; /* from the end of a worker to its successor */
    struct board_slot slots[];
};

/* Maps the board at PATH; NULL with errno. */
struct board *board_open(const char *path);

int64_t board_now(void);

#endif
