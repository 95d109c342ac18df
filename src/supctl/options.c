/* SPDX-License-Identifier: MIT */
#include "supctl/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signames.h"
#include "base/suggest.h"
#include "base/units.h"

enum { LONG_BASE = 256 }; /* above any character: the values of long options are LONG_BASE + flag */

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, LONG_BASE + OPTION_JSON},
    {"no-wait", no_argument, NULL, LONG_BASE + OPTION_NO_WAIT},
    {"timeout", required_argument, NULL, LONG_BASE + OPTION_TIMEOUT},
    {"restart", no_argument, NULL, LONG_BASE + OPTION_RESTART},
    {"dry-run", no_argument, NULL, LONG_BASE + OPTION_DRY_RUN},
    {"now", no_argument, NULL, LONG_BASE + OPTION_NOW},
    {"leave-services", no_argument, NULL, LONG_BASE + OPTION_LEAVE_SERVICES},
    {"rolling", no_argument, NULL, LONG_BASE + OPTION_ROLLING},
    {"full", no_argument, NULL, LONG_BASE + OPTION_FULL},
    {"once", no_argument, NULL, LONG_BASE + OPTION_ONCE},
    {"interval", required_argument, NULL, LONG_BASE + OPTION_INTERVAL},
    {"follow", no_argument, NULL, LONG_BASE + OPTION_FOLLOW},
    {"lines", required_argument, NULL, LONG_BASE + OPTION_LINES},
    {"since", required_argument, NULL, LONG_BASE + OPTION_SINCE},
    {"until", required_argument, NULL, LONG_BASE + OPTION_UNTIL},
    {"grep", required_argument, NULL, LONG_BASE + OPTION_GREP},
    {"stderr", no_argument, NULL, LONG_BASE + OPTION_STDERR},
    {"no-color", no_argument, NULL, LONG_BASE + OPTION_NO_COLOR},
    {0},
};

#define N_LONG (sizeof long_options / sizeof *long_options - 1)

const char *option_name(enum option_flags flag)
{
    for (size_t i = 0; i < N_LONG; i++) {
        if (long_options[i].val == LONG_BASE + (int)flag)
            return long_options[i].name;
    }
    return "";
}

static void set_error(struct options *options, char *error)
{
    if (options->error)
        free(error);
    else
        options->error = error;
}

static void unknown_option(struct options *options, const char *word)
{
    const char *names[N_LONG];
    size_t len = strcspn(word, "=");
    char *name = xstrndup(word, len);

    for (size_t i = 0; i < N_LONG; i++)
        names[i] = long_options[i].name;
    const char *near = strncmp(name, "--", 2) == 0 ? suggest_nearest(name + 2, names, N_LONG) : NULL;
    if (near && strcmp(near, name + 2) == 0)
        set_error(options, xasprintf("option '--%s' takes no value", near));
    else if (signal_from_name(name + 1) > 0)
        set_error(options, xasprintf("a signal is written without '-': supctl signal %s NAME", name + 1));
    else if (near)
        set_error(options, xasprintf("unknown option '%s'; did you mean '--%s'?", name, near));
    else
        set_error(options, xasprintf("unknown option '%s'; 'supctl --help' lists all", name));
    free(name);
}

static void set_time(struct options *options, enum option_flags flag, int64_t *usec, const char *text)
{
    options->given |= flag;
    if (!duration_parse(text, usec) || *usec == 0)
        set_error(options, xasprintf("'%s' is no time to wait; write it as 30s, 5m or 1m30s", text));
}

/* Takes the value of an option that is for one command, which reads it.  False: C is none of these. */
static bool set_text(struct options *options, int c, const char *text)
{
    switch (c) {
    case 'n':
    case LONG_BASE + OPTION_LINES:
        options->given |= OPTION_LINES;
        options->lines = text;
        return true;
    case LONG_BASE + OPTION_SINCE:
        options->since = text;
        break;
    case LONG_BASE + OPTION_UNTIL:
        options->until = text;
        break;
    case LONG_BASE + OPTION_GREP:
        options->grep = text;
        break;
    default:
        return false;
    }
    options->given |= (unsigned)(c - LONG_BASE);
    return true;
}

static void add_word(struct options *options, char *word)
{
    if (!options->command)
        options->command = word;
    else
        options->args[options->n_args++] = word;
}

void options_parse(struct options *options, int argc, char **argv)
{
    int c;

    *options = (struct options){0};
    options->args = xcalloc((size_t)argc + 1, sizeof *options->args);
    opterr = 0;
    for (;;) {
        int at = optind;
        c = getopt_long(argc, argv, "-:hVs:fn:", long_options, NULL);
        if (c == -1)
            break;
        if (c == 1)
            add_word(options, optarg);
        else if (c == 'h')
            options->help = true;
        else if (c == 'V')
            options->version = true;
        else if (c == 's')
            options->socket = optarg;
        else if (c == 'f')
            options->given |= OPTION_FOLLOW;
        else if (set_text(options, c, optarg))
            continue;
        else if (c == LONG_BASE + OPTION_TIMEOUT)
            set_time(options, OPTION_TIMEOUT, &options->timeout, optarg);
        else if (c == LONG_BASE + OPTION_INTERVAL)
            set_time(options, OPTION_INTERVAL, &options->interval, optarg);
        else if (c == ':')
            set_error(options, xasprintf("option '%s' needs a value", argv[at]));
        else if (c == '?')
            unknown_option(options, argv[at]);
        else
            options->given |= (unsigned)(c - LONG_BASE);
    }
    while (optind < argc)
        add_word(options, argv[optind++]);
}

void options_clear(struct options *options)
{
    free(options->args);
    free(options->error);
    *options = (struct options){0};
}
