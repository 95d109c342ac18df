/* SPDX-License-Identifier: MIT */
/*
 * What the processes of a service use: by its cgroup where that tells, else added up from /proc.
 */
#ifndef SUPD_SUPD_USAGE_H
#define SUPD_SUPD_USAGE_H

#include "core/proto.h"
#include "supd/supervisor.h"

/* Not known for a service without a process. */
struct proto_usage usage_of(const struct service *service);

/* "some" and "full" of memory, cpu and io for all services together; null where the kernel does not tell. */
json_t *usage_pressure(const struct supervisor *sup);

#endif
