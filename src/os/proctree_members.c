/* SPDX-License-Identifier: MIT */
/* What is done with the processes that os/proctree.c has found. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/identity.h"
#include "os/procfs.h"
#include "os/proctree.h"

#define NAMED_MAX 8      /* in proctree_words() */
#define NAMED_LENGTH 100 /* room for one of them and the end of the sentence */

static int send_to(const struct proctree_member *member, int signo, bool cont)
{
    int pidfd = identity_open(member->pid, member->start_ticks);

    if (pidfd < 0)
        return pidfd;
    int rc = identity_signal(pidfd, signo);
    if (cont)
        identity_signal(pidfd, SIGCONT);
    close(pidfd);
    return rc;
}

size_t proctree_signal(struct proctree *tree, int signo, bool cont, pid_t but_group, bool only_new, int *err)
{
    size_t n = 0;

    for (struct proctree_member *m = tree->members; m != NULL; m = m->by_pid.next) {
        if (only_new && m->signalled == signo)
            continue;
        bool told = but_group > 0 && m->pgrp == but_group;
        int rc = told ? -ESRCH : send_to(m, signo, cont);
        if (rc < 0 && rc != -ESRCH)
            *err = rc;
        m->signalled = signo;
        n += rc == 0;
    }
    return n;
}

size_t proctree_open(const struct proctree *tree, int *pidfds, size_t max)
{
    size_t n = 0;

    for (const struct proctree_member *m = tree->members; m != NULL && n < max; m = m->by_pid.next) {
        int pidfd = identity_open(m->pid, m->start_ticks);
        pidfds[n++] = pidfd < 0 ? -1 : pidfd;
    }
    return n;
}

const char *proctree_words(const struct proctree *tree, char *buf, size_t size)
{
    unsigned total = HASH_CNT(by_pid, tree->members);
    unsigned named = 0;
    size_t len = 0;

    buf[0] = '\0';
    for (const struct proctree_member *m = tree->members; m != NULL && named < NAMED_MAX; m = m->by_pid.next) {
        char comm[PROCFS_COMM_MAX];

        if (len + NAMED_LENGTH > size)
            break;
        procfs_comm(m->pid, comm);
        len += (size_t)snprintf(buf + len, size - len, "%s%d (%s)", named == 0 ? "" : ", ", (int)m->pid, comm);
        named++;
    }
    if (named < total)
        snprintf(buf + len, size - len, " and %u more", total - named);
    return buf;
}

void proctree_clear(struct proctree *tree)
{
    struct proctree_member *member;
    struct proctree_member *tmp;

    HASH_ITER(by_pid, tree->members, member, tmp)
    {
        HASH_DELETE(by_pid, tree->members, member);
        free(member);
    }
    tree->err = 0;
}
