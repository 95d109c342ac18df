/* SPDX-License-Identifier: MIT */
/*
 * One stream on its way from its FIFO to where it is kept; used by the thread of its worker only.
 *
 * There are three ways.  A plain stream to a file is spliced (way_plain).  One whose text is worked on is read into a page
 * that outlives us and written (way_text).  What goes to the journal, the system log or our standard output is handed
 * over line by line and taken out of the FIFO afterwards (way_lines): suplog's death between the two repeats lines.
 * While a line is waited for in it (match.h), a plain stream goes the way of one that is worked on.
 */
#ifndef SUPD_SUPLOG_STREAM_H
#define SUPD_SUPLOG_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/units.h"
#include "core/log_stream.h"
#include "suplog/compress.h"
#include "suplog/file.h"
#include "suplog/format.h"
#include "suplog/match.h"
#include "suplog/pace.h"
#include "suplog/page.h"
#include "suplog/rate.h"
#include "suplog/worker.h"

#define STREAM_TURN ((size_t)1024 * 1024) /* bytes that one stream may move before the next has its turn */

enum stream_result {
    STREAM_EMPTY, /* nothing to do before more comes in, or .wake */
    STREAM_MORE,  /* its turn is over */
};

/* What the streams of one thread share. */
struct desk {
    const struct suplog_common *common;
    int glass[2];    /* fifo_open_glass() */
    char *peeked;    /* LOG_LINE_MAX bytes */
    char *line;      /* twice as many, and a NUL: for match.c */
    struct buf text; /* formatted */
    struct compressor *compressor;
    int journal; /* sockets; -1: not connected */
    int syslog;
    struct pace pace;
};

struct stream {
    struct desk *desk;
    struct log_stream conf;
    char *encoded; /* log_stream_encode() */
    int fifo;
    struct log_file *file; /* of LOG_SINK_FILE; may be shared with others */
    struct match *match;   /* a line that it is looked through for; NULL: none */
    struct page *page;     /* its bytes were read and are not written yet; NULL: none */
    int64_t wake;          /* mono us when it is to be run again though nothing may have come in; 0: never */
    bool stuck;            /* its sink took nothing the last time: not before .wake */
    int64_t delay;         /* us of that waiting */
    int64_t line_since;    /* mono us since which an unfinished line waits in the FIFO; 0: none does */
    struct rate rate;
    uint64_t lost_bytes; /* dropped, because the sink was full, and not yet told in the log */
    bool closing;
    struct worker *heir; /* who goes on with it when it is closed; NULL: nobody */
    struct log_stream heir_conf;
    bool queued;
    struct stream *queued_next;
    UT_hash_handle hh; /* of its worker */
};

/* Moves what is there, a turn at most. */
enum stream_result stream_run(struct stream *stream, const struct timestamp *now);

/* Lets go of all that it holds but its file. */
void stream_clear(struct stream *stream);

/*
 * The ways.  Each moves a part of what is there and returns how many bytes it took out of the FIFO, 0 when there are none
 * to take now, or -errno when the sink takes none.
 */
ssize_t way_plain(struct stream *stream, const struct timestamp *now);
ssize_t way_text(struct stream *stream, const struct timestamp *now);
ssize_t way_lines(struct stream *stream, const struct timestamp *now);

/* What follows is for the ways. */

/* Copies what may go now, LOG_LINE_MAX bytes at most, to the desk and leaves it in the FIFO.  How much, or -errno. */
ssize_t stream_peek(struct stream *stream);

/* Takes LEN bytes out that were peeked, and that are where they go, or go nowhere.  0 or -errno: they are still there. */
int stream_take(struct stream *stream, size_t len);

/* Is the file open, and rotated if that was due?  0; 1: an unfinished line has to end before it is rotated; -errno. */
int stream_file_ready(struct stream *stream, const struct timestamp *now);

/* That something was dropped, as a line for the log, to be freed; NULL: nothing was. */
char *stream_notice(const struct stream *stream, const struct timestamp *now);

/* That line is in the log. */
void stream_told(struct stream *stream);

/* Appends that line to the file.  0 or -errno. */
int stream_write_notice(struct stream *stream, const struct timestamp *now);

/*
 * How what was peeked begins in the file, LIFE being stream_life() after that; and that it is in the file, whole or in part.
 * Before the page is ended: who does it again after our death begins it in the same way.
 */
enum batch_start stream_batch_start(const struct stream *stream, int32_t life);
void stream_batch_written(struct stream *stream, int32_t life);

/* How many of the LEN bytes that were peeked may go now: whole lines where STREAM wants them.  0: wait for more. */
size_t stream_portion(struct stream *stream, const char *data, size_t len, const struct timestamp *now);

/* How much of the first LEN bytes that were peeked the limit of the rate lets through; 0: they are to be dropped. */
size_t stream_within_rate(struct stream *stream, size_t len, const struct timestamp *now);
ssize_t stream_drop_over_rate(struct stream *stream, size_t len);

/* What stands of its service in LOG_PIDS_FILE; 0: nothing. */
int32_t stream_life(const struct stream *stream);
/* The pid of its service; 0: not known. */
int32_t stream_pid(const struct stream *stream);

/* Writes what was read into STREAM->page and gives the page back.  0 or -errno: it is still there. */
int stream_finish_page(struct stream *stream);

#endif
