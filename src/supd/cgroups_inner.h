/* SPDX-License-Identifier: MIT */
/*
 * What the files of supd/cgroups.h share: cgroups.c (the place, and the cgroup of a service from its making to its
 * removal), cgroups_limits.c (what is written to it) and cgroups_news.c (what it tells).
 */
#ifndef SUPD_SUPD_CGROUPS_INNER_H
#define SUPD_SUPD_CGROUPS_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "loop/loop.h"
#include "os/cgroup.h"
#include "os/cgroup_tree.h"
#include "supd/supervisor.h"

struct cgroups {
    struct cgroup_tree tree;
    bool optional; /* what cannot be kept is skipped */
    int news;      /* cgroup_watch_open() */
    struct loop_io *io;
    struct service_cgroup *watched; /* by the number of the watch of memory.events */
    struct service_cgroup *waited;  /* by that of cgroup.events */
    uint64_t own_number;            /* of the cgroup that supd itself is in, identity_cgroup(); 0: not known */
};

/* A service's cgroup. */
struct service_cgroup {
    struct service *service;
    char *path;
    bool released; /* it is removed as soon as nobody is in it */
    bool fresh;    /* made for the present life */
    bool killed;   /* all in it were, some time */
    bool counted;  /* .before holds what it had used before that */
    struct cgroup_totals before;
    bool paused;
    uint64_t oom_kills; /* known of so far */
    int64_t oom_at;     /* when the last was heard of, mono us; 0: never */
    int memory_watch;   /* -1: none */
    int end_watch;
    UT_hash_handle by_memory;
    UT_hash_handle by_end;
};

/* ---- cgroups_limits.c ---- */

/*
 * Writes all limits of the service.  With `optional`, or a process that runs already (RUNNING), what cannot be kept is
 * only told; else false with ERR written.
 */
bool cgroups_put_limits(struct service *service, bool running, char *err, size_t err_size);

/* ---- cgroups_news.c ---- */

/* Opens what news come by; without that none come. */
void cgroups_news_open(struct supervisor *sup);
void cgroups_news_close(struct supervisor *sup);
/* Tells of OOM kills from now on. */
void cgroups_watch_memory(struct service *service);
/* Looks at how many were killed, and tells of new ones. */
void cgroups_count_oom_kills(struct service *service);
void cgroups_unwatch(struct service *service);

#endif
