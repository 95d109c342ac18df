/* SPDX-License-Identifier: MIT */
/*
 * RUNTIME/log: the FIFOs that services write into and suplog(8) reads from, and the pids of the services.
 *
 * A FIFO keeps its bytes as long as anybody has it open, so supd has it open, too, and never reads from it.
 */
#ifndef SUPD_OS_LOGFIFO_H
#define SUPD_OS_LOGFIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGFIFO_SIZE (1024 * 1024) /* bytes that one should hold */
#define LOG_SLOTS 65536            /* of LOG_PIDS_FILE */

/*
 * Opens the FIFO at PATH; where it is missing it is made with mode 0622, so that a service may open its standard output
 * again, if MAKE is set.  Refuses what is no FIFO of ours (-EEXIST).  A descriptor (close-on-exec) or -errno.
 */
int logfifo_open(const char *path, bool make);

/* Is FD open on what has the name PATH? */
bool logfifo_is(int fd, const char *path);

/* Makes it hold up to LOGFIFO_SIZE bytes, as far as that is allowed. */
void logfifo_enlarge(int fd);

/* How many bytes are in it. */
size_t logfifo_left(int fd);

/* Calls FN with each name in DIR that ends in SUFFIX. */
void logfifo_each(const char *dir, const char *suffix, void (*fn)(void *ctx, const char *name), void *ctx);

/* Maps LOG_PIDS_FILE of DIR, made where it is missing, for all who fork from here on.  NULL with errno set. */
int32_t *logfifo_map_pids(const char *dir);
void logfifo_unmap_pids(int32_t *pids);

#endif
