/* SPDX-License-Identifier: MIT */
#include "base/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define CHUNK_SIZE ((size_t)256 * 1024)
#define ALIGNMENT sizeof(void *)

#ifdef __SANITIZE_ADDRESS__

void *slab_new(struct slab *slab)
{
    return xcalloc(1, slab->size);
}

void slab_free(struct slab *slab, void *object)
{
    (void)slab;
    free(object);
}

void slab_hide(void)
{
}

void slab_begin_anew(void)
{
}

#else

static struct slab *all;
static bool hidden;

static size_t object_size(const struct slab *slab)
{
    return (slab->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* A failure costs time at every fork, and nothing else. */
static void hide(void *chunk)
{
    madvise(chunk, CHUNK_SIZE, MADV_DONTFORK);
}

static void take_chunk(struct slab *slab)
{
    void *map = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *chunk = mem_checked(map == MAP_FAILED ? NULL : map);

    if (!slab->known) {
        slab->known = true;
        slab->next = all;
        all = slab;
    }
    if (hidden)
        hide(chunk);
    memcpy(chunk, &slab->chunks, sizeof(void *));
    slab->chunks = chunk;
    slab->used = sizeof(void *);
}

void *slab_new(struct slab *slab)
{
    size_t size = object_size(slab);
    void *object;

    if (slab->freed != NULL) {
        object = slab->freed;
        memcpy(&slab->freed, object, sizeof(void *));
        return memset(object, 0, size);
    }
    if (slab->chunks == NULL || slab->used + size > CHUNK_SIZE)
        take_chunk(slab);
    object = (char *)slab->chunks + slab->used;
    slab->used += size;
    return object;
}

void slab_free(struct slab *slab, void *object)
{
    if (object == NULL)
        return;
    memcpy(object, &slab->freed, sizeof(void *));
    slab->freed = object;
}

void slab_hide(void)
{
    hidden = true;
    for (struct slab *slab = all; slab != NULL; slab = slab->next) {
        for (void *chunk = slab->chunks; chunk != NULL; memcpy(&chunk, chunk, sizeof(void *)))
            hide(chunk);
    }
}

void slab_begin_anew(void)
{
    for (struct slab *slab = all; slab != NULL; slab = slab->next)
        slab->freed = slab->chunks = NULL;
}

#endif
