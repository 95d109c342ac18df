/* SPDX-License-Identifier: MIT */
#include "os/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/identity.h"
#include "os/procfs.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static long number_from_environment(const char *name)
{
    const char *text = getenv(name);
    char *end;

    if (!text)
        return -1;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' ? -1 : value;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct fdstore_item *)a)->name, ((const struct fdstore_item *)b)->name);
}

void fdstore_open(struct fdstore *store)
{
    long n = number_from_environment("LISTEN_FDS");

    *store = (struct fdstore){0};
    if (n <= 0 || number_from_environment("LISTEN_PID") != getpid())
        return;

    const char *names = getenv("LISTEN_FDNAMES");
    for (int fd = FIRST_FD; fd < FIRST_FD + n; fd++) {
        size_t len = names ? strcspn(names, ":") : 0;

        if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
            store->items = xreallocarray(store->items, store->n + 1, sizeof *store->items);
            store->items[store->n++] = (struct fdstore_item){.name = xstrndup(names ? names : "", len), .fd = fd};
        }
        if (names)
            names += len + (names[len] == ':');
    }
    if (store->n > 0)
        qsort(store->items, store->n, sizeof *store->items, compare_items);
}

int fdstore_end(const struct fdstore *store)
{
    int end = FIRST_FD;

    for (size_t i = 0; i < store->n; i++) {
        if (store->items[i].fd >= end)
            end = store->items[i].fd + 1;
    }
    return end;
}

void fdstore_close(struct fdstore *store)
{
    for (size_t i = 0; i < store->n; i++) {
        if (store->items[i].fd >= 0)
            close(store->items[i].fd);
        free(store->items[i].name);
    }
    free(store->items);
    *store = (struct fdstore){0};
}

/* KIND and NUMBER in base 36. */
static const char *make_name(char kind, uint64_t number, char name[FDSTORE_NAME_MAX])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char reversed[FDSTORE_NAME_MAX];
    size_t n = 0;
    size_t at = 0;

    do {
        reversed[n++] = digits[number % 36];
        number /= 36;
    } while (number > 0);
    name[at++] = kind;
    while (n > 0)
        name[at++] = reversed[--n];
    name[at] = '\0';
    return name;
}

const char *fdstore_name(pid_t pid, char name[FDSTORE_NAME_MAX])
{
    return make_name('p', (unsigned)pid, name);
}

/* FNV-1a, with the NUL, so that "ab","c" and "a","bc" differ. */
static uint64_t hash(uint64_t so_far, const char *text)
{
    size_t size = strlen(text) + 1;

    for (size_t i = 0; i < size; i++)
        so_far = (so_far ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return so_far;
}

const char *fdstore_socket_name(const char *service, const char *address, char name[FDSTORE_NAME_MAX])
{
    return make_name('s', hash(hash(UINT64_C(0xcbf29ce484222325), service), address), name);
}

/* The pid that the kernel tells of a pidfd; -1: reaped.  False: it is no pidfd. */
static bool pid_of_pidfd(int fd, pid_t *pid)
{
    char path[64];
    char line[128];
    bool found = false;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = sscanf(line, "Pid: %d", pid) == 1;
    fclose(f);
    return found;
}

static enum fdstore_found ended(void)
{
    return identity_have_pidfd_exit() ? FDSTORE_ENDED : FDSTORE_NONE;
}

/* Whose pidfd is it?  A number alone may be another process's by now. */
static enum fdstore_found examine(int fd, pid_t pid, uint64_t start_ticks, uint64_t inode)
{
    struct procfs_stat st;
    pid_t told;

    if (inode != 0 && identity_inode(fd) != inode)
        return FDSTORE_NONE;
    /* Then /proc need not be asked, neither what the descriptor is nor what the process is. */
    if (identity_inode_tells(inode))
        return identity_signal(fd, 0) != -ESRCH ? FDSTORE_LIVING : ended();
    if (!pid_of_pidfd(fd, &told))
        return FDSTORE_NONE;
    if (told == pid)
        return procfs_read_stat(pid, &st) == 0 && st.start_ticks == start_ticks ? FDSTORE_LIVING : FDSTORE_NONE;
    return told == -1 ? ended() : FDSTORE_NONE;
}

static struct fdstore_item *find(struct fdstore *store, const char *name)
{
    struct fdstore_item key = {.name = (char *)name};
    struct fdstore_item *item = NULL;

    if (store->n > 0)
        item = bsearch(&key, store->items, store->n, sizeof *store->items, compare_items);
    return item && item->fd >= 0 ? item : NULL;
}

int fdstore_take_named(struct fdstore *store, const char *name)
{
    struct fdstore_item *item = find(store, name);
    int fd = item ? item->fd : -1;

    if (item)
        item->fd = -1;
    return fd;
}

enum fdstore_found fdstore_take(struct fdstore *store, pid_t pid, uint64_t start_ticks, uint64_t inode, int *pidfd)
{
    char name[FDSTORE_NAME_MAX];
    struct fdstore_item *item = find(store, fdstore_name(pid, name));

    if (!item)
        return FDSTORE_NONE;

    enum fdstore_found found = examine(item->fd, pid, start_ticks, inode);
    if (found == FDSTORE_NONE)
        return found; /* closed with the rest */
    *pidfd = item->fd;
    item->fd = -1;
    return found;
}
