/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <stdbool.h>

size_t utf8_length(const char *text, size_t left)
{
    static const struct {
        unsigned char mask, lead;
        unsigned long least;
    } kinds[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    const unsigned char *s = (const unsigned char *)text;

    for (size_t n = 0; n < 4 && n < left; n++) {
        if ((s[0] & kinds[n].mask) != kinds[n].lead)
            continue;
        unsigned long point = s[0] & (unsigned char)~kinds[n].mask;
        for (size_t i = 1; i <= n; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (s[i] & 0x3f);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        return point < kinds[n].least || point > 0x10ffff || surrogate ? 0 : n + 1;
    }
    return 0;
}
