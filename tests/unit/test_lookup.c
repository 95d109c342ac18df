/* SPDX-License-Identifier: MIT */
#include "base/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "check_main.h"

#define ITEMS 3000

struct item {
    uint32_t key;
    bool is_in;
};

static struct item items[ITEMS];
static uint32_t spread; /* that many different hashes; 0: as many as there are keys */

static uint32_t hash_of_key(uint32_t key)
{
    return spread > 0 ? key % spread : lookup_hash_number(key);
}

static uint32_t hash_of(const void *item)
{
    return hash_of_key(((const struct item *)item)->key);
}

static bool has_key(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const uint32_t *)key;
}

static struct item *find(const struct lookup *lookup, uint32_t key)
{
    return lookup_find(lookup, hash_of_key(key), has_key, &key);
}

static void check_all(const struct lookup *lookup, size_t n)
{
    ck_assert_uint_eq(lookup->n, n);
    for (uint32_t i = 0; i < ITEMS; i++)
        ck_assert_ptr_eq(find(lookup, i), items[i].is_in ? &items[i] : NULL);
}

/* Items come and go at random; those that are in, and no others, are found: also where many have one hash, and where those
 * in the last slots go on at the first. */
START_TEST(what_is_in_is_found)
{
    static const uint32_t spreads[] = {0, 1, 3, 50, 16};
    struct lookup lookup = LOOKUP_OF(hash_of);
    uint32_t used = _i == 0 ? ITEMS : 200;
    size_t n = 0;

    srandom(1);
    spread = spreads[_i];
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = (struct item){.key = i};
    for (int step = 0; step < 20000; step++) {
        struct item *item = &items[(uint32_t)random() % used];

        if (item->is_in)
            lookup_remove(&lookup, item);
        else
            lookup_add(&lookup, item);
        item->is_in = !item->is_in;
        n += item->is_in ? 1 : (size_t)-1;
        ck_assert_ptr_eq(find(&lookup, item->key), item->is_in ? item : NULL);
        if (step % 500 == 0)
            check_all(&lookup, n);
    }
    check_all(&lookup, n);
    ck_assert_uint_le(lookup.n_slots, used == ITEMS ? 4096 : 512);
    lookup_clear(&lookup);
    ck_assert_ptr_null(find(&lookup, 1));
}
END_TEST

START_TEST(hashes_spread)
{
    unsigned seen[256] = {0};
    char name[16];

    for (uint32_t i = 0; i < 2560; i++) {
        snprintf(name, sizeof name, "w%u", i);
        seen[lookup_hash_string(name) % 256]++;
        seen[lookup_hash_number(i * 256) % 256]++;
    }
    for (int i = 0; i < 256; i++)
        ck_assert_uint_lt(seen[i], 60);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("lookup");
    TCase *tc = tcase_create("lookup");

    tcase_add_loop_test(tc, what_is_in_is_found, 0, 5);
    tcase_add_test(tc, hashes_spread);
    suite_add_tcase(suite, tc);
    return suite;
}
