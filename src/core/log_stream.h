/* SPDX-License-Identifier: MIT */
/*
 * One stream of a service's output on its way into a log, and how supd tells suplog of it: a line of JSON in
 * RUNTIME/log/streams.  Both programs write and read it through this module, so that they cannot mean different things.
 *
 * Where a process has ended in the middle of a line, the next one's begins on a line of its own.  No byte in a FIFO says who
 * wrote it.  But where the FIFO is empty when a process is about to be started, all that comes later is of it, or of a later
 * one; supd says so by log_pid_fresh() beside its pid, and suplog takes that away again when something of it is in the log.
 */
#ifndef SUPD_CORE_LOG_STREAM_H
#define SUPD_CORE_LOG_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FIFO_SUFFIX ".fifo"
#define LOG_LOCK_FILE "lock"             /* in RUNTIME/log: suplog's, as long as it lives, flock(2) */
#define LOG_STREAMS_FILE "streams"       /* in RUNTIME/log */
#define LOG_PIDS_FILE "pids"             /* the same: numbers of 32 bits, the pid of the service in each slot */
#define LOG_PID_MASK ((1 << 22) - 1)     /* of such a number: the pid, which the kernel lets be no larger */
#define LOG_LISTED "listed"              /* told to suplog beside the FIFOs that it is handed: the list is written */
#define LOG_LINE_MAX ((size_t)64 * 1024) /* a longer line is cut */
#define LOG_STREAM_LINE_MAX 12000        /* no line of LOG_STREAMS_FILE is longer */
#define LOG_ID_NONE UINT32_MAX           /* of .uid and .gid: whose suplog is */
#define LOG_TIMESTAMP_RFC3339 "rfc3339"  /* of .timestamp; anything else is a format of strftime(3) */

enum log_sink_kind {
    LOG_SINK_FILE,
    LOG_SINK_JOURNAL,
    LOG_SINK_SYSLOG,
    LOG_SINK_INHERIT, /* suplog's own standard output, which is supd's */
    LOG_SINK_N
};

enum log_channel {
    LOG_CHANNEL_OUT,
    LOG_CHANNEL_ERR,
    LOG_CHANNEL_BOTH, /* both come through one FIFO */
    LOG_CHANNEL_N
};

enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_JSON, LOG_FORMAT_N };

struct log_stream {
    char *service;
    char *fifo;     /* its name in RUNTIME/log */
    uint64_t inode; /* of the FIFO: another of the same name is another stream; 0: not known */
    enum log_channel channel;
    enum log_sink_kind kind;
    char *path; /* of the file; NULL for the other kinds */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t slot;     /* in LOG_PIDS_FILE; LOG_ID_NONE: nobody wants to know the pid */
    uint64_t max_size; /* bytes; 0: no limit */
    int64_t max_age;   /* us; 0: no limit */
    uint32_t keep;
    uint32_t
        rotation; /* seconds since 1970: what was made before is to be rotated; raised with each command, 0: there was none */
    bool compress;
    enum log_format format;
    char *timestamp; /* NULL: none */
    char *prefix;    /* NULL: none */
    uint64_t rate_bytes;
    int64_t rate_period; /* us; 0: no limit of the rate */
    bool drop_when_full; /* else the service waits until there is room */
};

/* The line for STREAM, without its end; to be freed. */
char *log_stream_encode(const struct log_stream *stream);

/* Fills STREAM, to be cleared.  False with ERR written, and STREAM cleared, when LINE is none. */
bool log_stream_decode(const char *line, struct log_stream *stream, char *err, size_t err_size);

/* Whether all is the same. */
bool log_stream_equal(const struct log_stream *a, const struct log_stream *b);

/* Must its text be looked at on its way, or can it go as it is? */
bool log_stream_needs_copy(const struct log_stream *stream);

void log_stream_clear(struct log_stream *stream);

/* The bit beside a pid that says that nothing of this process has come to the log of CHANNEL yet, and nothing before it will. */
int32_t log_pid_fresh(enum log_channel channel);

/* "out", "err" or "both". */
const char *log_channel_name(enum log_channel channel);

#endif
