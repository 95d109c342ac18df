/* SPDX-License-Identifier: MIT */
/*
 * Pages of memory that outlive suplog, for text that is worked on between its FIFO and its file.
 *
 * A plain stream is moved by splice(2), which takes out of the FIFO exactly what it puts into the file.  Where suplog has
 * to read, SIGKILL may come between read(2) and write(2).  So the bytes are read into a file of RUNTIME/log that is
 * mapped and shared, beside which stands whose they are and where their text is to be written:
 *
 *   page_begin()   puts the complement of what will be read at the end of the place it will be read to
 *   read(2)        takes LEN bytes out of the FIFO, all or none of them: they are there, and nobody else reads
 *   write(2)       of the text made of them, at the offset that was noted
 *   page_end()
 *
 * A suplog that starts and finds a page begun looks at that complement.  Where it still stands, nothing was taken.  Else
 * the text is made again, and written again at the same place: once in the file, however often it is tried.
 */
#ifndef SUPD_SUPLOG_PAGE_H
#define SUPD_SUPLOG_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log_stream.h"

#define PAGE_MARK_MAX 16
#define PAGE_APPENDS UINT64_MAX
#define PAGE_STREAM_MAX LOG_STREAM_LINE_MAX
#define PAGE_DATA_OFFSET 12288

/* As it stands in the file. */
struct page_head {
    uint32_t magic;
    uint32_t begun;
    uint32_t len;
    int32_t life; /* of the service: its pid, and what stands beside that in LOG_PIDS_FILE */
    uint64_t dev; /* of the log file */
    uint64_t ino;
    uint64_t offset; /* PAGE_APPENDS: wherever the file ends */
    int64_t wall;    /* us: the time of the batch */
    uint32_t start;  /* enum batch_start */
    uint32_t mark_len;
    char mark[PAGE_MARK_MAX];
    char stream[PAGE_STREAM_MAX]; /* log_stream_encode() */
    uint64_t match;               /* id of the file of core/log_match.h that counts these bytes; 0: none does */
    uint64_t match_taken;         /* its .taken once they are read */
    uint32_t passed_on;           /* they are where they go already, and are only taken out of the FIFO */
};

struct page {
    struct page_head *head;
    char *data; /* LOG_LINE_MAX bytes */
    struct page *next;
};

/* The pages of one RUNTIME/log; used by all threads. */
struct page_pool;

/*
 * Opens the pages that lie in the directory DIR, which stays open as long as the pool.  *BEGUN gets the list of those
 * that were begun; the others are free.  NULL with ERR written where a page cannot be had.
 */
struct page_pool *page_pool_open(int dir, struct page **begun, char *err, size_t err_size);
void page_pool_close(struct page_pool *pool);

/* A free page, made where there is none; NULL with errno set when it cannot be. */
struct page *page_take(struct page_pool *pool);

/* Gives PAGE back; it is not begun. */
void page_give(struct page_pool *pool, struct page *page);

struct page_place {
    uint64_t dev;
    uint64_t ino;
    uint64_t offset; /* in the file */
    int64_t wall;    /* us */
    int32_t life;
    uint32_t start; /* enum batch_start */
    uint64_t match; /* these as in the head */
    uint64_t match_taken;
    uint32_t passed_on;
};

/*
 * The next LEN bytes of the FIFO of the stream that is encoded as STREAM (less than PAGE_STREAM_MAX bytes) are DATA, and
 * are to be read into page->data.  LEN is at least 1, at most LOG_LINE_MAX.
 */
void page_begin(struct page *page, const char *stream, const char *data, size_t len, const struct page_place *place);

/* Whether a page that was begun got its bytes. */
bool page_was_read(const struct page *page);

/* Moves the place of a page whose bytes were read. */
void page_move(struct page *page, uint64_t dev, uint64_t ino, uint64_t offset);

void page_end(struct page *page);

#endif
