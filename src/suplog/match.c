/* SPDX-License-Identifier: MIT */
#include "suplog/match.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "core/log_match.h"
#include "suplog/fifo.h"
#include "suplog/say.h"
#include "suplog/stream.h"

/* A line without its end is looked at as it stands after so long. */
#define LINE_PATIENCE USEC_PER_SEC

struct match {
    int fd;
    struct log_match *head; /* mapped */
    regex_t grep;
    int64_t again_at; /* mono us, at which the unfinished line is to be looked at as it stands; 0: it was, or is none */
};

/* As in page.c: SIGKILL keeps the order of the program, so the compiler has to. */
static void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/* ---- the file ---- */

/* The file for FIFO, mapped; NULL: there is none that makes sense. */
static struct log_match *map_file(int dir, const char *fifo, int *fd)
{
    char *name = log_match_name(fifo);
    struct log_match *head = MAP_FAILED;
    struct stat st;

    *fd = name ? openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    free(name);
    if (*fd >= 0 && fstat(*fd, &st) == 0 && st.st_size >= LOG_MATCH_HEAD_SIZE)
        head = mmap(NULL, LOG_MATCH_HEAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (head != MAP_FAILED && log_match_makes_sense(head))
        return head;
    if (head != MAP_FAILED)
        munmap(head, LOG_MATCH_HEAD_SIZE);
    if (*fd >= 0)
        close(*fd);
    return NULL;
}

static bool is_of(const struct log_match *head, int fifo)
{
    struct stat st;

    return fstat(fifo, &st) == 0 && head->fifo == st.st_ino;
}

/* What HEAD, in the file open as FD, asks for; both pass on.  NULL with the fault said. */
static struct match *begin(const struct stream *stream, struct log_match *head, int fd)
{
    struct match *match = xcalloc(1, sizeof *match);
    char *wrong = grep_compile(head->pattern, &match->grep);

    if (wrong) {
        say(LOG_LEVEL_ERROR, "%s: what is waited for in its output: %s", stream->conf.service, wrong);
        free(wrong);
        free(match);
        return NULL;
    }
    if (!head->measured)
        head->old = fifo_left(stream->fifo);
    in_order();
    head->measured = 1;
    match->head = head;
    match->fd = fd;
    return match;
}

void match_attach(struct stream *stream)
{
    int fd;
    struct log_match *head = map_file(stream->desk->common->dir, stream->conf.fifo, &fd);
    struct match *match = NULL;

    if (!head)
        return;
    bool has_it = stream->match && stream->match->head->id == head->id;
    if (!has_it && !head->found && is_of(head, stream->fifo))
        match = begin(stream, head, fd);
    if (!match) {
        munmap(head, LOG_MATCH_HEAD_SIZE);
        close(fd);
        return;
    }
    match_leave(stream);
    stream->match = match;
}

void match_leave(struct stream *stream)
{
    struct match *match = stream->match;

    if (!match)
        return;
    munmap(match->head, LOG_MATCH_HEAD_SIZE);
    close(match->fd);
    regfree(&match->grep);
    free(match);
    stream->match = NULL;
}

/* supd removes the file, or puts another in its place. */
static bool is_wanted(const struct match *match)
{
    struct stat st;

    return fstat(match->fd, &st) == 0 && st.st_nlink > 0;
}

/* ---- looking ---- */

static void found(struct stream *stream)
{
    stream->match->head->found = 1;
    match_leave(stream);
}

/* The LEN bytes that are kept of the line, to TEXT.  False when they are not to be had. */
static bool read_kept(const struct match *match, char *text, size_t len)
{
    return len == 0 || pread(match->fd, text, len, LOG_MATCH_HEAD_SIZE) == (ssize_t)len;
}

/*
 * TEXT, LEN bytes, is the beginning of the line at LINE, of which N_KEPT are in the file already.  The rest follows, so that
 * all may be taken.  Where there is no room for it, it stays in the FIFO, and the line is cut where that is full.
 */
static void keep(struct stream *stream, uint64_t line, const char *text, size_t len, size_t n_kept)
{
    struct match *match = stream->match;
    size_t n = len - n_kept;

    if (pwrite(match->fd, text + n_kept, n, (off_t)(LOG_MATCH_HEAD_SIZE + n_kept)) == (ssize_t)n) {
        in_order();
        match->head->kept = line + len;
        return;
    }
    if (!fifo_is_full(stream->fifo))
        return;
    if (grep_matches(&match->grep, text, len, false))
        found(stream);
    else
        match->head->looked = line + len;
}

/* What has come since, behind what is free already: N bytes at AHEAD. */
static void look_at(struct stream *stream, const char *ahead, size_t n, const struct timestamp *now)
{
    struct match *match = stream->match;
    size_t n_kept = log_match_n_kept(match->head);
    uint64_t line = log_match_line(match->head);
    char *text = stream->desk->line;
    bool seen;

    if (!read_kept(match, text, n_kept)) { /* the rest is looked at without it */
        line += n_kept;
        n_kept = 0;
        match->head->looked = line;
    }
    memcpy(text + n_kept, ahead, n);
    size_t len = n_kept + n;
    text[len] = '\0';
    size_t done = log_match_look(&match->grep, text, len, &seen);
    if (seen) {
        found(stream);
        return;
    }
    if (done > 0) {
        match->again_at = 0;
        match->head->looked = line + done;
        in_order();
        n_kept = 0;
    }
    if (done == len)
        return;
    if (match->again_at == 0)
        match->again_at = now->mono + LINE_PATIENCE;
    keep(stream, line + done, text + done, len - done, n_kept);
}

/* A program that waits for an answer to its prompt ends no line. */
static void look_at_unfinished(struct stream *stream)
{
    struct match *match = stream->match;
    size_t len = log_match_n_kept(match->head);
    char *text = stream->desk->line;

    match->again_at = 0;
    if (len == 0 || !read_kept(match, text, len))
        return;
    text[len] = '\0';
    if (grep_matches(&match->grep, text, len, true))
        found(stream);
}

void match_look(struct stream *stream, const struct timestamp *now)
{
    const struct desk *desk = stream->desk;

    if (!is_wanted(stream->match)) {
        match_leave(stream);
        return;
    }
    uint64_t before = log_match_free(stream->match->head);
    ssize_t len = fifo_peek(stream->fifo, desk->glass, desk->peeked, LOG_LINE_MAX);
    if (len > 0 && (uint64_t)len > before)
        look_at(stream, desk->peeked + before, (size_t)len - (size_t)before, now);
    if (stream->match && stream->match->again_at > 0 && now->mono >= stream->match->again_at)
        look_at_unfinished(stream);
}

/* ---- taking ---- */

uint64_t match_free(const struct match *match)
{
    return log_match_free(match->head);
}

int64_t match_wake(const struct match *match)
{
    return match->again_at;
}

void match_will_take(const struct match *match, size_t len, struct page_place *place)
{
    place->match = match->head->id;
    place->match_taken = match->head->taken + len;
}

void match_took(struct match *match, size_t len)
{
    in_order();
    match->head->taken += len;
    in_order();
}

void match_recover(int dir, const char *fifo, const struct page_head *page)
{
    int fd;
    struct log_match *head = page->match != 0 ? map_file(dir, fifo, &fd) : NULL;

    if (!head)
        return;
    if (head->id == page->match)
        head->taken = page->match_taken;
    munmap(head, LOG_MATCH_HEAD_SIZE);
    close(fd);
}
