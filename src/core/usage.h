/* SPDX-License-Identifier: MIT */
/*
 * What a process, or all of its service, has used up in its life, as the kernel tells at its end.
 */
#ifndef SUPD_CORE_USAGE_H
#define SUPD_CORE_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum usage_source {
    USAGE_UNKNOWN,
    USAGE_PROC,   /* /proc, of a zombie: with the children that it has waited for */
    USAGE_WAIT,   /* as a parent is told: the same */
    USAGE_CGROUP, /* its cgroup: all processes of its service, from the first of that life */
};

/* All zero: nothing is known. */
struct usage {
    enum usage_source cpu_from;    /* unknown: so is .run_time */
    enum usage_source memory_from; /* WAIT: of the largest process; CGROUP: what was charged at most */
    enum usage_source rest_from;   /* faults; and the switches, if it is WAIT */
    bool has_io;                   /* .io_read and .io_written: of its cgroup */
    int64_t cpu_user;              /* us */
    int64_t cpu_system;            /* us */
    int64_t run_time;              /* us from its fork until its end was noticed */
    uint64_t memory_peak;          /* bytes */
    uint64_t io_read;              /* bytes, from and to disks */
    uint64_t io_written;
    uint64_t faults_minor;
    uint64_t faults_major; /* those that had to wait for a disk */
    uint64_t switches_voluntary;
    uint64_t switches_involuntary;
};

#define USAGE_WORDS_MAX 128

/* "wait", "proc", "cgroup"; NULL for what is not known. */
const char *usage_source_name(enum usage_source source);

/*
 * "after 3.2 s, 0.05 s of CPU, 7.0M at most", without what is not known; "" where nothing is.  Writes at most SIZE bytes
 * and returns BUF.
 */
const char *usage_words(const struct usage *usage, char *buf, size_t size);

#endif
