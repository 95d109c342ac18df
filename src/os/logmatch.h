/* SPDX-License-Identifier: MIT */
/*
 * The files by which suplog(8) is told what line of output is waited for, core/log_match.h: supd's side, and that of the
 * process before its exec.
 */
#ifndef SUPD_OS_LOGMATCH_H
#define SUPD_OS_LOGMATCH_H

#include <stdint.h>

#include "core/log_match.h"

/* How long the process waits for suplog, which may have to be started, or to end, first. */
#define LOGMATCH_PATIENCE_SEC 10

/* Puts a new file with MATCH at PATH, in place of what is there.  A descriptor of it (close-on-exec), or -errno. */
int logmatch_new(const char *path, const struct log_match *match);

/*
 * Waits until it is measured, by suplog or, where none has its lock at LOCK, by ourselves.  0; -ETIMEDOUT: suplog does not
 * answer; or -errno.  For a process that has nothing else to do.
 */
int logmatch_await(int fd, int fifo, const char *lock);

/* 1: a line that matches was seen in the life LIFE.  0: not yet.  -errno: the file at PATH tells nothing of it. */
int logmatch_found(const char *path, uint32_t life);

#endif
