/* SPDX-License-Identifier: MIT */
/*
 * A hash table of what is elsewhere, for where there is one item for each service: eight to sixteen bytes for each, where
 * uthash (hash.h) takes 56 and more.  An item tells its own hash, so it may not change while it is in.
 */
#ifndef SUPD_BASE_LOOKUP_H
#define SUPD_BASE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookup {
    uint32_t (*hash_of)(const void *item);
    void **slots; /* a power of two of them, or none; NULL: free */
    size_t n_slots;
    size_t n; /* items */
};

#define LOOKUP_OF(fn) ((struct lookup){.hash_of = (fn)})

/* Of a string, and of a number. */
uint32_t lookup_hash_string(const char *s);
uint32_t lookup_hash_number(uint32_t number);

/* ITEM is borrowed, and not in yet; nor is another that is found by the same keys. */
void lookup_add(struct lookup *lookup, void *item);
/* ITEM is in. */
void lookup_remove(struct lookup *lookup, const void *item);
/* The item with HASH of which IS says that it has KEY; NULL: there is none. */
void *lookup_find(const struct lookup *lookup, uint32_t hash, bool (*is)(const void *item, const void *key),
                  const void *key);
/* Empty again, and without memory. */
void lookup_clear(struct lookup *lookup);

#endif
