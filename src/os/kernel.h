/* SPDX-License-Identifier: MIT */
/*
 * Which kernel this is, for what it does not tell in any other way: ask for the thing itself wherever that can be asked for.
 */
#ifndef SUPD_OS_KERNEL_H
#define SUPD_OS_KERNEL_H

#include <stdbool.h>

/* Is it Linux MAJOR.MINOR or later?  False where its release (uname(2)) does not say. */
bool kernel_is_at_least(unsigned major, unsigned minor);

#endif
