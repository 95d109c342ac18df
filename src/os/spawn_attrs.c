/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/spawn_child.h"
#include "os/spawn_steps.h"

/* What lacks where the kernel says no. */
static const char *needs(int err, const char *what)
{
    return err == EPERM || err == EACCES ? what : "";
}

bool spawn_read_oom_score_adj(int fd, int *value)
{
    char text[16];
    int number = 0;

    ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n <= 0)
        return false;
    for (ssize_t i = text[0] == '-'; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        number = number * 10 + (text[i] - '0');
    *value = text[0] == '-' ? -number : number;
    return true;
}

static void set_oom_score_adj(const struct child *child)
{
    const struct spec_int *configured = &child->spec->exec->oom_score_adj;
    int wanted = configured->set ? configured->value : child->req->baseline->oom_score_adj;
    int current;
    char text[16];

    /* What supd has now is what it has handed on to us. */
    if (wanted == INT_MIN || (spawn_read_oom_score_adj(child->req->baseline->oom_fd, &current) && current == wanted))
        return;

    int len = snprintf(text, sizeof(text), "%d", wanted);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd == -1 || write(fd, text, (size_t)len) != len)
        spawn_fail(child, STEP_OOM_ADJUST, "oom-score-adj %d: %s%s", wanted, spawn_error(errno),
                   needs(errno, " (needs CAP_SYS_RESOURCE)"));
    close(fd);
}

static void set_nice(const struct child *child)
{
    const struct spec_int *nice_level = &child->spec->exec->nice;

    if (nice_level->set && setpriority(PRIO_PROCESS, 0, nice_level->value) == -1)
        spawn_fail(child, STEP_NICE, "nice %d: %s%s", nice_level->value, spawn_error(errno),
                   needs(errno, " (needs CAP_SYS_NICE)"));
}

/* The value of KEY as it is written, for a message that is the last thing we say. */
static const char *written_value(const struct child *child, const char *key)
{
    bool is_list;
    char **values = spec_get(child->spec, spec_key_find(key), &is_list);

    return values != NULL ? values[0] : "";
}

static void set_io_class(const struct child *child)
{
    const struct spec_io *io = &child->spec->exec->io;

    if (io->io_class == IO_CLASS_UNSET)
        return;
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE((int)io->io_class, io->level)) == -1)
        spawn_fail(child, STEP_IOPRIO, "io-class %s: %s%s", written_value(child, "io-class"), spawn_error(errno),
                   needs(errno, " (needs CAP_SYS_NICE, before Linux 5.14 CAP_SYS_ADMIN)"));
}

static void set_cpu_affinity(const struct child *child)
{
    const struct spec_cpus *cpus = child->spec->exec->cpus;
    cpu_set_t *set = cpus != NULL ? CPU_ALLOC(SPEC_CPUS_MAX) : NULL;
    size_t size = CPU_ALLOC_SIZE(SPEC_CPUS_MAX);

    if (cpus == NULL)
        return;
    if (set == NULL)
        spawn_fail(child, STEP_CPU_AFFINITY, "cpu-affinity: %s", spawn_error(errno));
    CPU_ZERO_S(size, set);
    for (unsigned cpu = 0; cpu < SPEC_CPUS_MAX; cpu++) {
        if (spec_cpus_has(cpus, cpu))
            CPU_SET_S(cpu, size, set);
    }
    /* Those that are not there are passed over, as long as one is. */
    if (sched_setaffinity(0, size, set) == -1)
        spawn_fail(child, STEP_CPU_AFFINITY, "cpu-affinity %s: %s%s", written_value(child, "cpu-affinity"),
                   spawn_error(errno), errno == EINVAL ? " (supd may use no such processor)" : "");
    CPU_FREE(set);
}

void spawn_set_scheduling(const struct child *child)
{
    set_oom_score_adj(child);
    set_nice(child);
    set_io_class(child);
    set_cpu_affinity(child);
}

static rlim_t limit_value(uint64_t value)
{
    return value == SPEC_LIMIT_INFINITY ? RLIM_INFINITY : (rlim_t)value;
}

static const int resources[] = {
    [SPEC_LIMIT_AS] = RLIMIT_AS,
    [SPEC_LIMIT_CORE] = RLIMIT_CORE,
    [SPEC_LIMIT_CPU] = RLIMIT_CPU,
    [SPEC_LIMIT_DATA] = RLIMIT_DATA,
    [SPEC_LIMIT_FSIZE] = RLIMIT_FSIZE,
    [SPEC_LIMIT_LOCKS] = RLIMIT_LOCKS,
    [SPEC_LIMIT_MEMLOCK] = RLIMIT_MEMLOCK,
    [SPEC_LIMIT_MSGQUEUE] = RLIMIT_MSGQUEUE,
    [SPEC_LIMIT_NICE] = RLIMIT_NICE,
    [SPEC_LIMIT_NOFILE] = RLIMIT_NOFILE,
    [SPEC_LIMIT_NPROC] = RLIMIT_NPROC,
    [SPEC_LIMIT_RSS] = RLIMIT_RSS,
    [SPEC_LIMIT_RTPRIO] = RLIMIT_RTPRIO,
    [SPEC_LIMIT_RTTIME] = RLIMIT_RTTIME,
    [SPEC_LIMIT_SIGPENDING] = RLIMIT_SIGPENDING,
    [SPEC_LIMIT_STACK] = RLIMIT_STACK,
};

_Static_assert(sizeof(resources) / sizeof(resources[0]) == SPEC_N_LIMITS, "each limit has its number");

static void set_limit(const struct child *child, const struct spec_key *key, int name)
{
    const struct spec_limit *wanted = child->spec->exec->limits[name];
    const char *hint = name == SPEC_LIMIT_NOFILE ? " (needs CAP_SYS_RESOURCE, and no more than fs.nr_open)"
                                                 : " (needs CAP_SYS_RESOURCE)";

    if (wanted == NULL)
        return;
    const struct rlimit limit = {.rlim_cur = limit_value(wanted->soft), .rlim_max = limit_value(wanted->hard)};
    if (setrlimit(resources[name], &limit) == -1)
        spawn_fail(child, STEP_LIMITS, "%s %s: %s%s", key->name, written_value(child, key->name), spawn_error(errno),
                   needs(errno, hint));
}

/* supd raises its own limit on descriptors, which is no business of a service. */
static void restore_nofile(const struct child *child)
{
    const struct rlimit *wanted = &child->req->baseline->nofile;
    struct rlimit current;

    if (getrlimit(RLIMIT_NOFILE, &current) == 0 && current.rlim_cur == wanted->rlim_cur &&
        current.rlim_max == wanted->rlim_max)
        return;
    if (setrlimit(RLIMIT_NOFILE, wanted) == -1)
        spawn_fail(child, STEP_LIMITS, "limit-nofile: %s", spawn_error(errno));
}

bool spawn_has_limits(const struct spec *spec)
{
    for (size_t i = 0; i < SPEC_N_LIMITS; i++) {
        if (spec->exec->limits[i] != NULL)
            return true;
    }
    return false;
}

void spawn_set_limits(const struct child *child)
{
    if (child->spec->exec->limits[SPEC_LIMIT_NOFILE] == NULL)
        restore_nofile(child);
    if (!spawn_has_limits(child->spec))
        return;
    for (size_t i = 0; i < spec_n_keys; i++) {
        int name = spec_limit_of(&spec_keys[i]);
        if (name >= 0)
            set_limit(child, &spec_keys[i], name);
    }
}
