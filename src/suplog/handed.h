/* SPDX-License-Identifier: MIT */
/*
 * The FIFOs that supd hands over, each with the stream that it is.  So we have one before anybody writes into it; what is
 * to be read anew after a death, ours or supd's, stands in the list of streams.
 */
#ifndef SUPD_SUPLOG_HANDED_H
#define SUPD_SUPLOG_HANDED_H

#include "core/log_stream.h"

struct handed {
    int listener;    /* -1: nobody hands us any */
    int connection;  /* of the supd that is; -1: none */
    unsigned number; /* of that connection, from 1 */
};

/* LISTENER is a socket that listens, or something else, which is of no use then. */
void handed_open(struct handed *handed, int listener);

enum handed_what {
    HANDED_NOTHING, /* no more for now */
    HANDED_FIFO,
    HANDED_LISTED, /* what an earlier supd has handed over, and is not in the list by now, is nobody's any more */
};

/* Takes the next: *STREAM, to be cleared, and *FD, to be closed, where it is a FIFO. */
enum handed_what handed_take(struct handed *handed, struct log_stream *stream, int *fd);

#endif
