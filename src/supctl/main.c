/* SPDX-License-Identifier: MIT */
/* supctl(1): which command, and whether it was called rightly */
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "core/proto.h"
#include "supctl/help.h"
#include "supctl/text.h"

#define ANY ((size_t)-1)
#define WAITS (OPTION_JSON | OPTION_NO_WAIT | OPTION_TIMEOUT)
#define QUICK (OPTION_JSON | OPTION_TIMEOUT)
#define LOGS                                                                                                  \
    (OPTION_JSON | OPTION_FOLLOW | OPTION_LINES | OPTION_SINCE | OPTION_UNTIL | OPTION_GREP | OPTION_STDERR | \
     OPTION_NO_COLOR)

static int cmd_help(const struct options *options);

static const struct command commands[] = {
    {"status", "[NAME...]", "show services (the default)", cmd_status, QUICK | OPTION_FULL, 0, ANY},
    {"start", "NAME...", "start services, wait until they run", cmd_start, WAITS, 1, ANY},
    {"stop", "NAME...", "stop services, wait until they have ended", cmd_stop, WAITS, 1, ANY},
    {"restart", "NAME...", "stop and start again", cmd_restart, WAITS | OPTION_ROLLING, 1, ANY},
    {"signal", "SIGNAL NAME...", "send a signal to the main process", cmd_signal, QUICK, 2, ANY},
    {"reload", "NAME...", "have them read their configuration again", cmd_reload, WAITS, 1, ANY},
    {"scale", "NAME NUMBER", "have so many instances", cmd_scale, WAITS, 2, 2},
    {"pause", "NAME...", "freeze all processes of services", cmd_pause, QUICK, 1, ANY},
    {"resume", "NAME...", "let paused services go on", cmd_resume, QUICK, 1, ANY},
    {"enable", "NAME...", "start them with supd from now on", cmd_enable, WAITS | OPTION_NOW, 1, ANY},
    {"disable", "NAME...", "do not start them with supd any more", cmd_disable, WAITS | OPTION_NOW, 1, ANY},
    {"reset", "NAME...", "forget failures", cmd_reset, QUICK, 1, ANY},
    {"top", "[NAME...]", "show what services use, again and again", cmd_top,
     OPTION_TIMEOUT | OPTION_ONCE | OPTION_INTERVAL, 0, ANY},
    {"rotate", "[NAME...]", "begin new log files", cmd_rotate, QUICK, 0, ANY},
    {"logs", "NAME...", "show what services have written, or write", cmd_logs, LOGS, 1, ANY},
    {"events", "[NAME...]", "print what happens, as it happens", cmd_events, OPTION_JSON, 0, ANY},
    {"reread", "", "read the configuration again and apply what changed", cmd_reread,
     QUICK | OPTION_DRY_RUN | OPTION_RESTART, 0, 0},
    {"tree", "[NAME...]", "draw which services need which", cmd_tree, QUICK, 0, ANY},
    {"why", "NAME...", "tell what services wait for", cmd_why, QUICK, 1, ANY},
    {"info", "", "tell about supd itself", cmd_info, QUICK, 0, 0},
    {"shutdown", "", "stop all services and supd, wait until it is gone", cmd_shutdown, WAITS | OPTION_LEAVE_SERVICES,
     0, 0},
    {"upgrade", "", "replace the binary of supd, services untouched", cmd_upgrade, QUICK, 0, 0},
    {"version", "", "print the versions of supctl and supd", cmd_version, QUICK, 0, 0},
    {"help", "[COMMAND]", "as --help", cmd_help, 0, 0, 1},
};

#define N_COMMANDS (sizeof commands / sizeof *commands)

/* Words of other tools for what is meant here. */
static const struct {
    const char *theirs;
    const char *ours;
} other_words[] = {
    {"list", "status"},           {"list-units", "status"}, {"ls", "status"},     {"ps", "status"},
    {"show", "status --full"},    {"is-active", "status"},  {"update", "reread"}, {"daemon-reload", "reread"},
    {"kill", "signal"},           {"freeze", "pause"},      {"thaw", "resume"},   {"reset-failed", "reset"},
    {"daemon-reexec", "upgrade"}, {"exit", "shutdown"},     {"quit", "shutdown"}, {"monitor", "events"},
};

static const char *other_word(const char *name)
{
    for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++) {
        if (strcmp(other_words[i].theirs, name) == 0)
            return other_words[i].ours;
    }
    return NULL;
}

static const struct command *find_command(const char *name)
{
    const char *names[N_COMMANDS];

    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        names[i] = commands[i].name;
    }
    const char *near = suggest_nearest(name, names, N_COMMANDS);
    const char *ours = other_word(name);
    if (ours)
        complain("unknown command '%s'; here it is 'supctl %s'", name, ours);
    else if (near)
        complain("unknown command '%s'; did you mean '%s'?", name, near);
    else
        complain("unknown command '%s'; 'supctl --help' lists all", name);
    return NULL;
}

static int cmd_help(const struct options *options)
{
    const struct command *command = options->n_args > 0 ? find_command(options->args[0]) : NULL;

    if (options->n_args == 0)
        help_print(commands, N_COMMANDS);
    else if (command)
        help_print_command(command);
    return options->n_args == 0 || command ? SUPCTL_DONE : SUPCTL_USAGE;
}

static bool options_fit(const struct command *command, unsigned given)
{
    unsigned wrong = given & ~command->options;

    if (wrong == 0)
        return true;
    complain("%s: option '--%s' does not go with this command; 'supctl %s --help' tells which do", command->name,
             option_name(wrong & -wrong), command->name);
    return false;
}

static bool args_fit(const struct command *command, size_t n)
{
    if (n >= command->min_args && n <= command->max_args)
        return true;
    if (n > command->max_args)
        complain("%s: takes %s; usage: supctl %s%s%s", command->name,
                 command->max_args == 0 ? "no names" : "fewer words", command->name, command->args[0] ? " " : "",
                 command->args);
    else
        complain("%s: too few words; usage: supctl %s %s%s", command->name, command->name, command->args,
                 command->max_args == ANY ? " ('*' means every service)" : "");
    return false;
}

static int run(const struct options *options)
{
    if (options->help && !options->command) {
        help_print(commands, N_COMMANDS);
        return SUPCTL_DONE;
    }
    if (options->version) {
        puts("supctl " PACKAGE_VERSION);
        return SUPCTL_DONE;
    }
    const struct command *command = find_command(options->command ? options->command : "status");
    if (!command)
        return SUPCTL_USAGE;
    if (options->help) {
        help_print_command(command);
        return SUPCTL_DONE;
    }
    if (options->error) {
        complain("%s", options->error);
        return SUPCTL_USAGE;
    }
    if (!options_fit(command, options->given) || !args_fit(command, options->n_args))
        return SUPCTL_USAGE;
    return command->run(options);
}

int main(int argc, char **argv)
{
    struct options options;

    proto_init();
    options_parse(&options, argc, argv);
    int status = run(&options);
    if (!text_flush())
        status = SUPCTL_FAILED;
    options_clear(&options);
    return status;
}
