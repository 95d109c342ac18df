/* SPDX-License-Identifier: MIT */
/*
 * supd --check: what can be found out before anything is started.
 */
#ifndef SUPD_SUPD_CHECK_H
#define SUPD_SUPD_CHECK_H

#include <stdbool.h>
#include <sys/resource.h>

#include "os/config.h"
#include "os/spawn.h"
#include "supd/startup.h"

/* Has CONFIG descriptors enough below the limit HARD?  Says so on stderr where not. */
bool check_descriptors(const struct config *config, rlim_t hard);

/*
 * Reports every error of the configuration and, from BASELINE, every attribute of a
 * service that the kernel would refuse us; with --resume instead of these whether
 * we could take over.  Returns the exit status.
 */
int check_run(const struct startup_options *options, const struct spawn_baseline *baseline, rlim_t hard);

#endif
