/* SPDX-License-Identifier: MIT */
#include "os/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"

#define STAT_MAX 1536 /* 52 numbers of at most 20 digits and a name of at most 64 bytes are less */
#define STAT_FIELDS 52

/* How often, and after how long each time, the environment of a process that stands amid its exec is looked for again. */
#define EXEC_LOOKS 20
#define EXEC_PAUSE_NS 100000

/* PF_EXITING and PF_FORKNOEXEC of the kernel's <linux/sched.h>, in the flags of /proc/PID/stat. */
#define EXITING UINT64_C(0x4)
#define DIED_BEFORE_EXEC UINT64_C(0x44)

/* Fields of /proc/PID/stat by their number in proc(5). */
enum {
    FIELD_STATE = 3,
    FIELD_PPID = 4,
    FIELD_PGRP = 5,
    FIELD_SESSION = 6,
    FIELD_FLAGS = 9,
    FIELD_MINFLT = 10,
    FIELD_CMINFLT = 11,
    FIELD_MAJFLT = 12,
    FIELD_CMAJFLT = 13,
    FIELD_UTIME = 14,
    FIELD_STIME = 15,
    FIELD_CUTIME = 16,
    FIELD_CSTIME = 17,
    FIELD_NUM_THREADS = 20,
    FIELD_STARTTIME = 22,
    FIELD_RSS = 24,
    FIELD_END_CODE = 27,
    FIELD_ENV_START = 50,
    FIELD_ENV_END = 51,
    FIELD_EXIT_CODE = 52,
};

/*
 * Takes the numbers of the fields from FIELD_PPID on apart, async-signal-safe.
 * Negative ones come out in two's complement.  Returns the number of the last field that was there.
 */
static int parse_numbers(const char *p, uint64_t numbers[STAT_FIELDS + 1])
{
    int field = FIELD_STATE;

    while (field < STAT_FIELDS) {
        while (*p == ' ')
            p++;
        bool negative = *p == '-';
        if (negative)
            p++;
        if (*p < '0' || *p > '9')
            break;

        uint64_t value = 0;
        for (; *p >= '0' && *p <= '9'; p++)
            value = value * 10 + (uint64_t)(*p - '0');
        numbers[++field] = negative ? -value : value;
    }
    return field;
}

/* TEXT: the whole file.  The name in it may hold anything; what follows its last parenthesis holds none. */
static int parse_stat(const char *text, char *state, uint64_t numbers[STAT_FIELDS + 1])
{
    const char *p = strrchr(text, ')');

    if (p == NULL || p[1] != ' ' || p[2] == '\0')
        return -EPROTO;
    *state = p[2];
    return parse_numbers(p + 3, numbers) >= FIELD_RSS ? 0 : -EPROTO;
}

/* One read(2), so that all fields are of one moment.  Async-signal-safe. */
static int read_small(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;

    ssize_t n = read(fd, buf, size - 1);
    int err = errno;
    close(fd);
    if (n == -1)
        return -err;
    buf[n] = '\0';
    return 0;
}

int procfs_read_stat(pid_t pid, struct procfs_stat *st)
{
    char path[32];
    char text[STAT_MAX];
    uint64_t numbers[STAT_FIELDS + 1] = {0};

    if (pid <= 0)
        return -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int rc = read_small(path, text, sizeof(text));
    if (rc == 0)
        rc = parse_stat(text, &st->state, numbers);
    if (rc < 0)
        return rc == -ENOENT ? -ESRCH : rc;

    st->ppid = (pid_t)numbers[FIELD_PPID];
    st->pgrp = (pid_t)numbers[FIELD_PGRP];
    st->session = (pid_t)numbers[FIELD_SESSION];
    st->utime = numbers[FIELD_UTIME];
    st->stime = numbers[FIELD_STIME];
    st->waited_utime = numbers[FIELD_CUTIME];
    st->waited_stime = numbers[FIELD_CSTIME];
    st->faults_minor = numbers[FIELD_MINFLT] + numbers[FIELD_CMINFLT];
    st->faults_major = numbers[FIELD_MAJFLT] + numbers[FIELD_CMAJFLT];
    st->num_threads = numbers[FIELD_NUM_THREADS];
    st->start_ticks = clock_machine_ticks(numbers[FIELD_STARTTIME]);
    st->rss_pages = numbers[FIELD_RSS];
    st->end_code = numbers[FIELD_END_CODE];
    st->env_start = numbers[FIELD_ENV_START];
    st->env_end = numbers[FIELD_ENV_END];
    st->exiting = (numbers[FIELD_FLAGS] & EXITING) != 0;
    st->died_before_exec = (numbers[FIELD_FLAGS] & DIED_BEFORE_EXEC) == DIED_BEFORE_EXEC;
    st->exit_code = (int)numbers[FIELD_EXIT_CODE];
    return 0;
}

