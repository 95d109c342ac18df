/* SPDX-License-Identifier: MIT */
/*
 * A log file: opened where it is missing, followed when somebody moves or truncates it, rotated.
 *
 * It is never opened for appending, because splice(2) does not write to such a file; its writers in suplog share one
 * struct log_file, which knows where it ends.
 */
#ifndef SUPD_SUPLOG_FILE_H
#define SUPD_SUPLOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hash.h"
#include "base/units.h"
#include "core/log_stream.h"

struct compressor;

struct log_file {
    char *path;
    const char *name; /* its last part */
    int dir;          /* the directory it is in; -1: not open */
    int fd;           /* -1: not open */
    uint64_t dev;
    uint64_t ino;
    uint64_t size;           /* where the next byte goes */
    bool shared;             /* everybody may write where it was looked for the last time */
    bool regular;            /* else a terminal, a pipe or the like: written as it comes, not rotated */
    bool linked;             /* the name is that of a symbolic link: not rotated */
    int64_t born;            /* wall us */
    int64_t looked;          /* mono us: when it was last looked whether PATH is still this file */
    int64_t rotation_failed; /* mono us; 0: it did not */
    bool rotation_wanted;    /* now, whatever its size and age */
    int64_t wanted_since;    /* mono us: since when that waits for the end of a line; 0: it does not */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t max_size;
    int64_t max_age;
    uint32_t keep;
    bool compress;
    bool fresh;     /* it was opened since its owner looked */
    unsigned users; /* its owner's count of streams that go there */
    UT_hash_handle hh;
};

/* A file for STREAM, whose kind is LOG_SINK_FILE; nothing is opened yet. */
struct log_file *log_file_new(const struct log_stream *stream);

/* Takes over what STREAM says of size, age, number and rights; it counts from the next rotation. */
void log_file_configure(struct log_file *file, const struct log_stream *stream);

void log_file_free(struct log_file *file);

/*
 * Opens it when it is not open, and missing directories are made (0755); opens it anew when somebody has moved or removed
 * it; follows its end when somebody has truncated it.  *OPENED is set when another file is open now than before.
 * 0 or -errno: -ELOOP for a symbolic link in a directory that everybody may write to.
 */
int log_file_ready(struct log_file *file, const struct timestamp *now, bool *opened);

/* What ERROR (an errno) of log_file_ready() says, and where we refused by ourselves, what can be done. */
const char *log_file_error(const struct log_file *file, int error);

/* Closes it, so that log_file_ready() opens what has the name then. */
void log_file_close(struct log_file *file);

/* Whether it was made before so many seconds since 1970. */
bool log_file_is_older(const struct log_file *file, uint32_t seconds);

/* Whether it is time to rotate. */
bool log_file_is_due(const struct log_file *file, const struct timestamp *now);

/* How many bytes it may grow by until it is time to rotate; 0: by as many as come, also where it could not be rotated. */
uint64_t log_file_room(const struct log_file *file);

/* How many of the next LEN bytes may go in though it is due, for they go on with a line: one of LOG_LINE_MAX has room. */
size_t log_file_line_room(const struct log_file *file, size_t len);

/* Whether the next byte begins a line. */
bool log_file_at_line_start(const struct log_file *file);

/*
 * NAME becomes NAME.1, that NAME.2, and so on; the one past KEEP is removed.  Files move only as far as the first free
 * number, so one that died half-way and is done again loses nothing.  The file is closed then.  What is to be compressed
 * is told to COMPRESSOR.  One that somebody has moved or removed is only closed.  0 or -errno: it goes on as it is, and is
 * not due for a minute.  -ELOOP: it has a symbolic link for a name, of which nobody has said that it may go.
 */
int log_file_rotate(struct log_file *file, struct compressor *compressor, const struct timestamp *now);

/* Writes all of DATA at the end of a regular file, or nothing.  0 or -errno. */
int log_file_append(struct log_file *file, const char *data, size_t len);

#endif
