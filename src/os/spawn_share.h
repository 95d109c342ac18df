/* SPDX-License-Identifier: MIT */
/*
 * Children that share our memory until their exec, for spawn.c.
 *
 * fork(2) copies the page tables, both sides then copy each page that they write to, and the exec throws all of that
 * away.  vfork(2) spares it, but holds us until the exec, which may hang.  CLONE_VM alone does neither: the child runs
 * beside us in the same memory, on a stack of its own and with a thread pointer of its own, since errno and what else
 * the C library keeps for a thread would else be ours.  What it reads and writes is in a room that is nobody else's
 * meanwhile; the kernel tells us when it has left (CLONE_CHILD_CLEARTID, clone(2)).
 *
 * Whoever changes what belongs to the memory, not to the process, changes it for us as well: spawn_share_allows().
 */
#ifndef SUPD_OS_SPAWN_SHARE_H
#define SUPD_OS_SPAWN_SHARE_H

#include <sys/types.h>

#include "os/spawn.h"
#include "os/spawn_pack.h"

/* May a child that is to carry out REQ do so in our memory? */
bool spawn_share_allows(const struct spawn_request *req);

/*
 * A room for one child, the same until spawn_share_clone() has filled it.  NULL: there is none now, since all are in use
 * or there is no memory, or never, since this machine does not have what it takes.
 */
struct spawn_pack *spawn_share_room(void);

/*
 * Makes a child that runs spawn_child_run() with what PACK holds, which came from spawn_share_room().  To be called with
 * all signals blocked.  Returns its pid, with *PIDFD, or -1 with errno; with EOPNOTSUPP, there are no rooms any more.
 */
pid_t spawn_share_clone(struct spawn_pack *pack, int *pidfd);

/* No child is between its making and its exec: where there were many, most of the rooms are given back. */
void spawn_share_rest(void);

/*
 * System calls of children go to a kernel here, so it may be done.  To be called when a child has got a pidfd: a program
 * that acts the kernel (valgrind is one) ends us for flags of clone(2) that it does not know.
 */
void spawn_share_begin(void);

/* No child shares our memory from now on, whatever is called.  For tests. */
void spawn_share_never(void);

#endif