bool procfs_is_dead(const struct procfs_stat *st)
{
    return st->state == 'X' || (st->state == 'Z' && st->num_threads <= 1);
}

int procfs_self_start_ticks(uint64_t *ticks)
{
    char text[STAT_MAX];
    char state;
    uint64_t numbers[STAT_FIELDS + 1];

    int rc = read_small("/proc/self/stat", text, sizeof(text));
    if (rc == 0)
        rc = parse_stat(text, &state, numbers);
    if (rc == 0)
        *ticks = clock_machine_ticks(numbers[FIELD_STARTTIME]);
    return rc;
}

/* A name that is a plain positive number, or 0. */
static pid_t pid_of_name(const char *name)
{
    char *end;

    if (name[0] < '1' || name[0] > '9')
        return 0;
    long value = strtol(name, &end, 10);
    return *end == '\0' ? (pid_t)value : 0;
}

struct procfs_walk {
    DIR *dir;
};

struct procfs_walk *procfs_walk_new(void)
{
    DIR *dir = opendir("/proc");

    if (dir == NULL)
        return NULL;
    struct procfs_walk *walk = xcalloc(1, sizeof(*walk));
    walk->dir = dir;
    return walk;
}

pid_t procfs_walk_next(struct procfs_walk *walk)
{
    pid_t pid = 0;

    while (pid == 0) {
        errno = 0;
        const struct dirent *entry = readdir(walk->dir);
        if (entry == NULL)
            return 0;
        pid = pid_of_name(entry->d_name);
    }
    return pid;
}

void procfs_walk_free(struct procfs_walk *walk)
{
    if (walk == NULL)
        return;
    closedir(walk->dir);
    free(walk);
}

int procfs_each(bool (*fn)(void *ctx, pid_t pid), void *ctx)
{
    struct procfs_walk *walk = procfs_walk_new();
    pid_t pid;
    int rc = 0;

    if (walk == NULL)
        return -errno;
    while ((pid = procfs_walk_next(walk)) != 0 && fn(ctx, pid))
        ;
    if (pid == 0)
        rc = -errno;
    procfs_walk_free(walk);
    return rc;
}

int procfs_compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a;
    pid_t y = *(const pid_t *)b;

    return (x > y) - (x < y);
}

/*
 * The whole of a file whose size is not known before, from its beginning, NUL-terminated: in FIRST, of SIZE bytes, where
 * that is enough, else allocated.  NULL when it cannot be read.
 */
