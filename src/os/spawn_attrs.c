/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/spawn_child.h"
#include "os/spawn_steps.h"

bool spawn_read_oom_score_adj(int *value)
{
    char text[16];
    int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;

    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *value = atoi(text);
    return true;
}

void spawn_set_oom_score_adj(const struct child *child)
{
    int wanted = child->req->baseline->oom_score_adj;
    int current;
    char text[16];

    if (wanted == INT_MIN || (spawn_read_oom_score_adj(&current) && current == wanted))
        return;

    int len = snprintf(text, sizeof(text), "%d", wanted);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd == -1 || write(fd, text, (size_t)len) != len)
        spawn_fail(child, STEP_OOM_ADJUST, "oom-score-adj %d: %s", wanted, strerror(errno));
    close(fd);
}

void spawn_set_limits(const struct child *child)
{
    const struct rlimit *wanted = &child->req->baseline->nofile;
    struct rlimit current;

    if (getrlimit(RLIMIT_NOFILE, &current) == 0 && current.rlim_cur == wanted->rlim_cur &&
        current.rlim_max == wanted->rlim_max)
        return;
    if (setrlimit(RLIMIT_NOFILE, wanted) == -1)
        spawn_fail(child, STEP_LIMITS, "setrlimit nofile: %s", strerror(errno));
}
