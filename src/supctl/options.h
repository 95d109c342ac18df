/* SPDX-License-Identifier: MIT */
/*
 * What the command line asked for.  Options stand before or after the command, also where POSIXLY_CORRECT is set.
 */
#ifndef SUPD_SUPCTL_OPTIONS_H
#define SUPD_SUPCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a command may be given besides -s, -h and -V, which all take. */
enum option_flags {
    OPTION_JSON = 1 << 0,
    OPTION_NO_WAIT = 1 << 1,
    OPTION_TIMEOUT = 1 << 2,
    OPTION_RESTART = 1 << 3,
    OPTION_DRY_RUN = 1 << 4,
    OPTION_LEAVE_SERVICES = 1 << 5,
    OPTION_ROLLING = 1 << 6,
    OPTION_FULL = 1 << 7,
    OPTION_ONCE = 1 << 8,
    OPTION_INTERVAL = 1 << 9,
    OPTION_NOW = 1 << 10,
    OPTION_FOLLOW = 1 << 11,
    OPTION_LINES = 1 << 12,
    OPTION_SINCE = 1 << 13,
    OPTION_UNTIL = 1 << 14,
    OPTION_GREP = 1 << 15,
    OPTION_STDERR = 1 << 16,
    OPTION_NO_COLOR = 1 << 17,
};

struct options {
    unsigned given;     /* enum option_flags */
    const char *socket; /* -s, or NULL */
    int64_t timeout;    /* us, with OPTION_TIMEOUT */
    int64_t interval;   /* us, with OPTION_INTERVAL */
    const char *lines;  /* -n, or NULL; so the next three */
    const char *since;
    const char *until;
    const char *grep;
    bool help;
    bool version;
    const char *command; /* NULL: none was named */
    char **args;         /* what follows the command: n_args words, owned by argv */
    size_t n_args;
    char *error; /* the first thing that was wrong with an option, in words; NULL: nothing */
};

/*
 * Takes the words apart.  An error is kept and not told, so that the command can
 * be looked at first: for one that is not known at all, that is what matters.
 */
void options_parse(struct options *options, int argc, char **argv);
void options_clear(struct options *options);

/* "--no-wait" for OPTION_NO_WAIT. */
const char *option_name(enum option_flags flag);

#endif
