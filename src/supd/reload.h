/* SPDX-License-Identifier: MIT */
/*
 * Taking a new configuration.  A helper process reads the files and looks up
 * users, which may block; what it read comes back through a pipe as one text, the
 * same that is kept in RUNTIME/config.good.  One at a time, in order of asking.
 */
#ifndef SUPD_SUPD_RELOAD_H
#define SUPD_SUPD_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "supd/server.h"
#include "supd/supervisor.h"

struct reload_options {
    bool check;      /* read it and report, nothing more */
    bool dry_run;    /* plan it, do not apply it */
    bool restart;    /* restart services whose changes need a new process */
    int64_t timeout; /* us, 0 = none: how long to wait for the steps to be done */
};

/* REPLY is NULL for a reload by signal, which is reported in the log. */
void reload_request(struct supervisor *sup, const struct reload_options *options, struct reply *reply);

/* Is a configuration being read? */
bool reload_busy(const struct supervisor *sup);

/* Kills a helper that is at work. */
void reload_free(struct reload *reload);

#endif
