/* SPDX-License-Identifier: MIT */
/*
 * Blocks of any size in slabs (slab.h), for a library that takes an allocator and whose memory children need not have.
 *
 * One of more than 16 KiB is malloc(3)'s: such are few, and grow seldom.
 */
#ifndef SUPD_BASE_SLAB_BLOCK_H
#define SUPD_BASE_SLAB_BLOCK_H

#include <stddef.h>

/* As malloc(3), realloc(3) and free(3), but as strictly aligned as a pointer.  Without memory the process ends. */
void *slab_block_new(size_t size);
void *slab_block_resize(void *block, size_t size);
void slab_block_free(void *block);

#endif
