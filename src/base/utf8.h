/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 as RFC 3629 has it.
 */
#ifndef SUPD_BASE_UTF8_H
#define SUPD_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character that begins at TEXT, of which LEFT bytes are there; 0: none (overlong, surrogate, cut off, a stray byte). */
size_t utf8_length(const char *text, size_t left);

#endif
