/* SPDX-License-Identifier: MIT */
/*
 * All processes of a service, however far they have gone from its main process.
 *
 * The main process has called setsid(2).  Below it, and after its end below us (we are the subreaper of what we fork),
 * are found: those of its session, whatever their process group; those that have called setsid(2) themselves, by
 * SUPD_INSTANCE and SUPD_SERVICE in their environment; the children of all of these; and who was once found is known
 * by its pid and start time.  Where the service has a cgroup, all in it are found as well; without one, who has wiped
 * its environment, left the session and lost its parent unseen is not found.
 *
 * Where the orphans come to us, only our own children that nobody knows are looked at, and the trees below them.  The
 * orphans of a process that an earlier supd has forked go elsewhere, so then it is all of /proc, which is read
 * once for all who ask the same look; but not where there is a cgroup, which tells more for less.  It is also read once
 * a great many ask for the trees below theirs, since that costs less then.
 */
#ifndef SUPD_OS_PROCTREE_H
#define SUPD_OS_PROCTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hash.h"

/* Whose processes are meant. */
struct proctree_owner {
    const char *service; /* SUPD_SERVICE */
    pid_t leader;        /* its session, and SUPD_EXEC_PID; 0: none is known */
    uint64_t leader_start;
    const char *cgroup; /* directory of that of its service; NULL: none, or not all in there are its own */
    uid_t uid;          /* that it runs as: of those outside its session another ordinary user's are not believed */
    bool alone;  /* another process of SUPD_SERVICE may be the main one: only what carries SUPD_EXEC_PID is its own */
    bool ours;   /* it was forked by this process: its orphans come to us */
    bool pinned; /* its leader is our child and not reaped: the number is its own */
    bool gone;   /* its leader was our child and is reaped: all that it had below it has come to us */
};

struct proctree_member {
    pid_t pid; /* key */
    pid_t pgrp;
    uint64_t start_ticks;
    int signalled; /* the last signal that proctree_signal() has sent it */
    UT_hash_handle by_pid;
};

/* Those found, without the leader. */
struct proctree {
    struct proctree_member *members; /* in the order in which they were found: `for (m = ...; m; m = m->by_pid.next)` */
    int err;                         /* why there may be more of them, -errno; 0: there are no more */
};

/* What the system tells at a moment. */
struct proctree_look;

/*
 * INSTANCE: SUPD_INSTANCE of our services; it stays the caller's and must outlive the look.  IS_LEADER: is PID one of the
 * main processes of all services, the present and the ended ones of which something may be left?
 */
typedef bool (*proctree_is_leader_fn)(void *ctx, pid_t pid);
struct proctree_look *proctree_look_new(const char *instance, proctree_is_leader_fn is_leader, void *ctx);
void proctree_look_free(struct proctree_look *look); /* NULL is fine */

/* N will ask the look. */
void proctree_look_expect(struct proctree_look *look, size_t n);

/* Has it read all that there are?  Then it tells of that moment also those who ask later.  NULL: no. */
bool proctree_look_has_all(const struct proctree_look *look);

/*
 * Brings TREE up to date: those of it that live, and all living that are found now.  Zombies do not count.
 * Returns how many members there are.
 */
size_t proctree_find(struct proctree_look *look, const struct proctree_owner *owner, struct proctree *tree);

/*
 * Sends SIGNO, and SIGCONT behind it if CONT, to each member but those of the process group BUT_GROUP (0: none).
 * ONLY_NEW: who was sent it before is passed over.  Returns how many got it; *ERR is set to the -errno of one that could
 * not be sent it, else left as it is.
 */
size_t proctree_signal(struct proctree *tree, int signo, bool cont, pid_t but_group, bool only_new, int *err);

/* Pidfds (close-on-exec, the caller's) of members, at most MAX, -1 for one that could not be opened.  How many those are. */
size_t proctree_open(const struct proctree *tree, int *pidfds, size_t max);

/* "12 (sh), 14 (sleep) and 3 more"; BUF. */
const char *proctree_words(const struct proctree *tree, char *buf, size_t size);

void proctree_clear(struct proctree *tree);

/* For tests: do as a kernel that does not tell the children of a process. */
void proctree_force_scan(bool on);

#endif
