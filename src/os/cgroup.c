/* SPDX-License-Identifier: MIT */
#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/identity.h"
#include "os/procfs.h"

#define LOOKS_MAX 16 /* a cgroup that forks faster than it can be signalled does not hold the loop */
#define SMALL_FILE 4096

static bool no_kill;

void cgroup_pretend_no_kill(bool on)
{
    no_kill = on;
}

/* ---- files ---- */

static int open_file(const char *path, const char *file, int flags)
{
    char *name = xasprintf("%s/%s", path, file);
    int fd = open(name, flags | O_CLOEXEC | O_NOCTTY);
    int error = errno;

    free(name);
    return fd == -1 ? -error : fd;
}

int cgroup_read(const char *path, const char *file, char *buf, size_t size)
{
    int fd = open_file(path, file, O_RDONLY);

    if (fd < 0)
        return fd;
    ssize_t n = read(fd, buf, size - 1);
    int error = errno;
    close(fd);
    if (n == -1)
        return -error;
    if (n > 0 && buf[n - 1] == '\n')
        n--;
    buf[n] = '\0';
    return 0;
}

int cgroup_read_number(const char *path, const char *file, uint64_t *value)
{
    char text[64];
    char *end;
    int rc = cgroup_read(path, file, text, sizeof text);

    if (rc < 0)
        return rc;
    if (text[0] < '0' || text[0] > '9')
        return -ERANGE;
    uint64_t number = strtoull(text, &end, 10);
    if (*end != '\0')
        return -ERANGE;
    *value = number;
    return 0;
}

int cgroup_read_key(const char *path, const char *file, const char *key, uint64_t *value)
{
    char text[SMALL_FILE];
    size_t len = strlen(key);
    int rc = cgroup_read(path, file, text, sizeof text);

    if (rc < 0)
        return rc;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, key, len) == 0 && line[len] == ' ') {
            *value = strtoull(line + len + 1, NULL, 10);
            return 0;
        }
    }
    return -ENODATA;
}

int cgroup_write(const char *path, const char *file, const char *value)
{
    int fd = open_file(path, file, O_WRONLY);

    if (fd < 0)
        return fd;
    size_t len = strlen(value);
    ssize_t n = write(fd, value, len);
    int error = n == -1 ? errno : n != (ssize_t)len ? EIO : 0;
    close(fd);
    return -error;
}

/* ---- the directory ---- */

int cgroup_make(const char *path)
{
    return mkdir(path, 0755) == -1 ? -errno : 0;
}

int cgroup_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd == -1 ? -errno : fd;
}

bool cgroup_is_inner(const char *path)
{
    char text[SMALL_FILE];

    return cgroup_read(path, "cgroup.subtree_control", text, sizeof text) == 0 && text[0] != '\0';
}

/*
 * Calls FN with the path of each cgroup right below PATH.  Each has a directory; what else is there are the kernel's files.
 */
static void each_below(const char *path, void (*fn)(void *ctx, const char *path), void *ctx)
{
    DIR *dir = opendir(path);

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *below = xasprintf("%s/%s", path, entry->d_name);
        fn(ctx, below);
        free(below);
    }
    closedir(dir);
}

static void remove_below(void *ctx, const char *path)
{
    (void)ctx;
    cgroup_remove(path);
}

int cgroup_remove(const char *path)
{
    if (rmdir(path) == 0)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    each_below(path, remove_below, NULL);
    return rmdir(path) == -1 ? -errno : 0;
}

/* ---- processes ---- */

bool cgroup_populated(const char *path)
{
    uint64_t populated = 0;
    int rc = cgroup_read_key(path, "cgroup.events", "populated", &populated);

    return rc == 0 ? populated != 0 : rc != -ENOENT && rc != -ENODEV;
}

struct pids {
    pid_t *items;
    size_t n;
    size_t room;
};

static void add_pid(struct pids *pids, pid_t pid)
{
    if (pids->n == pids->room) {
        pids->room = 2 * pids->room + 16;
        pids->items = xreallocarray(pids->items, pids->room, sizeof *pids->items);
    }
    pids->items[pids->n++] = pid;
}

static void collect(void *ctx, const char *path)
{
    struct pids *pids = ctx;
    int fd = open_file(path, "cgroup.procs", O_RDONLY);
    FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
    int pid;

    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    /* 0 stands for one that our PID namespace does not show. */
    while (fscanf(file, "%d", &pid) == 1) {
        if (pid > 0)
            add_pid(pids, pid);
    }
    fclose(file);
    each_below(path, collect, pids);
}

/* All of the cgroup and below, in ascending order. */
static struct pids look(const char *path)
{
    struct pids pids = {0};

    collect(&pids, path);
    if (pids.n > 0)
        qsort(pids.items, pids.n, sizeof *pids.items, procfs_compare_pids);
    return pids;
}

static bool has_pid(const struct pids *pids, pid_t pid)
{
    return pids->n > 0 && bsearch(&pid, pids->items, pids->n, sizeof pid, procfs_compare_pids) != NULL;
}

void cgroup_each_member(const char *path, bool (*fn)(void *ctx, pid_t pid), void *ctx)
{
    struct pids pids = look(path);

    for (size_t i = 0; i < pids.n && fn(ctx, pids.items[i]); i++)
        ;
    free(pids.items);
}

/*
 * A pidfd for each of PIDS, -errno where there is none.  A number may be another process's by the time that it is opened;
 * so the cgroup is looked at again once all are held: who is still named there is the one that is held.
 */
