/* SPDX-License-Identifier: MIT */
/*
 * The cgroups of services: made before the fork, with the limits of cgroup { }; removed once nothing is in them; found
 * again after a crash by where the processes are.  Nothing of them is recorded: what the kernel has is the record.
 */
#ifndef SUPD_SUPD_CGROUPS_H
#define SUPD_SUPD_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/policy.h"
#include "supd/supervisor.h"

/*
 * Finds the place for them, or makes it if MAKE and the setting `cgroup` say so, and logs how that went.  The lock is
 * held.
 */
void cgroups_open(struct supervisor *sup, bool make);
void cgroups_close(struct supervisor *sup);
/* All services are restored: directories without a process and a service go. */
void cgroups_clean(struct supervisor *sup);

/* The directory of the tree; NULL: there is none, and *REASON says why. */
const char *cgroups_path(const struct supervisor *sup, const char **reason);

/*
 * Before a fork: makes the service's cgroup, sets its limits, and says in REQUEST where the child is to begin; the
 * descriptor is the caller's to close.  False with ERR written where the configuration cannot be kept.
 */
bool cgroups_prepare(struct service *service, struct spawn_request *request, char *err, size_t err_size);
/* After a restore: takes its cgroup back, if it has one. */
void cgroups_attach(struct service *service);
/* Limits may be others by the configuration: those of a running service are changed. */
void cgroups_apply(struct service *service);
/* A life is over: the cgroup is removed, at once or when the last that kill-mode has left in it has ended. */
void cgroups_release(struct service *service);
/* The service is no more for us: its cgroup stays as it is. */
void cgroups_forget(struct service *service);

/* Is PID in its cgroup, or below?  A zombie is where it was. */
bool cgroups_has_process(const struct service *service, pid_t pid);

/* The directory of its cgroup, NULL where it has none. */
const char *cgroups_of(const struct service *service);

/* Has somebody moved its main process out of it? */
bool cgroups_has_left(const struct service *service);
/* A service of which nothing is recorded: are processes in its cgroup that are to be ended? */
bool cgroups_has_earlier(const struct service *service);
/* The directory where all that are in it are PROCESS's own, or have come of it; else NULL. */
const char *cgroups_whose(const struct process *process);

/*
 * Is the cgroup what is left of PROCESS?  That is with kill-mode = cgroup, where there is one, for the main process; but
 * not while a control process is beside it in there.
 */
bool cgroups_is_whole(const struct process *process);
/* SIGNO to every process in it.  As cgroup_signal(). */
int cgroups_signal(const struct service *service, int signo);
/* As cgroup_open_members(), for leftovers. */
size_t cgroups_open_members(const struct service *service, int *pidfds, size_t max);
/* To be called when leftovers of such a service are waited for: they are counted again when the last has ended. */
void cgroups_watch_end(struct service *service);

/* Puts what all in it have used in this life over what USAGE has, as far as that is known. */
void cgroups_add_usage(const struct service *service, struct usage *usage);

/* Did the OOM killer end its main process?  EXIT is how that ended. */
bool cgroups_oom_killed(struct service *service, const struct exit_info *exit);

/* Stops all processes of a running service or lets them go on.  False with ERR written when that cannot be. */
bool cgroups_pause(struct service *service, bool on, char *err, size_t err_size);
/* A paused service is being ended: it must get to see the signal. */
void cgroups_thaw(struct service *service);

bool cgroups_paused(const struct service *service);

#endif
