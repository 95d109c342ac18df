/* SPDX-License-Identifier: MIT */
/*
 * The FIFO that a service writes into.  Nobody but us reads from it.
 */
#ifndef SUPD_SUPLOG_FIFO_H
#define SUPD_SUPLOG_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Opens NAME in the directory DIR for reading and writing, without blocking: a reader that is a writer too sees no end
 * of the file.  INODE: no other than that one, if it is not 0.  A descriptor or -errno, -ESTALE where it is another.
 */
int fifo_open(int dir, const char *name, uint64_t inode);

/*
 * A pipe to look into FIFOs by: what goes in is taken out again at once.  Each write(2) into a FIFO may fill a page of it half
 * only, so this one has more pages than LOG_LINE_MAX, if that is allowed.  False with errno set.
 */
bool fifo_open_glass(int glass[2]);

/*
 * Copies up to MAX bytes from the front of FIFO to BUF and leaves them there: tee(2) into GLASS.  How many, 0 when there
 * is nothing, or -errno.
 */
ssize_t fifo_peek(int fifo, const int glass[2], char *buf, size_t max);

/* Takes LEN bytes out, which are known to be there.  0 or -errno. */
int fifo_take(int fifo, char *buf, size_t len);

/* How many bytes are in it. */
size_t fifo_left(int fifo);

/* Is there no room for its writer any more? */
bool fifo_is_full(int fifo);

#endif
