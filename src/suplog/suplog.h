/* SPDX-License-Identifier: MIT */
/*
 * The log writer as a whole: which streams there are, which thread moves which, signals, its end.
 *
 * RUNTIME/log/lock is locked (flock(2)) while it runs: two readers of a FIFO would tear lines apart, so a new suplog waits
 * until the one before has ended.
 */
#ifndef SUPD_SUPLOG_SUPLOG_H
#define SUPD_SUPLOG_SUPLOG_H

/*
 * Runs until SIGTERM or SIGINT.  Says so by a newline to READY_FD (-1: to nobody) once it is at work, and closes that.  The
 * exit status of the process.
 */
int suplog_run(const char *runtime_dir, int ready_fd);

#endif
