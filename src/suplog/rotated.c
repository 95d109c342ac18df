/* SPDX-License-Identifier: MIT */
#include "suplog/rotated.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const suffixes[] = {"", ROTATED_GZ};
#define N_SUFFIXES (sizeof suffixes / sizeof *suffixes)

char *rotated_name(const struct rotated *names, uint32_t number, const char *suffix)
{
    return xasprintf("%s.%u%s", names->name, number, suffix);
}

static bool exists(const struct rotated *names, uint32_t number, const char *suffix)
{
    char *name = rotated_name(names, number, suffix);
    struct stat st;
    bool found = fstatat(names->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

    free(name);
    return found;
}

/* The first number that is free; KEEP when none is. */
static uint32_t first_free(const struct rotated *names)
{
    for (uint32_t number = 1; number < names->keep; number++) {
        if (!exists(names, number, "") && !exists(names, number, ROTATED_GZ))
            return number;
    }
    return names->keep;
}

static int remove_number(const struct rotated *names, uint32_t number)
{
    for (size_t i = 0; i < N_SUFFIXES; i++) {
        char *name = rotated_name(names, number, suffixes[i]);
        int rc = unlinkat(names->dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;

        free(name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int move_up(const struct rotated *names, uint32_t number)
{
    for (size_t i = 0; i < N_SUFFIXES; i++) {
        char *from = rotated_name(names, number, suffixes[i]);
        char *to = rotated_name(names, number + 1, suffixes[i]);
        int rc = renameat(names->dir, from, names->dir, to) < 0 && errno != ENOENT ? -errno : 0;

        free(from);
        free(to);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int rotated_shift(const struct rotated *names)
{
    if (names->keep == 0)
        return unlinkat(names->dir, names->name, 0) < 0 ? -errno : 0;
    uint32_t room = first_free(names);
    int rc = remove_number(names, room);
    for (uint32_t number = room - 1; rc == 0 && number > 0; number--)
        rc = move_up(names, number);
    if (rc < 0)
        return rc;
    char *youngest = rotated_name(names, 1, "");
    rc = renameat(names->dir, names->name, names->dir, youngest) < 0 ? -errno : 0;
    free(youngest);
    return rc;
}
