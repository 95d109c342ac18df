/* SPDX-License-Identifier: MIT */
/*
 * One process of a service, as the kernel gave it to us: from its fork, or its
 * adoption, to the end of the last one that came of it.  What is decided
 * about it stands in struct svc; here are the descriptors.
 */
#ifndef SUPD_SUPD_PROCESS_H
#define SUPD_SUPD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/fdstore.h"
#include "os/procgroup.h"
#include "supd/supervisor.h"

/* Nothing is held yet. */
void process_init(struct process *process, struct service *service);
/* PART of the service's, made if it has had none yet: few have another than their main process. */
struct process *process_of(struct service *service, enum process_part part);
/* Lets go of all that one holds that is made so, and of itself.  NULL is fine. */
void process_free(struct process *process);

/* Forks what the service has come to: the main process or the control process; tells whether that could be done. */
void process_fork(struct process *process);
/*
 * SIGNO to it alone, to its process group, or to all that come of it (before its exec: to it alone); followed by SIGCONT
 * where a stopped process would not see it.
 */
void process_signal(struct process *process, int signo);
void process_signal_own_group(struct process *process, int signo);
void process_signal_all(struct process *process, int signo);
/* SIGNO to it alone, and no more. */
void process_send(struct process *process, int signo);
/* The same, and a failure is not told: by its pidfd, or by the number of our child, which is its own until it is reaped.
 * 0, or -errno. */
int process_deliver(const struct process *process, int signo);
/* Watches an adopted process; its pidfd is set. */
void process_watch_adopted(struct process *process);
/* After a live upgrade: it is our child all the same. */
void process_inherit(struct process *process);
/* Lets go of descriptors that belong to a life that is over. */
void process_release(struct process *process);
/* The hash of one in the table of children. */
uint32_t process_hash(const void *item);
/* Is PID a child of ours that is one of a service's? */
bool process_is_known_child(struct supervisor *sup, pid_t pid);
/* Takes it out of the table of children: nobody is told of its end any more. */
void process_forget_child(struct process *process);
/* Is its number its own, since it is our child and not reaped?  Where that is told of its end it may be that already. */
bool process_is_pinned(const struct process *process);

/* ---- process_role.c ---- */

enum svc_role process_role(const struct process *process);
int32_t process_pid(const struct process *process);
uint64_t process_start(const struct process *process);
bool process_before_exec(const struct process *process);
/* Its process group, which the main process of a forking service need not lead. */
struct procgroup process_group(const struct process *process);
/* What it executes, to be freed. */
char **process_argv(const struct process *process);
/* Variables that it gets beside those of the service, to be freed; NULL: none. */
char **process_variables(const struct process *process);

/* The exit code, the name of the signal, or "", as SUPD_EXIT_STATUS has it; in BUF or static. */
const char *process_exit_status(const struct exit_info *exit, char buf[16]);

/* Each feeds the event of its role.  EVENT: what svc_event has of a fork. */
void process_tell_forked(struct process *process, struct svc_event event);
void process_tell_fork_failed(struct process *process, const char *text);
void process_tell_execed(struct process *process, uint64_t start_ticks);
void process_tell_adopted(struct process *process);
/* USAGE: of a main process; NULL: not known.  TEXT: why it failed before its exec; NULL: it ran. */
void process_tell_exited(struct process *process, struct exit_info exit, const struct usage *usage,
                         uint64_t start_ticks, const char *text);
/* How many are left of what came of it. */
void process_tell_left(struct process *process, unsigned left);

/* ---- tree.c ---- */

/* SIGNO to all that come of it: at once to those that are found, then to those that appear meanwhile. */
void tree_signal(struct process *process, int signo);
/* A signal to all that come of it is about to be recorded: what takes time is done before, so that supd's death between the
 * two, after which it is not sent, is as unlikely as can be. */
void tree_look_ahead(struct process *process);
/* Who is about to be sent SIGNO is named in the log, if that is SIGKILL and the main process has ended. */
void tree_name(struct process *process, int signo);
/* A life begins in a cgroup in which others are: they are named, and with another kill-mode than `process` killed. */
void tree_end_earlier(struct process *process);
/* It has ended: counts what is left, at the end of this turn of the loop, and calls leftovers_counted(). */
void tree_count(struct process *process);
/* Were all its processes looked for to be signalled, and was there none but itself? */
bool tree_was_alone(const struct process *process);
/* Pidfds of those found, at most MAX, to be closed; returns how many. */
size_t tree_open(const struct process *process, int *pidfds, size_t max);
/* Forgets those found, and what was to be done with them. */
void tree_release(struct process *process);
void tree_close(struct supervisor *sup);

/* ---- leftovers.c ---- */

/* Counts what is left of it and tells it, now or once it is reaped. */
void leftovers_check(struct process *process);
/* TOTAL are left, or at least one where that cannot be learnt. */
void leftovers_counted(struct process *process, size_t total);
/* Tells it again when those counted last have ended. */
void leftovers_watch(struct process *process);
/* To be called when our child was reaped. */
void leftovers_leader_reaped(struct process *process);
void leftovers_free(struct leftovers *left); /* NULL is fine */

/* ---- store.c ---- */

/* Has its pidfd kept by systemd, so that its end is known also when we are dead then. */
void store_add(struct process *process);
/* The same for a pidfd that was kept already. */
void store_keep(struct process *process);
/* The process has ended, and that is recorded. */
void store_remove(struct process *process);
/* The same for the service's socket at ADDRESS: is it kept from now on? */
bool store_add_socket(struct service *service, const char *address, int fd);
/*
 * A new supd takes back what the one before had at ADDRESS: handed over, or kept for us.  The caller's from now on, and
 * STORED: is it kept on?  -1: there is none.
 */
int store_recover_socket(struct service *service, const char *address, bool *stored);
/* What was so taken is not what was looked for: it is closed, and kept no more. */
void store_reject_socket(struct service *service, const char *address, int fd, bool *stored);
void store_remove_socket(struct service *service, const char *address);
/* Has everything removed that was kept for us and was not taken. */
void store_clean(struct supervisor *sup);

#endif
