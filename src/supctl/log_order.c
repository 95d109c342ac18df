/* SPDX-License-Identifier: MIT */
#include "supctl/log_order.h"

size_t log_order_next(const struct log_head *heads, size_t n)
{
    size_t next = n;

    for (size_t i = 0; i < n; i++) {
        if (!heads[i].there)
            continue;
        if (heads[i].inside)
            return i;
        if (next == n || (heads[next].timed && (!heads[i].timed || heads[i].time < heads[next].time)))
            next = i;
    }
    return next;
}
