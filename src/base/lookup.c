/* SPDX-License-Identifier: MIT */
#include "base/lookup.h"

#include <stdlib.h>

#include "base/mem.h"

#define SLOTS_MIN 16

uint32_t lookup_hash_string(const char *s)
{
    uint32_t hash = 0x811c9dc5;

    for (; *s != '\0'; s++)
        hash = (hash ^ (unsigned char)*s) * 0x01000193;
    return lookup_hash_number(hash);
}

/* Its low bits, which choose the slot, depend on all of NUMBER's. */
uint32_t lookup_hash_number(uint32_t number)
{
    number ^= number >> 16;
    number *= 0x7feb352d;
    number ^= number >> 15;
    number *= 0x846ca68b;
    return number ^ number >> 16;
}

static size_t next(const struct lookup *lookup, size_t slot)
{
    return (slot + 1) & (lookup->n_slots - 1);
}

/* Where an item with HASH is looked for first; it is there, or before the next free slot. */
static size_t home(const struct lookup *lookup, uint32_t hash)
{
    return hash & (lookup->n_slots - 1);
}

static void insert(struct lookup *lookup, void *item)
{
    size_t slot = home(lookup, lookup->hash_of(item));

    while (lookup->slots[slot] != NULL)
        slot = next(lookup, slot);
    lookup->slots[slot] = item;
}

static void grow(struct lookup *lookup)
{
    void **old = lookup->slots;
    size_t n_old = lookup->n_slots;

    lookup->n_slots = n_old > 0 ? 2 * n_old : SLOTS_MIN;
    lookup->slots = xcalloc(lookup->n_slots, sizeof(*lookup->slots));
    for (size_t i = 0; i < n_old; i++) {
        if (old[i] != NULL)
            insert(lookup, old[i]);
    }
    free(old);
}

void lookup_add(struct lookup *lookup, void *item)
{
    if (lookup->n + 1 > lookup->n_slots / 4 * 3)
        grow(lookup);
    insert(lookup, item);
    lookup->n++;
}

void lookup_remove(struct lookup *lookup, const void *item)
{
    size_t hole = home(lookup, lookup->hash_of(item));

    while (lookup->slots[hole] != item)
        hole = next(lookup, hole);
    lookup->n--;
    /* What stands behind it and would not be found over the hole any more is moved into it. */
    for (size_t slot = next(lookup, hole); lookup->slots[slot] != NULL; slot = next(lookup, slot)) {
        size_t from_home = (slot - home(lookup, lookup->hash_of(lookup->slots[slot]))) & (lookup->n_slots - 1);

        if (from_home < ((slot - hole) & (lookup->n_slots - 1)))
            continue;
        lookup->slots[hole] = lookup->slots[slot];
        hole = slot;
    }
    lookup->slots[hole] = NULL;
}

void *lookup_find(const struct lookup *lookup, uint32_t hash, bool (*is)(const void *item, const void *key),
                  const void *key)
{
    if (lookup->n == 0)
        return NULL;
    for (size_t slot = home(lookup, hash); lookup->slots[slot] != NULL; slot = next(lookup, slot)) {
        if (is(lookup->slots[slot], key))
            return lookup->slots[slot];
    }
    return NULL;
}

void lookup_clear(struct lookup *lookup)
{
    free(lookup->slots);
    lookup->slots = NULL;
    lookup->n_slots = lookup->n = 0;
}
