/* SPDX-License-Identifier: MIT */
/*
 * CRC-32 (ISO-HDLC, the one of zlib and PNG).  Ours and not zlib's because a
 * child computes it between fork and exec, where only async-signal-safe code may run.
 */
#ifndef SUPD_BASE_CRC32_H
#define SUPD_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues SEED (0 to begin) over LEN bytes at DATA. */
uint32_t crc32_update(uint32_t seed, const void *data, size_t len);

#endif
