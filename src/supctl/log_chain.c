/* SPDX-License-Identifier: MIT */
#include "supctl/log_chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "supctl/log_names.h"
#include "supctl/log_time.h"
#include "supctl/text.h"

static void add(struct log_chain *chain, struct log_file *file, char *name)
{
    chain->files = xreallocarray(chain->files, chain->n + 1, sizeof *chain->files);
    chain->names = xreallocarray(chain->names, chain->n + 1, sizeof *chain->names);
    chain->files[chain->n] = file;
    chain->names[chain->n++] = name;
}

static bool is_among(const struct log_chain *chain, const struct log_file *file)
{
    struct stat st;

    if (fstat(log_file_fd(file), &st) != 0)
        return false;
    for (size_t i = 0; i < chain->n; i++) {
        if (log_file_is(chain->files[i], &st))
            return true;
    }
    return false;
}

/*
 * Opens the next older file.  One number may be missing, in the middle of a rotation, and the file that was opened last
 * may have got the next one meanwhile.  0 or an errno.
 */
static int open_older(struct log_chain *chain, const char *path)
{
    bool missed = false;

    while (!chain->complete) {
        int error;
        char *name;
        struct log_file *file = log_names_open(path, chain->number, &error, &name);

        if (!file && error == ENOENT && !missed) {
            missed = true;
        } else if (!file) {
            if (error != ENOENT && chain->number > 0)
                complain("%s: %s; what is older is not shown", name, strerror(error));
            free(name);
            chain->complete = true;
            return error;
        } else if (!is_among(chain, file)) {
            add(chain, file, name);
            chain->number++;
            return 0;
        } else {
            log_file_close(file);
        }
        free(name);
        chain->number++;
    }
    return ENOENT;
}

int log_chain_open(struct log_chain *chain, const char *path)
{
    *chain = (struct log_chain){0};
    return open_older(chain, path);
}

static void unpack(const struct log_chain *chain, size_t i)
{
    int error = log_file_unpack(chain->files[i]);

    if (error == EILSEQ)
        complain("%s is damaged, or not written to its end; what can be read of it is shown", chain->names[i]);
    else if (error != 0)
        complain("%s cannot be unpacked: %s; TMPDIR names another directory than /var/tmp for it", chain->names[i],
                 strerror(error));
}

bool log_chain_is_timed(struct log_chain *chain, const char *path, bool *empty)
{
    bool timed = false;
    const char *text;
    size_t len, lines = 0;
    off_t start;

    for (size_t i = 0; lines == 0 && (i < chain->n || open_older(chain, path) == 0); i++) {
        unpack(chain, i);
        struct log_back *back = log_back_new(chain->files[i]);
        while (!timed && lines < LOG_SCAN_BACK && log_back_next(back, &text, &len, &start)) {
            struct log_line line;

            log_line_read(&line, text, len);
            timed = line.time != LOG_TIME_NONE;
            log_line_clear(&line);
            lines++;
        }
        log_back_free(back);
        log_file_put_away(chain->files[i]);
    }
    *empty = lines == 0;
    return timed;
}

/* False: no line of an older file is needed. */
static bool scan_file(const struct log_chain *chain, size_t i, struct log_scan *scan, struct buf *spare)
{
    struct log_back *back = log_back_new(chain->files[i]);
    bool more = true;
    const char *text;
    size_t len;
    off_t start;

    while (more && log_back_next(back, &text, &len, &start)) {
        struct log_line line;

        log_line_read(&line, text, len);
        more = log_scan_line(scan, &line, (struct log_place){i, start}, spare);
        log_line_clear(&line);
    }
    log_back_free(back);
    return more;
}

/* All that is older than the start is not needed any more. */
static void go_to(struct log_chain *chain, struct log_place place)
{
    for (size_t i = place.file + 1; i < chain->n; i++) {
        log_file_close(chain->files[i]);
        free(chain->names[i]);
    }
    chain->n = place.file + 1;
    chain->at = place.file;
    unpack(chain, chain->at);
    log_file_seek(chain->files[chain->at], place.offset);
}

void log_chain_find(struct log_chain *chain, const char *path, const struct log_filter *filter, bool needs_time,
                    int64_t *time)
{
    bool whole = filter->lines == LOG_LINES_ALL && filter->since == INT64_MIN;
    struct buf spare = {0};
    struct log_scan scan;
    bool more = filter->lines > 0;

    log_scan_begin(&scan, filter, needs_time);
    for (size_t i = 0; more && (i < chain->n || open_older(chain, path) == 0); i++) {
        if (whole)
            continue;
        unpack(chain, i);
        more = scan_file(chain, i, &scan, &spare);
        log_file_put_away(chain->files[i]);
    }
    log_scan_end(&scan);
    *time = scan.time;
    if (whole)
        go_to(chain, (struct log_place){chain->n - 1, 0});
    else
        go_to(chain, scan.taken > 0 ? scan.start : (struct log_place){0, 0});
    if (!whole && scan.taken == 0)
        log_file_seek(chain->files[0], log_file_size(chain->files[0]));
    buf_free(&spare);
}

int log_chain_open_after(struct log_chain *chain, const char *path, const struct log_file *former)
{
    size_t between = log_names_after(path, former);
    struct stat st;
    int error = fstat(log_file_fd(former), &st) == 0 ? log_chain_open(chain, path) : errno;

    while (error == 0 && !log_file_is(chain->files[chain->n - 1], &st) && chain->number <= between)
        error = open_older(chain, path);
    if (chain->n > 0 && log_file_is(chain->files[chain->n - 1], &st)) {
        log_file_close(chain->files[--chain->n]);
        free(chain->names[chain->n]);
    }
    if (chain->n == 0) {
        log_chain_close(chain);
        return error != 0 ? error : ENOENT;
    }
    go_to(chain, (struct log_place){chain->n - 1, 0});
    return 0;
}

struct log_file *log_chain_file(const struct log_chain *chain)
{
    return chain->at < chain->n ? chain->files[chain->at] : NULL;
}

void log_chain_advance(struct log_chain *chain)
{
    go_to(chain, (struct log_place){chain->at - 1, 0});
}

struct log_file *log_chain_steal(struct log_chain *chain)
{
    struct log_file *file = chain->n > 0 ? chain->files[0] : NULL;

    if (file)
        chain->files[0] = NULL;
    log_chain_close(chain);
    return file;
}

void log_chain_close(struct log_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        log_file_close(chain->files[i]);
        free(chain->names[i]);
    }
    free(chain->files);
    free(chain->names);
    *chain = (struct log_chain){0};
}
