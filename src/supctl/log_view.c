/* SPDX-License-Identifier: MIT */
#include "supctl/log_view.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "supctl/text.h"

#define LINES_OF_A_PASS 4096

/* Is it all one log, whose lines need no mark and no order? */
static bool is_alone(const struct log_view *view)
{
    return view->list.n == 1;
}

static void set_marks(struct log_view *view)
{
    struct log_printer *printer = &view->printer;

    printer->marks = printer->marks || !is_alone(view);
    for (size_t i = 0; i < view->list.n; i++) {
        size_t width = text_width(view->list.sources[i]->label);
        if (width > printer->width)
            printer->width = width;
    }
}

int log_view_open(struct log_view *view, size_t first)
{
    bool needs_time = !is_alone(view);
    int worst = SUPCTL_DONE;

    set_marks(view);
    for (size_t i = first; i < view->list.n;) {
        int status;
        bool good = log_source_open(view->list.sources[i], &view->filter, needs_time, view->inotify, &status);

        /* The file of a service that has not started yet is waited for. */
        bool awaited = view->inotify >= 0 && view->list.sources[i]->awaited;
        if (status > worst && !awaited)
            worst = status;
        if (good || awaited)
            i++;
        else
            log_list_remove(&view->list, i);
    }
    return worst;
}

/* The log that has the next line; the number of logs where there is none. */
static size_t next_log(struct log_view *view, struct log_head *heads, bool rest)
{
    for (size_t i = 0; i < view->list.n; i++) {
        struct log_source *source = view->list.sources[i];

        log_source_fill(source, &view->filter, rest, &view->printer.spare);
        heads[i] = source->head;
    }
    return log_order_next(heads, view->list.n);
}

enum log_pass log_view_pass(struct log_view *view, bool rest)
{
    struct log_head *heads = xcalloc(view->list.n + 1, sizeof *heads);
    enum log_pass result = LOG_PASS_MORE;

    for (size_t lines = 0; lines < LINES_OF_A_PASS && result == LOG_PASS_MORE; lines++) {
        size_t next = next_log(view, heads, rest);

        if (next == view->list.n) {
            result = LOG_PASS_END;
            break;
        }
        log_print(&view->printer, view->list.sources[next], next);
        log_source_take(view->list.sources[next]);
        if (ferror(stdout))
            result = LOG_PASS_GONE;
    }
    free(heads);
    return result;
}

static bool has_no_reader(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    return poll(&output, 1, 0) > 0;
}

int log_view_flush(void)
{
    return text_flush() || has_no_reader() ? SUPCTL_DONE : SUPCTL_FAILED;
}
