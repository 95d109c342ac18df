/* SPDX-License-Identifier: MIT */
/*
 * A file that is, or was, a log: read line by line, forward from any place, and backward from the end in blocks, so that
 * the last lines of a large file cost nothing.  One that is compressed (".gz") is unpacked into a file without a name for
 * as long as it is read.
 * Holes hold no lines: a file that was truncated under a writer that does not append has one.
 */
#ifndef SUPD_SUPCTL_LOG_FILE_H
#define SUPD_SUPCTL_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define LOG_FILE_LINE_MAX ((size_t)1024 * 1024) /* a longer line comes in pieces of this size */

struct log_file;

/* Opens PATH.  NULL with *ERROR set: an errno; ESPIPE where it is no ordinary file. */
struct log_file *log_file_open(const char *path, int *error);
void log_file_close(struct log_file *file);

/*
 * To be called before all that reads it; what is unpacked by it is removed by log_file_put_away(), or with the file.
 * 0; EILSEQ where it is damaged, and then there is what could be unpacked; else an errno, and there is nothing.
 */
int log_file_unpack(struct log_file *file);
void log_file_put_away(struct log_file *file);

/* Is PATH's file, of which *ST tells, this one? */
bool log_file_is(const struct log_file *file, const struct stat *st);

/* Of what there is to read, now. */
off_t log_file_size(const struct log_file *file);

/* Of the file that was opened. */
int log_file_fd(const struct log_file *file);

/* ---- forward ---- */

/* A line, or a part of a long one. */
struct log_piece {
    const char *data; /* valid until the next call; len bytes without the newline */
    size_t len;
    bool begins; /* a line begins here */
    bool ends;   /* it ends here, by a newline or a hole */
};

/* The next piece comes from there. */
void log_file_seek(struct log_file *file, off_t offset);

/* The next piece; false where no whole one is there (yet).  A file that was truncated is read from its beginning. */
bool log_file_next(struct log_file *file, struct log_piece *piece);

/* What is there of a line without an end; what follows continues it.  False: nothing, or just that. */
bool log_file_rest(struct log_file *file, struct log_piece *piece);

/* ---- backward ---- */

struct log_back;

/* From the present end. */
struct log_back *log_back_new(const struct log_file *file);
void log_back_free(struct log_back *back);

/* The line before: of LINE, LEN bytes, valid until the next call, at most the first LOG_FILE_LINE_MAX; it begins at *START. */
bool log_back_next(struct log_back *back, const char **line, size_t *len, off_t *start);

#endif
