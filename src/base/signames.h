/* SPDX-License-Identifier: MIT */
/*
 * Names of signals, signal(7).
 */
#ifndef SUPD_BASE_SIGNAMES_H
#define SUPD_BASE_SIGNAMES_H

/*
 * "TERM", "SIGTERM", "term", "15", "RTMIN", "RTMIN+3", "RTMAX-1" -> number, or -1.
 */
int signal_from_name(const char *name);

/* 15 -> "TERM"; real-time signals as "RTMIN+3"; a number without a name as "99".  The result is static or in BUF. */
const char *signal_to_name(int signo, char buf[16]);

/* The known name nearest to a mistyped one, or NULL (base/suggest.h). */
const char *signal_suggest(const char *word);

#endif
