/* SPDX-License-Identifier: MIT */
/*
 * Looking in a stream for the line that its service is waited for (ready = log:), core/log_match.h.
 *
 * All that is in the FIFO is looked at first and taken out afterwards, through a page, so that it is known exactly how
 * much was taken whoever dies.  Once the line was seen, or nobody waits for it any more, the stream goes its own way again
 * and is not looked at.
 */
#ifndef SUPD_SUPLOG_MATCH_H
#define SUPD_SUPLOG_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/units.h"
#include "suplog/page.h"

struct match;
struct stream;

/* Begins, or goes on, with what is waited for in STREAM, whose FIFO is open, if anything is; measures it if nobody has. */
void match_attach(struct stream *stream);
/* Lets go of it, for whoever is the next. */
void match_leave(struct stream *stream);

/* Looks at what has come, as far as it can be seen; STREAM->match may be NULL afterwards. */
void match_look(struct stream *stream, const struct timestamp *now);

/* How many bytes at the front of the FIFO were looked at. */
uint64_t match_free(const struct match *match);
/* When it wants to look again though nothing has come, mono us; 0: never. */
int64_t match_wake(const struct match *match);

/* LEN bytes are about to be taken into a page at PLACE; and they have been. */
void match_will_take(const struct match *match, size_t len, struct page_place *place);
void match_took(struct match *match, size_t len);

/* The bytes of PAGE, which an earlier suplog has begun, were read: that is noted where it was not. */
void match_recover(int dir, const char *fifo, const struct page_head *page);

#endif
