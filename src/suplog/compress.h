/* SPDX-License-Identifier: MIT */
/*
 * Compresses rotated files, all but the youngest, in a thread of its own with the lowest priority, so that no log waits
 * for it.  A file is compressed into one of another name, which takes its place when it is whole and on the disk.
 */
#ifndef SUPD_SUPLOG_COMPRESS_H
#define SUPD_SUPLOG_COMPRESS_H

#include <stdint.h>

struct compressor;

/* Its thread is started when there is something to do. */
struct compressor *compressor_new(void);

/* Waits for the file that is being compressed; others stay as they are. */
void compressor_free(struct compressor *compressor);

/* Compresses what is still plain of PATH.2 to PATH.KEEP. */
void compressor_add(struct compressor *compressor, const char *path, uint32_t keep);

/* Names of rotated files are changed between these two only. */
void compressor_lock(struct compressor *compressor);
void compressor_unlock(struct compressor *compressor);

#endif
