/* SPDX-License-Identifier: MIT */
/*
 * All that a child reads before its exec, in one place, for spawn.c: so that it needs nothing of the heap (base/heap.h).
 */
#ifndef SUPD_OS_SPAWN_PACK_H
#define SUPD_OS_SPAWN_PACK_H

#include "core/record.h"
#include "core/spec_group.h"
#include "os/spawn.h"
#include "os/spawn_child.h"
#include "os/spawn_steps.h"

struct spawn_pack {
    struct spawn_request request;
    struct spawn_origin origin; /* spawn_process() fills it, and report_fd */
    int report_fd;
    struct spec_copy copy; /* of the spec */
    struct spawn_baseline baseline;
    char *pointers[256];
    size_t n_pointers;
    uint32_t groups[32];
    uint8_t record[RECORD_MAX];
    char text[8192];
    size_t used;
    bool full;
    struct spawn_variables variables; /* what it is given as its environment, but for its own pid */
};

/*
 * PACK becomes a copy of REQ, which must outlive it only as far as descriptors and pid_slot go.  False: it is
 * too large, or asks for something by which the child would allocate memory; then PACK is of no use.
 */
bool spawn_pack(struct spawn_pack *pack, const struct spawn_request *req);

#endif
