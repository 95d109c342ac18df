/* SPDX-License-Identifier: MIT */
#include "supctl/log_tail.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "supctl/log_source.h"
#include "supctl/text.h"

#define WIDTH 1000
#define SLACK 1.0 /* s by which the clock of a file system may be behind */

static void print_line(const struct log_piece *piece, int blanks, size_t width, struct buf *spare, FILE *out)
{
    struct log_line line;
    struct buf clean = {0};
    size_t len;

    log_line_read(&line, piece->data, piece->len);
    const char *text = log_line_shown(&line, spare, &len);
    log_line_add_visible(&clean, text, len, false);
    buf_add_string(&clean, "");
    char *fits = text_cut(clean.data, width > (size_t)blanks ? width - (size_t)blanks : WIDTH, "...");
    fprintf(out, "%*s%s\n", blanks, "", fits);
    free(fits);
    buf_free(&clean);
    log_line_clear(&line);
}

void log_tail_print(const char *path, int blanks, size_t width, FILE *out)
{
    const struct log_filter filter = {.lines = LOG_TAIL_LINES, .since = INT64_MIN, .until = INT64_MAX};
    struct log_chain chain;
    struct buf spare = {0};
    struct log_piece piece;
    int64_t time;

    if (log_chain_open(&chain, path) != 0)
        return;
    log_chain_find(&chain, path, &filter, false, &time);
    for (bool more = true; more;) {
        struct log_file *file = log_chain_file(&chain);
        while (log_file_next(file, &piece) || log_file_rest(file, &piece)) {
            if (piece.begins)
                print_line(&piece, blanks, width, &spare, out);
        }
        more = chain.at > 0;
        if (more)
            log_chain_advance(&chain);
    }
    buf_free(&spare);
    log_chain_close(&chain);
}

static bool was_written_since(const char *path, double began)
{
    struct stat st;

    return *path == '/' && stat(path, &st) == 0 && st.st_size > 0 &&
           (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9 >= began - SLACK;
}

void log_tail_tell(const json_t *service, double began)
{
    const json_t *log = json_object_get(service, "log");
    const char *path = text_member(log, "err");

    if (!was_written_since(path, began))
        path = text_member(log, "out");
    if (!was_written_since(path, began))
        return;
    complain_plainly("the last lines of %s:", path);
    log_tail_print(path, 4, 0, stderr);
}
