/* SPDX-License-Identifier: MIT */
/*
 * What `supctl logs` shows: the logs of a list, merged, filtered and printed.
 */
#ifndef SUPD_SUPCTL_LOG_VIEW_H
#define SUPD_SUPCTL_LOG_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "supctl/client.h"
#include "supctl/log_list.h"
#include "supctl/log_print.h"

struct log_view {
    const struct options *options;
    struct log_list list;
    enum log_streams streams;
    struct log_filter filter;
    struct log_printer printer;
    int inotify; /* -1: it is not followed */
};

/*
 * Opens the logs of the list from FIRST on.  Those of which there is nothing to read, and will not be, are removed.
 * Returns SUPCTL_DONE, or the worst of what was told.
 */
int log_view_open(struct log_view *view, size_t first);

enum log_pass {
    LOG_PASS_END,  /* no line is left */
    LOG_PASS_MORE, /* there are more */
    LOG_PASS_GONE, /* it cannot be printed */
};

/* Prints lines, up to a number that takes no time; REST: also what has no end yet. */
enum log_pass log_view_pass(struct log_view *view, bool rest);

/* Writes what was printed.  SUPCTL_DONE also where nobody reads it any more, which is how one ends a pipe. */
int log_view_flush(void);

/* log_follow.c: prints what is written, until nobody reads it.  CLIENT, which is closed, is subscribed to events. */
int log_follow(struct log_view *view, struct client *client);

#endif
