/* SPDX-License-Identifier: MIT */
/*
 * What --help prints, of all commands or of one.  The completions of shells read it too (completions/), so they know
 * what this supctl knows.
 */
#ifndef SUPD_SUPCTL_HELP_H
#define SUPD_SUPCTL_HELP_H

#include <stddef.h>

#include "supctl/commands.h"

struct command {
    const char *name;
    const char *args; /* as the help shows them */
    const char *summary;
    command_fn run;
    unsigned options; /* enum option_flags that it takes */
    size_t min_args;
    size_t max_args;
};

void help_print(const struct command *commands, size_t n);
void help_print_command(const struct command *command);

#endif
