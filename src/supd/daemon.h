/* SPDX-License-Identifier: MIT */
/*
 * The classic daemon (-d), daemon(7): fork, setsid, fork, umask, chdir, /dev/null.
 * The starter returns only when supd serves, or has said why it cannot.
 */
#ifndef SUPD_SUPD_DAEMON_H
#define SUPD_SUPD_DAEMON_H

/*
 * Forks.  Returns in the daemon only, with a descriptor for daemon_ready(), or
 * -errno where no process could be made.  The starter exits in here: 0 once
 * daemon_ready() was called, else 1; the daemon keeps its stderr until then.
 */
int daemon_begin(void);

/* Serving: gives up stdin, stdout and stderr, and lets the starter go. */
void daemon_ready(int fd);

#endif
