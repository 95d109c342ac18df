/* SPDX-License-Identifier: MIT */
/*
 * Which of several logs has the next line.
 */
#ifndef SUPD_SUPCTL_LOG_ORDER_H
#define SUPD_SUPCTL_LOG_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_head {
    bool there;   /* it has a line, or a piece of one */
    bool inside;  /* ... that belongs to the line which was shown last */
    bool timed;   /* its lines begin with their times */
    int64_t time; /* of the line, or of the one before it that has one */
};

/*
 * The one of HEADS, N of them, whose line is next; N: there is none.  What belongs to a line stays with it; logs without
 * times come first, each whole, in their order; the others by their times, those of one time in their order.
 */
size_t log_order_next(const struct log_head *heads, size_t n);

#endif