static char *read_whole_fd(int fd, char *first, size_t size, size_t *len)
{
    size_t used = 0;
    char *buf = first;

    for (;;) {
        ssize_t n = pread(fd, buf + used, size - used - 1, (off_t)used);
        if (n == -1) {
            int err = errno;
            if (buf != first)
                free(buf);
            errno = err;
            return NULL;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        if (used == size - 1) {
            size *= 2;
            char *more = xreallocarray(buf == first ? NULL : buf, size, 1);
            if (buf == first)
                memcpy(more, first, used);
            buf = more;
        }
    }
    buf[used] = '\0';
    *len = used;
    return buf;
}

/* The same of the file at PATH, and always allocated. */
static char *read_whole(const char *path, size_t *len)
{
    char first[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return NULL;

    char *text = read_whole_fd(fd, first, sizeof(first), len);
    int err = errno;
    close(fd);
    errno = err;
    if (text != first)
        return text;
    text = xmalloc(*len + 1);
    memcpy(text, first, *len + 1);
    return text;
}

/*
 * Is that all there is?  Amid an exec the new address space has nothing in it yet; by now it may have.  While strings are
 * counted the environment ends where it begins; where the code ends is written down after that (load_elf_binary() of
 * Linux).
 */
static bool is_without_environ(pid_t pid)
{
    struct procfs_stat st;

    if (procfs_read_stat(pid, &st) < 0 || st.exiting)
        return true;
    return st.end_code != 0 && st.env_end != 0 && st.env_end == st.env_start;
}

char *procfs_environ(pid_t pid, size_t *len)
{
    const struct timespec pause = {.tv_nsec = EXEC_PAUSE_NS};
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    for (int i = 0; i < EXEC_LOOKS; i++) {
        char *block = read_whole(path, len);

        /* Who may read it may read where it ends, too. */
        if (block == NULL || *len > 0 || is_without_environ(pid))
            return block;
        free(block);
        nanosleep(&pause, NULL);
    }
    errno = EAGAIN;
    return NULL;
}

const char *procfs_environ_find(const char *block, size_t len, const char *key)
{
    size_t key_len = strlen(key);

    for (const char *p = block; p < block + len; p += strlen(p) + 1) {
        if (strncmp(p, key, key_len) == 0 && p[key_len] == '=')
            return p + key_len + 1;
    }
    return NULL;
}

char *procfs_environ_get(pid_t pid, const char *key)
{
    size_t len;
    char *block = procfs_environ(pid, &len);

    if (block == NULL)
        return NULL;
    char *value = xstrdup(procfs_environ_find(block, len, key));
    free(block);
    return value;
}

/* The children that FD lists. */
static int each_child_in(int fd, void (*fn)(void *ctx, pid_t child), void *ctx)
{
    char first[2048];
    size_t len;
    char *text = read_whole_fd(fd, first, sizeof(first), &len);
    char *end;

    if (text == NULL)
        return -errno;
    for (char *p = text; *p != '\0'; p = end) {
        long child = strtol(p, &end, 10);
        if (end == p)
            break;
        fn(ctx, (pid_t)child);
    }
    if (text != first)
        free(text);
    return 0;
}

/* The children of one thread.  0, -ESRCH where the thread has ended, or -errno. */
static int each_child_of(pid_t pid, pid_t thread, void (*fn)(void *ctx, pid_t child), void *ctx)
{
    char path[80];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd == -1 ? -errno : each_child_in(fd, fn, ctx);
    if (fd != -1)
        close(fd);
    return rc == -ENOENT ? -ESRCH : rc;
}

/* The directory of its threads has a link for each, beside the two that every directory has. */
static bool has_one_thread(const char *task)
{
    struct stat st;

    return stat(task, &st) == 0 && st.st_nlink == 3;
}

/* What is looked at after each end of a child of ours: the directory of our threads, the children of the first. */
static struct {
    pid_t pid; /* whose they are; 0: not open */
    int task;
    int children;
} own = {.task = -1, .children = -1};

void procfs_keep_own(void)
{
    pid_t self = getpid();
    char path[80];

    if (own.pid == self)
        return;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)self);
    own.task = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)self, (int)self);
    own.children = own.task != -1 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (own.children != -1)
        own.pid = self;
    else if (own.task != -1)
        close(own.task);
}

void procfs_leave_own(void)
{
    if (own.pid == 0)
        return;
    close(own.task);
    close(own.children);
    own.task = own.children = -1;
    own.pid = 0;
}

/* Our own, where we have one thread.  False: they have to be asked for in the way of others. */
static bool each_own_child(pid_t self, void (*fn)(void *ctx, pid_t child), void *ctx, int *rc)
{
    struct stat st;

    if (own.pid != self || fstat(own.task, &st) == -1 || st.st_nlink != 3)
        return false;
    *rc = each_child_in(own.children, fn, ctx);
    return true;
}

int procfs_each_child(pid_t pid, void (*fn)(void *ctx, pid_t child), void *ctx)
{
    static int told; /* does the kernel tell?  1: yes, -1: no */
    char path[80];
    int rc = 0;

    if (told == 0) {
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
        if (access(path, R_OK) == -1 && errno != ENOENT)
            return -errno;
        told = access(path, R_OK) == 0 ? 1 : -1;
    }
    if (told < 0)
        return -ENOSYS;
    if (pid == getpid() && each_own_child(pid, fn, ctx, &rc))
        return rc;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    if (has_one_thread(path))
        return each_child_of(pid, pid, fn, ctx);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    for (const struct dirent *entry = readdir(dir); entry != NULL && rc == 0; entry = readdir(dir)) {
        pid_t thread = pid_of_name(entry->d_name);
        if (thread != 0)
            rc = each_child_of(pid, thread, fn, ctx);
        if (rc == -ESRCH)
            rc = 0; /* that thread has ended */
    }
    closedir(dir);
    return rc;
}

void procfs_comm(pid_t pid, char comm[PROCFS_COMM_MAX])
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (read_small(path, comm, PROCFS_COMM_MAX) < 0)
        snprintf(comm, PROCFS_COMM_MAX, "?");
    comm[strcspn(comm, "\n")] = '\0';
    for (char *p = comm; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

bool procfs_uid(pid_t pid, uid_t *uid)
{
    char path[32];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (stat(path, &st) == -1)
        return false;
    *uid = st.st_uid;
    return true;
}

bool procfs_have_ptrace_cap(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) == -1)
        return false;
    return data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}
