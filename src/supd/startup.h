/* SPDX-License-Identifier: MIT */
/*
 * From the options to a running loop, and out again.
 */
#ifndef SUPD_SUPD_STARTUP_H
#define SUPD_SUPD_STARTUP_H

#include <stdbool.h>

struct startup_options {
    const char *argv0;
    const char *config;      /* -c */
    const char *runtime_dir; /* -r, or NULL */
    bool check;              /* -t */
    bool daemon;             /* -d */
    bool verbose;            /* -v */
    bool stop_leftovers;     /* --stop-leftovers */
    bool finish_shutdown;    /* --finish-shutdown */
    int resume_fd;           /* --resume, or -1 */
};

/* Returns the exit status of supd. */
int startup_run(const struct startup_options *options);

/* Puts /dev/null where a descriptor 0-2 is closed: else the lock or a socket would take its place, and be written to. */
void startup_open_std_fds(void);

#endif
