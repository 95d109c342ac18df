/* SPDX-License-Identifier: MIT */
#include "supctl/help.h"

#include <ctype.h>
#include <stdio.h>

/* An option that more of them take is told without naming each. */
#define FEW_COMMANDS 4

static const struct {
    enum option_flags flag;
    const char *letter; /* "-f,", "" where there is none */
    const char *usage;
    const char *text;
} option_texts[] = {
    {OPTION_JSON, "", "--json", "print supd's answer as JSON"},
    {OPTION_TIMEOUT, "", "--timeout TIME", "wait no longer than this (30s, 5m)"},
    {OPTION_NO_WAIT, "", "--no-wait", "do not wait for the end"},
    {OPTION_FULL, "", "--full", "all about each service, not a line of a table"},
    {OPTION_ONCE, "", "--once", "print one table and end"},
    {OPTION_INTERVAL, "", "--interval TIME", "how often the table is made anew (2s)"},
    {OPTION_FOLLOW, "-f,", "--follow", "go on with what is written"},
    {OPTION_LINES, "-n,", "--lines N", "the last lines of each, a number or all (10)"},
    {OPTION_SINCE, "", "--since TIME", "from then on (10m, 05:00, 2026-11-22)"},
    {OPTION_UNTIL, "", "--until TIME", "up to then"},
    {OPTION_GREP, "", "--grep REGEX", "lines in which it is found"},
    {OPTION_STDERR, "", "--stderr", "what goes to log-error only"},
    {OPTION_NO_COLOR, "", "--no-color", "no colours on a terminal"},
    {OPTION_DRY_RUN, "", "--dry-run", "print what would be done, change nothing"},
    {OPTION_RESTART, "", "--restart", "restart services whose change needs it"},
    {OPTION_ROLLING, "", "--rolling", "one after another, up to the first that fails"},
    {OPTION_NOW, "", "--now", "start them, or stop them, at once, too"},
    {OPTION_LEAVE_SERVICES, "", "--leave-services", "end supd, leave the services running"},
};

#define N_OPTIONS (sizeof option_texts / sizeof *option_texts)

/* "start, stop: ", where only few commands take the option. */
static void print_takers(const struct command *commands, size_t n, enum option_flags flag)
{
    size_t takers = 0;

    for (size_t i = 0; i < n; i++)
        takers += (commands[i].options & flag) != 0;
    if (takers > FEW_COMMANDS)
        return;
    for (size_t i = 0; i < n; i++) {
        if (commands[i].options & flag)
            printf("%s%s", commands[i].name, --takers > 0 ? ", " : ": ");
    }
}

static void print_common_options(const char *help)
{
    printf("  -s, --socket PATH     the control socket (default: $SUPD_SOCKET, else\n"
           "                        that in $XDG_RUNTIME_DIR/supd or in /run/supd)\n"
           "  -h, --help            %s\n"
           "  -V, --version         print the version of supctl\n",
           help);
}

void help_print(const struct command *commands, size_t n)
{
    puts("Usage: supctl [OPTION...] [COMMAND [NAME...]]\n"
         "\n"
         "Controls supd, the process supervisor.  NAME is the name of a service or a glob.\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < n; i++)
        printf("  %-9s%-15s %s\n", commands[i].name, commands[i].args, commands[i].summary);
    puts("\nOptions, before or after the command:");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        printf("  %3s %-17s ", option_texts[i].letter, option_texts[i].usage);
        print_takers(commands, n, option_texts[i].flag);
        puts(option_texts[i].text);
    }
    print_common_options("print this; after a command, what that one takes");
    puts("\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not running (status NAME),\n"
         "4 unknown service, 5 not permitted, 7 supd cannot be reached, 8 timed out.");
}

void help_print_command(const struct command *command)
{
    printf("Usage: supctl %s [OPTION...]%s%s\n\n", command->name, *command->args ? " " : "", command->args);
    printf("%c%s.\n\nOptions:\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (command->options & option_texts[i].flag)
            printf("  %3s %-17s %s\n", option_texts[i].letter, option_texts[i].usage, option_texts[i].text);
    }
    print_common_options("print this");
}
