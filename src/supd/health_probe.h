/* SPDX-License-Identifier: MIT */
/*
 * One look at a service by its network: a connection (check.tcp), and a question asked over it (check.http).  Nothing here
 * waits; how long it may take is the caller's.
 */
#ifndef SUPD_SUPD_HEALTH_PROBE_H
#define SUPD_SUPD_HEALTH_PROBE_H

#include <stdbool.h>

#include "core/spec_check.h"
#include "loop/loop.h"

struct health_probe;

/* OK: it went as it should.  WORDS say how it went.  Frees the probe itself afterwards. */
typedef void (*health_probe_fn)(void *ctx, bool ok, const char *words);

/*
 * Begins; FN is called in a later turn of the loop, once.  CHECK, which has tcp or http, is looked at here only and may
 * change later.
 */
struct health_probe *health_probe_new(struct loop *loop, const struct spec_check *check, health_probe_fn fn, void *ctx);

/* What it is about: "GET /healthz", "tcp 127.0.0.1:80". */
const char *health_probe_subject(const struct health_probe *probe);

/* Hangs up, and FN is not called any more.  NULL is fine. */
void health_probe_free(struct health_probe *probe);

#endif
