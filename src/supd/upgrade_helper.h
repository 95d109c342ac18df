/* SPDX-License-Identifier: MIT */
/*
 * The process that tries a new binary for a running supd: it executes that with --check and dies with supd.
 */
#ifndef SUPD_SUPD_UPGRADE_HELPER_H
#define SUPD_SUPD_UPGRADE_HELPER_H

#include <sys/types.h>

/*
 * Forks it.  ARGV[0] is executed, with HANDOVER_FD as its descriptor 3; all that it prints, or why it could not be
 * executed, can be read from *OUTPUT_FD (nonblocking, the caller's).  Its pid, a child to be reaped, or -errno.
 */
pid_t upgrade_helper_start(char *const argv[], int handover_fd, int *output_fd);

#endif
