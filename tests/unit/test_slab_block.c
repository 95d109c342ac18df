/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab_block.h"
#include "check_main.h"

#define BLOCKS 64
#define ROUNDS 20000

static bool holds(const unsigned char *block, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++) {
        if (block[i] != value)
            return false;
    }
    return true;
}

/* Blocks of all sizes come, grow, shrink and go, and none ever writes into another. */
START_TEST(each_keeps_what_it_holds)
{
    static unsigned char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    uint32_t random = 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = random >> 8 & (BLOCKS - 1);
        size_t size = (size_t)1 << (random >> 16 & 15);
        unsigned char value = (unsigned char)at;

        size -= random >> 20 & 1;
        ck_assert(holds(blocks[at], sizes[at], value));
        if (sizes[at] > 0 && (random >> 24 & 3) == 0) {
            slab_block_free(blocks[at]);
            blocks[at] = NULL;
            sizes[at] = 0;
            continue;
        }
        size_t kept = sizes[at] < size ? sizes[at] : size;
        blocks[at] = slab_block_resize(blocks[at], size);
        ck_assert_uint_eq((uintptr_t)blocks[at] % sizeof(void *), 0);
        ck_assert(holds(blocks[at], kept, value));
        memset(blocks[at], value, size);
        sizes[at] = size;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        slab_block_free(blocks[i]);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("slab_block");
    TCase *tc = tcase_create("slab_block");

    tcase_add_test(tc, each_keeps_what_it_holds);
    suite_add_tcase(suite, tc);
    return suite;
}
