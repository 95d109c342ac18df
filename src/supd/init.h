/* SPDX-License-Identifier: MIT */
/*
 * `supd --init`: a small parent of supd, for PID 1 of a container, whose death would end every
 * process of it.  It holds no state but the descriptors in its store (init_store.h), reads no
 * configuration, and does four things: starts supd again when that dies of a signal, passes
 * signals on, reaps what is handed to it, and keeps descriptors.
 *
 * Signals are passed on only once supd has said that it is ready: before that they would kill
 * it.  A stop that was asked for is asked for again where supd died of it.
 */
#ifndef SUPD_SUPD_INIT_H
#define SUPD_SUPD_INIT_H

#include "supd/startup.h"

/* Runs until supd ends by itself.  Returns supd's exit status, or 1 when there is nothing to run it with. */
int init_run(const struct startup_options *options);

#endif
