/* SPDX-License-Identifier: MIT */
/*
 * Hash tables: uthash, which allocates by base/mem.h.  By itself it would end the
 * process without a word where there is no memory.
 */
#ifndef SUPD_BASE_HASH_H
#define SUPD_BASE_HASH_H

#include <stdlib.h>

#include "base/mem.h"

#define uthash_malloc(size) xmalloc(size)
#define uthash_free(ptr, size) free(ptr)
#include <uthash.h>

#endif
