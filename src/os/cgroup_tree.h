/* SPDX-License-Identifier: MIT */
/*
 * Where the cgroups of services are made: the part of the cgroup v2 hierarchy that is supd's.
 *
 *   HOME            the cgroup that supd was started in: the unit's under systemd
 *   HOME/supd       supd itself, where it is alone in HOME: controllers are given only to the children
 *                   of a cgroup without processes
 *   HOME/supd-ID    the tree: ID is the random id of the runtime directory, so a directory of this name is ours
 *   HOME/supd-ID/NAME.service
 *
 * Nothing else in the hierarchy is ever written to but HOME's cgroup.subtree_control, and nobody is moved but supd and
 * its own --init.  At the end controllers are taken away from HOME only where no other cgroup is below it.
 */
#ifndef SUPD_OS_CGROUP_TREE_H
#define SUPD_OS_CGROUP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/spec_cgroup.h"
#include "os/cgroup_place.h"

struct cgroup_tree {
    struct cgroup_place place;
    char *home;   /* directory; NULL: no hierarchy is there */
    char *path;   /* directory of the tree; NULL: there is none */
    char *reason; /* why there is none; NULL where there is one */
    char name[64];
    bool enabled[CGROUP_N_CONTROLLERS]; /* for the services in it */
    char *why[CGROUP_N_CONTROLLERS];    /* it is not; NULL: not tried */
    bool ours[CGROUP_N_CONTROLLERS];    /* it was not enabled in HOME before */
    bool searched;                      /* .places is known: */
    char **places;                      /* directories of this name in the whole hierarchy */
};

/*
 * Finds HOME by PROC (/proc, but for tests), and makes the tree for the runtime directory with the id INSTANCE; supd
 * moves below HOME where that has to be.  Controllers for memory and pids are enabled.  TREE is set up in any case;
 * false where services can have no cgroups, with tree->reason.
 */
bool cgroup_tree_open(struct cgroup_tree *tree, const char *proc, const char *instance);

/* Only finds the hierarchy, so that cgroups of an earlier supd are known; makes nothing.  tree->path is NULL. */
bool cgroup_tree_find(struct cgroup_tree *tree, const char *proc, const char *instance);

/* Removes the tree where nothing is left in it, and frees TREE's memory. */
void cgroup_tree_close(struct cgroup_tree *tree);

/* Gives the controller to the services' cgroups.  False with tree->why[controller] when that cannot be. */
bool cgroup_tree_enable(struct cgroup_tree *tree, enum cgroup_controller controller);

const char *cgroup_controller_name(enum cgroup_controller controller);

/* The directory for the service NAME, to be freed; NULL where there is no tree. */
char *cgroup_tree_service(const struct cgroup_tree *tree, const char *name);

/*
 * The directory that a supd of this runtime directory has made for the service NAME, in the tree or in that of another
 * place; to be freed.  NULL: there is none.  The hierarchy is searched once.
 */
char *cgroup_tree_find_service(struct cgroup_tree *tree, const char *name);

/*
 * The directory of the cgroup that the process PID is in, if that is one that a supd of this runtime directory has made
 * for the service NAME (here or in another place); to be freed.  NULL if not, and where supd itself is in it or below.
 */
char *cgroup_tree_of_process(const struct cgroup_tree *tree, pid_t pid, const char *name);

/* Calls FN with the name of each service that has a directory in the tree. */
void cgroup_tree_each(const struct cgroup_tree *tree, void (*fn)(void *ctx, const char *name), void *ctx);

/* Removes a service's directory, and the tree of another place where it was the last there.  As cgroup_remove(). */
int cgroup_tree_remove(const struct cgroup_tree *tree, const char *path);

#endif
