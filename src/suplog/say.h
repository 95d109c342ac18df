/* SPDX-License-Identifier: MIT */
/*
 * What suplog has to tell goes into supd's log, from any of its threads.
 */
#ifndef SUPD_SUPLOG_SAY_H
#define SUPD_SUPLOG_SAY_H

#include "base/log.h"

void say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