static int *hold(const char *path, const struct pids *pids)
{
    int *fds = xcalloc(pids->n + 1, sizeof *fds);

    for (size_t i = 0; i < pids->n; i++)
        fds[i] = identity_pidfd(pids->items[i]);
    struct pids after = look(path);
    for (size_t i = 0; i < pids->n; i++) {
        if (has_pid(&after, pids->items[i]))
            continue;
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -ESRCH;
    }
    free(after.items);
    return fds;
}

size_t cgroup_open_members(const char *path, int *pidfds, size_t max)
{
    struct pids pids = look(path);
    int *fds = hold(path, &pids);
    size_t n = 0;

    for (size_t i = 0; i < pids.n; i++) {
        if (fds[i] == -ESRCH)
            continue;
        if (n < max)
            pidfds[n] = fds[i] < 0 ? -1 : fds[i];
        else if (fds[i] >= 0)
            close(fds[i]);
        n++;
    }
    free(fds);
    free(pids.items);
    return n;
}

struct signalling {
    int signo;
    struct pids done;
    size_t n_new; /* in this look */
    bool delivered;
    int error;
};

/* One look.  Ours may not be many, but a descriptor each may be more than we can have: -EMFILE is told. */
static void signal_all(const char *path, struct signalling *s)
{
    struct pids pids = look(path);
    int *fds = hold(path, &pids);

    s->n_new = 0;
    for (size_t i = 0; i < pids.n; i++) {
        if (fds[i] == -ESRCH || has_pid(&s->done, pids.items[i])) {
            if (fds[i] >= 0)
                close(fds[i]);
            continue;
        }
        s->n_new++;
        int rc = fds[i] < 0 ? fds[i] : identity_signal(fds[i], s->signo);
        if (fds[i] >= 0)
            close(fds[i]);
        if (rc == 0)
            s->delivered = true;
        else if (rc != -ESRCH)
            s->error = rc;
    }
    for (size_t i = 0; i < pids.n; i++)
        add_pid(&s->done, pids.items[i]);
    if (s->done.n > 0)
        qsort(s->done.items, s->done.n, sizeof *s->done.items, procfs_compare_pids);
    free(fds);
    free(pids.items);
}

int cgroup_signal(const char *path, int signo)
{
    struct signalling s = {.signo = signo};

    if (signo == SIGKILL && !no_kill) {
        bool populated = cgroup_populated(path);

        if (cgroup_write(path, "cgroup.kill", "1") == 0)
            return populated ? 0 : -ESRCH;
    }
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        signal_all(path, &s);
        if (s.n_new == 0)
            break;
    }
    free(s.done.items);
    if (s.delivered)
        return 0;
    if (s.error != 0)
        return s.error;
    return cgroup_populated(path) ? -EAGAIN : -ESRCH;
}

/* ---- the freezer ---- */

int cgroup_freeze(const char *path, bool on)
{
    return cgroup_write(path, "cgroup.freeze", on ? "1" : "0");
}

bool cgroup_frozen(const char *path)
{
    uint64_t on = 0;

    return cgroup_read_number(path, "cgroup.freeze", &on) == 0 && on != 0;
}

/* ---- what it tells ---- */

void cgroup_read_usage(const char *path, struct cgroup_usage *usage)
{
    uint64_t usec = 0;

    *usage = (struct cgroup_usage){0};
    usage->has_memory = cgroup_read_number(path, "memory.current", &usage->memory) == 0;
    usage->has_tasks = cgroup_read_number(path, "pids.current", &usage->tasks) == 0;
    usage->has_cpu = cgroup_read_key(path, "cpu.stat", "usage_usec", &usec) == 0;
    usage->cpu = (int64_t)usec;
}

/* A line a disk: "8:0 rbytes=1 wbytes=2 rios=3 ..." */
static bool read_io(const char *path, struct cgroup_totals *totals)
{
    int fd = open_file(path, "io.stat", O_RDONLY);
    FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    uint64_t in;
    uint64_t out;

    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (getline(&line, &room, file) > 0) {
        if (sscanf(line, "%*s rbytes=%" SCNu64 " wbytes=%" SCNu64, &in, &out) != 2)
            continue;
        totals->io_read += in;
        totals->io_written += out;
    }
    free(line);
    fclose(file);
    return true;
}

void cgroup_read_totals(const char *path, struct cgroup_totals *totals)
{
    *totals = (struct cgroup_totals){0};
    totals->has_cpu = cgroup_read_key(path, "cpu.stat", "user_usec", &totals->cpu_user) == 0 &&
                      cgroup_read_key(path, "cpu.stat", "system_usec", &totals->cpu_system) == 0;
    totals->has_memory_peak = cgroup_read_number(path, "memory.peak", &totals->memory_peak) == 0;
    totals->has_io = read_io(path, totals);
}

uint64_t cgroup_oom_kills(const char *path)
{
    uint64_t kills = 0;

    cgroup_read_key(path, "memory.events", "oom_kill", &kills);
    return kills;
}

/* cpu.pressure has no line "full" before Linux 5.13. */
bool cgroup_read_pressure(const char *path, const char *resource, struct cgroup_pressure *pressure)
{
    char file[32];
    char text[512];

    *pressure = (struct cgroup_pressure){0};
    snprintf(file, sizeof file, "%s.pressure", resource);
    if (cgroup_read(path, file, text, sizeof text) < 0)
        return false;
    const char *full = strstr(text, "full ");
    if (full != NULL)
        sscanf(full, "full avg10=%lf avg60=%lf avg300=%lf", &pressure->full10, &pressure->full60, &pressure->full300);
    return sscanf(text, "some avg10=%lf avg60=%lf avg300=%lf", &pressure->some10, &pressure->some60,
                  &pressure->some300) == 3;
}
