/* SPDX-License-Identifier: MIT */
/*
 * A thread that moves the streams of one device.  A file system that hangs, such as a dead NFS, stops the thread of its
 * own device and no other; the journal, the system log and our standard output are devices in this sense, too.
 */
#ifndef SUPD_SUPLOG_WORKER_H
#define SUPD_SUPLOG_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/log_stream.h"
#include "suplog/page.h"

struct worker;

/* What all of them use; it outlives them. */
struct suplog_common {
    int dir; /* RUNTIME/log */
    struct page_pool *pages;
    int32_t *pids; /* LOG_PIDS_FILE, mapped; NULL: there is none */
    uint32_t n_pids;
};

/* Starts it.  NULL with ERR written where there can be no thread. */
struct worker *worker_new(const struct suplog_common *common, char *err, size_t err_size);

/* The worker owns PAGE, which was begun by an earlier suplog, and finishes it before anything else. */
void worker_recover(struct worker *worker, struct page *page);

/*
 * Begins with STREAM, whose contents pass to the worker, or goes on with it where it has one with the same FIFO.  FIFO is
 * open on that, and passes on, or -1: it is opened by its name.
 */
void worker_add(struct worker *worker, struct log_stream *stream, int fifo);

/* Writes what is still in the FIFO of that name, then lets go of it. */
void worker_remove(struct worker *worker, const char *fifo);

/* The same, and then HEIR begins with STREAM, which has the same FIFO and whose contents pass on: it has one reader only. */
void worker_move(struct worker *worker, struct worker *heir, struct log_stream *stream);

/* A line may be waited for in the stream of that FIFO, if it has it; NULL: in any. */
void worker_match(struct worker *worker, const char *fifo);

/* Opens all files anew. */
void worker_reopen(struct worker *worker);

/*
 * Lets it write what is in the FIFOs and end.  worker_ended() tells when it has, worker_free() waits for that.  One that
 * hangs or has no room does not end.
 */
void worker_end(struct worker *worker);
bool worker_ended(struct worker *worker);
void worker_free(struct worker *worker);

#endif
