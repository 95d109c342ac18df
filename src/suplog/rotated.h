/* SPDX-License-Identifier: MIT */
/*
 * The names of the files that were rotated: NAME.1 is the youngest, NAME.KEEP the oldest, each plain or with ".gz".
 */
#ifndef SUPD_SUPLOG_ROTATED_H
#define SUPD_SUPLOG_ROTATED_H

#include <stdbool.h>
#include <stdint.h>

struct rotated {
    int dir; /* descriptor of the directory */
    const char *name;
    uint32_t keep;
};

#define ROTATED_GZ ".gz"

/* "NAME.NUMBER" with SUFFIX ("" or ROTATED_GZ), to be freed. */
char *rotated_name(const struct rotated *names, uint32_t number, const char *suffix);

/*
 * Makes NAME to NAME.1, after what has that name, and so on up to the first free number, has got one number more; the
 * one past KEEP is removed.  With KEEP 0 NAME is removed.  0 or -errno.
 */
int rotated_shift(const struct rotated *names);

#endif
