/* SPDX-License-Identifier: MIT */
/*
 * What proctree.c learns of the system at a moment, and proctree_look.c gets for it.  Private to the two.
 */
#ifndef SUPD_OS_PROCTREE_LOOK_H
#define SUPD_OS_PROCTREE_LOOK_H

#include "os/procfs.h"
#include "os/proctree.h"

#define PROCTREE_ROUNDS_MAX 64 /* a tree whose processes end faster than they are read does not hold the loop */

/* A process that nobody knows by its number or session. */
struct stranger {
    pid_t pid;
    struct procfs_stat st;
    bool asked;    /* its environment was read */
    bool unknown;  /* it could not be: it stands amid its exec, or its end */
    bool ended;    /* it could not be: it has ended since it was seen */
    char *service; /* whose it says to be; NULL: nobody's of ours */
    pid_t exec_pid;
    UT_hash_handle by_pid;
};

struct proctree_look {
    const char *instance;
    proctree_is_leader_fn is_leader;
    void *ctx;
    pid_t self;
    pid_t own_session;        /* 0: not asked yet */
    struct stranger *orphans; /* our children that nobody knows */
    int orphans_err;
    bool have_orphans;
    struct stranger *all; /* all in /proc but the leaders, sorted by parent */
    size_t n_all;
    int all_err;
    bool have_all;
    bool all_torn; /* a child was read before the end of its parent, after which that was: it may be ours by now */
    size_t asked;  /* how many have asked for the children of a leader, or are expected to */
    size_t asked_for_all; /* from so many on all are read */
};

/* It has ended; or /proc is mounted with hidepid and it is another user's, then it is none of ours. */
bool proctree_is_out_of_sight(int rc);
bool proctree_is_leader(const struct proctree_look *look, pid_t pid);
bool proctree_is_in_our_session(struct proctree_look *look, pid_t session);

/* Reads our children that nobody knows.  Were there any that had not been read before? */
bool proctree_read_orphans(struct proctree_look *look);

/* Reads all processes but the leaders, once for each look.  0 or -errno: there may be more. */
int proctree_read_all(struct proctree_look *look);

/*
 * The same to learn of the children of one more leader.  False: that is not worth while, since few have asked so far, or
 * it did not come to an end; they are to be asked for by themselves.
 */
bool proctree_read_all_for_one(struct proctree_look *look);

/*
 * The same out of all processes, where the children of so many leaders will be asked for that all are read anyway: the
 * kernel tells the children of one process a page at a time, and counts from the first again for each.  False: they are
 * to be read.
 */
bool proctree_read_orphans_with_all(struct proctree_look *look);

void proctree_append(struct stranger **items, size_t *n, pid_t pid, const struct procfs_stat *st);

/* The first in look->all whose parent is PARENT or more. */
size_t proctree_first_child(const struct proctree_look *look, pid_t parent);

#endif
