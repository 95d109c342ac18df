/* SPDX-License-Identifier: MIT */
/*
 * Which children get a copy of the heap: as with slabs (slab.h) there is no need for most, and fork(2) would copy the
 * page tables of it, and exec throw them away.
 *
 * Nothing is hidden of what malloc(3) has outside of the heap, or where it has another allocator in its place.
 */
#ifndef SUPD_BASE_HEAP_H
#define SUPD_BASE_HEAP_H

#include <stdbool.h>

/* To be called by main() before anything is allocated: what is older is never hidden. */
void heap_begin(void);

/* From now on heap_cover() does something. */
void heap_hide(void);
/* A child that is made now gets nothing of the heap, and may not allocate anything. */
void heap_cover(void);
/* It gets a copy, as is usual. */
void heap_uncover(void);

#endif
