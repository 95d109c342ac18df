/* SPDX-License-Identifier: MIT */
/*
 * The terminal while something on it is drawn again and again: keys come at once and are not echoed, the cursor is
 * hidden.  There is one terminal, so all of this is the process's.  A signal that ends or stops supctl leaves the terminal as it was.
 */
#ifndef SUPD_SUPCTL_SCREEN_H
#define SUPD_SUPCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Can stdout be drawn on: a terminal that knows more than lines? */
bool screen_possible(void);

void screen_open(void);
void screen_close(void);

/* Lines that fit, the last one left free for the cursor. */
size_t screen_lines(void);

/* TEXT, which ends in a newline, from the top on, in place of all that was there.  False: it cannot be written. */
bool screen_show(const char *text);

#define SCREEN_TIME 0       /* the time is over */
#define SCREEN_RESIZED (-1) /* or it must be drawn anew for another reason */
#define SCREEN_END (-2)     /* nobody is there to press a key any more */

/* Waits for USEC us at most; returns a key that was pressed (a byte, above 0), or one of the above. */
int screen_wait(int64_t usec);

#endif
