/* SPDX-License-Identifier: MIT */
/*
 * Which process is the main one of a service whose start command has forked it and
 * ended?  Numbers in a file are not believed: a process must show that it comes of
 * that command, by its session, by what it carries in its environment, or by having
 * been handed to us as the subreaper.
 */
#ifndef SUPD_OS_MAINPID_H
#define SUPD_OS_MAINPID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of whom it has to come. */
struct mainpid_origin {
    pid_t starter;          /* the start command, which has ended */
    uint64_t starter_start; /* ticks; 0: not known */
    bool or_starter;        /* it may be that itself, which has not ended then */
    const char *instance;   /* SUPD_INSTANCE */
    const char *service;    /* SUPD_SERVICE */
    /* Is PID a child of ours that is known as something else, perhaps before its exec?  CTX is handed on. */
    bool (*is_known_child)(void *ctx, pid_t pid);
    void *ctx;
};

struct mainpid {
    pid_t pid;
    uint64_t start_ticks;
    int pidfd; /* the caller's */
    pid_t group;
    uint64_t group_start; /* start time of the leader of the group, 1 where it has ended */
    bool is_child;        /* ours by now */
};

/* The number in the file PATH.  False with WHY written, as "No such file or directory". */
bool mainpid_read(const char *path, pid_t *pid, char *why, size_t why_size);

/* Takes PID where it comes of ORIGIN; else false with WHY written, "process 1 is none of this service's". */
bool mainpid_take(const struct mainpid_origin *origin, pid_t pid, struct mainpid *found, char *why, size_t why_size);

/*
 * Takes the one process that the start command has left, children of it aside; else
 * false with WHY written, and in *LEFT how many such there are.
 */
bool mainpid_guess(const struct mainpid_origin *origin, struct mainpid *found, size_t *left, char *why,
                   size_t why_size);

/* Removes the file PATH where it names a process that is no more. */
void mainpid_remove_stale(const char *path);

#endif
