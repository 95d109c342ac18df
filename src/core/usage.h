/* SPDX-License-Identifier: MIT */
/*
 * What a process has used up in its life, as the kernel tells at its end.
 */
#ifndef SUPD_CORE_USAGE_H
#define SUPD_CORE_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With the children that it has waited for.  All zero: nothing is known. */
struct usage {
    bool known;           /* CPU time, faults and .run_time are */
    bool is_whole;        /* so are .memory_peak and the switches: only a parent is told these */
    int64_t cpu_user;     /* us */
    int64_t cpu_system;   /* us */
    int64_t run_time;     /* us from its fork until its end was noticed */
    uint64_t memory_peak; /* bytes resident, of the largest process */
    uint64_t faults_minor;
    uint64_t faults_major; /* those that had to wait for a disk */
    uint64_t switches_voluntary;
    uint64_t switches_involuntary;
};

#define USAGE_WORDS_MAX 128

/*
 * "after 3.2 s, 0.05 s of CPU, 7.0M at most", without what is not known; "" where nothing is.  Writes at most SIZE bytes
 * and returns BUF.
 */
const char *usage_words(const struct usage *usage, char *buf, size_t size);

#endif
