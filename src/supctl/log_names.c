/* SPDX-License-Identifier: MIT */
#include "supctl/log_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

#define MOST 100000 /* numbers, of files that somebody else may have named */

static const char *const endings[] = {"", ".gz"};

struct log_file *log_names_open(const char *path, size_t number, int *error, char **name)
{
    struct log_file *file = NULL;
    char *last = NULL;

    *error = ENOENT;
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !file && *error == ENOENT; i++) {
        free(last);
        last = number > 0 ? xasprintf("%s.%zu%s", path, number, endings[i]) : xstrdup(path);
        file = log_file_open(last, error);
        if (number == 0)
            break;
    }
    if (name)
        *name = last;
    else
        free(last);
    return file;
}

/* The status of PATH.NUMBER. */
static bool look(const char *path, size_t number, struct stat *st)
{
    bool found = false;

    for (size_t i = 0; i < sizeof endings / sizeof *endings && !found; i++) {
        char *name = xasprintf("%s.%zu%s", path, number, endings[i]);
        found = stat(name, st) == 0;
        free(name);
    }
    return found;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* What was compressed has another inode, but it keeps the time when it was last written to. */
size_t log_names_after(const char *path, const struct log_file *once)
{
    struct stat its, st;
    size_t number = 1;

    if (fstat(log_file_fd(once), &its) != 0)
        return 0;
    while (number < MOST && look(path, number, &st)) {
        bool same = st.st_dev == its.st_dev && st.st_ino == its.st_ino;
        if (same || !is_later(&st.st_mtim, &its.st_mtim))
            break;
        number++;
    }
    return number - 1;
}
