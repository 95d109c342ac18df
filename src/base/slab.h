/* SPDX-License-Identifier: MIT */
/*
 * Objects of one size, of which there are as many as services, in pages that children need not have.
 *
 * What fork(2) costs grows with the memory that it has to copy the page tables of, and whatever is written to
 * afterwards has to be copied itself until the child's exec.  So once slab_hide() was called, no child of ours finds
 * anything of what any slab holds: who forks hands over copies.
 *
 * With the address sanitizer each object is one of malloc(3)'s, so that it sees what is used after it was freed.
 */
#ifndef SUPD_BASE_SLAB_H
#define SUPD_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

struct slab {
    const size_t size; /* of an object, in bytes; what it holds may be as strictly aligned as a pointer */
    bool known;        /* it is in the list of all, which .next makes */
    struct slab *next;
    void *freed;  /* the first object that is free, which holds the address of the next */
    void *chunks; /* the last that was taken, which begins with the address of the one before */
    size_t used;  /* bytes of it */
};

#define SLAB_OF(type) ((struct slab){.size = sizeof(type)})

/* A new object, all zero.  Without memory the process ends. */
void *slab_new(struct slab *slab);
/* OBJECT may be NULL. */
void slab_free(struct slab *slab, void *object);

/* From now on children do not get what slabs hold, and will hold. */
void slab_hide(void);

/* In a child that is to make objects of its own: those of its parent are none of its. */
void slab_begin_anew(void);

#endif
