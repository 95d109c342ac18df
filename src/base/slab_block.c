/* SPDX-License-Identifier: MIT */
#include "base/slab_block.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slab.h"

/* In front of each block: how many bytes it has room for. */
#define HEAD sizeof(size_t)
#define LEAST ((size_t)32)

/* Each has blocks of twice the room of those before. */
#define BLOCKS_OF(room)       \
    {                         \
        .size = (room) + HEAD \
    }
static struct slab slabs[] = {
    BLOCKS_OF(LEAST),       BLOCKS_OF(2 * LEAST),   BLOCKS_OF(4 * LEAST),  BLOCKS_OF(8 * LEAST),
    BLOCKS_OF(16 * LEAST),  BLOCKS_OF(32 * LEAST),  BLOCKS_OF(64 * LEAST), BLOCKS_OF(128 * LEAST),
    BLOCKS_OF(256 * LEAST), BLOCKS_OF(512 * LEAST),
};

/* NULL: it is too large for any. */
static struct slab *slab_for(size_t size)
{
    for (size_t i = 0; i < sizeof(slabs) / sizeof(*slabs); i++) {
        if (size <= slabs[i].size - HEAD)
            return &slabs[i];
    }
    return NULL;
}

static size_t room_of(const void *block)
{
    size_t room;

    memcpy(&room, (const char *)block - HEAD, HEAD);
    return room;
}

void *slab_block_new(size_t size)
{
    struct slab *slab = slab_for(size);
    size_t room = slab != NULL ? slab->size - HEAD : size;
    char *head = slab != NULL ? slab_new(slab) : xmalloc(size < SIZE_MAX - HEAD ? size + HEAD : SIZE_MAX);

    memcpy(head, &room, HEAD);
    return head + HEAD;
}

void slab_block_free(void *block)
{
    if (block == NULL)
        return;

    struct slab *slab = slab_for(room_of(block));
    char *head = (char *)block - HEAD;
    if (slab != NULL)
        slab_free(slab, head);
    else
        free(head);
}

void *slab_block_resize(void *block, size_t size)
{
    if (block == NULL)
        return slab_block_new(size);
    if (size <= room_of(block))
        return block;

    void *fresh = slab_block_new(size);
    memcpy(fresh, block, room_of(block));
    slab_block_free(block);
    return fresh;
}
