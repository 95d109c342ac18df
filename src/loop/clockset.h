/* SPDX-License-Identifier: MIT */
/*
 * Being told that the wall clock was set, or that the machine has slept: what was reckoned from it is reckoned anew.
 */
#ifndef SUPD_LOOP_CLOCKSET_H
#define SUPD_LOOP_CLOCKSET_H

#include "loop/loop.h"

struct clockset;

/* Calls FN after each time that the clock was set.  NULL with errno where that cannot be told. */
struct clockset *clockset_new(struct loop *loop, void (*fn)(void *ctx), void *ctx);
void clockset_free(struct clockset *clockset); /* NULL is fine */

#endif
