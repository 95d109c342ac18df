/* SPDX-License-Identifier: MIT */
/*
 * supd's own log: one line a message, to stderr or to syslog.
 *
 * Writing a log line never blocks the caller (a full pipe or a stuck journal
 * must not stop the supervisor): a line that finds no room is dropped and
 * counted, and the next one that is written is preceded by the count.
 * errno is the same after a call as before.
 */
#ifndef SUPD_BASE_LOG_H
#define SUPD_BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_target {
    LOG_TARGET_STDERR, /* "<N>" prefixes when stderr is the journal, see log_open() */
    LOG_TARGET_SYSLOG, /* datagrams to /dev/log, for a daemon without a stderr */
};

/*
 * Chooses where lines go.  With LOG_TARGET_STDERR, $JOURNAL_STREAM is compared
 * with stderr's device and inode: on a match each line starts with the "<N>"
 * of sd-daemon(3), else on the word and the time.  May be called again.
 */
void log_open(enum log_target target, const char *ident);

/* Lines above LEVEL are not written.  The level at start is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warning", "info", "debug" -> level; false for any other word. */
bool log_level_parse(const char *word, enum log_level *level);
const char *log_level_name(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
