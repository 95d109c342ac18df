/* SPDX-License-Identifier: MIT */
/* supctl(1): which command, and whether it was called rightly */
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "core/proto.h"
#include "supctl/commands.h"
#include "supctl/text.h"

struct command {
    const char *name;
    const char *args; /* as the help shows them */
    const char *summary;
    command_fn run;   /* NULL: named by the contract, not built yet */
    unsigned options; /* enum option_flags that it takes */
    size_t min_args;
    size_t max_args;
};

#define ANY ((size_t)-1)
#define WAITS (OPTION_JSON | OPTION_NO_WAIT | OPTION_TIMEOUT)
#define QUICK (OPTION_JSON | OPTION_TIMEOUT)

static const struct command commands[] = {
    {"status", "[NAME...]", "show services (the default)", cmd_status, QUICK | OPTION_FULL, 0, ANY},
    {"start", "NAME...", "start services, wait until they run", cmd_start, WAITS, 1, ANY},
    {"stop", "NAME...", "stop services, wait until they have ended", cmd_stop, WAITS, 1, ANY},
    {"restart", "NAME...", "stop and start again", cmd_restart, WAITS | OPTION_ROLLING, 1, ANY},
    {"signal", "SIGNAL NAME...", "send a signal to the main process", cmd_signal, QUICK, 2, ANY},
    {"reload", "NAME...", "have them read their configuration again", cmd_reload, WAITS, 1, ANY},
    {"pause", "NAME...", "freeze all processes of services", cmd_pause, QUICK, 1, ANY},
    {"resume", "NAME...", "let paused services go on", cmd_resume, QUICK, 1, ANY},
    {"reset", "NAME...", "forget failures", cmd_reset, QUICK, 1, ANY},
    {"top", "[NAME...]", "show what services use, again and again", cmd_top,
     OPTION_TIMEOUT | OPTION_ONCE | OPTION_INTERVAL, 0, ANY},
    {"events", "[NAME...]", "print what happens, as it happens", cmd_events, OPTION_JSON, 0, ANY},
    {"reread", "", "read the configuration again and apply what changed", cmd_reread,
     QUICK | OPTION_DRY_RUN | OPTION_RESTART, 0, 0},
    {"info", "", "tell about supd itself", cmd_info, QUICK, 0, 0},
    {"shutdown", "", "stop all services and supd, wait until it is gone", cmd_shutdown, WAITS | OPTION_LEAVE_SERVICES,
     0, 0},
    {"upgrade", "", "replace the binary of supd, services untouched", cmd_upgrade, QUICK, 0, 0},
    {"version", "", "print the versions of supctl and supd", cmd_version, QUICK, 0, 0},
    {.name = "enable"},
    {.name = "disable"},
    {.name = "logs"},
};

#define N_COMMANDS (sizeof commands / sizeof *commands)

static void print_help(void)
{
    puts("Usage: supctl [OPTION...] [COMMAND [NAME...]]\n"
         "\n"
         "Controls supd, the process supervisor.  NAME is the name of a service or a glob.\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (commands[i].run)
            printf("  %-9s%-15s %s\n", commands[i].name, commands[i].args, commands[i].summary);
    }
    puts("\n"
         "Options, before or after the command:\n"
         "  -s, --socket PATH     the control socket (default: $SUPD_SOCKET, else\n"
         "                        /run/supd/control.sock)\n"
         "      --json            print supd's answer as JSON\n"
         "      --no-wait         start, stop, restart, shutdown: do not wait for the end\n"
         "      --timeout TIME    wait no longer than this (30s, 5m)\n"
         "      --full            status: all about each service, not a line of a table\n"
         "      --once            top: print one table and end\n"
         "      --interval TIME   top: how often the table is made anew (2s)\n"
         "      --dry-run         reread: print what would be done, change nothing\n"
         "      --restart         reread: restart services whose change needs it\n"
         "      --rolling         restart: one after another, up to the first that fails\n"
         "      --leave-services  shutdown: end supd, leave the services running\n"
         "  -h, --help            print this\n"
         "  -V, --version         print the version of supctl\n"
         "\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not running (status NAME),\n"
         "4 unknown service, 5 not permitted, 7 supd cannot be reached, 8 timed out.");
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
    if (near)
        complain("unknown command '%s'; did you mean '%s'?", name, near);
    else
        complain("unknown command '%s'; 'supctl --help' lists all", name);
    return NULL;
}

static bool options_fit(const struct command *command, unsigned given)
{
    unsigned wrong = given & ~command->options;

    if (wrong == 0)
        return true;
    complain("%s: option '--%s' does not go with this command; 'supctl --help' tells which go with it", command->name,
             option_name(wrong & -wrong));
    return false;
}

static bool args_fit(const struct command *command, size_t n)
{
    if (n >= command->min_args && n <= command->max_args)
        return true;
    if (n > command->max_args)
        complain("%s: takes no names; usage: supctl %s", command->name, command->name);
    else
        complain("%s: too few words; usage: supctl %s %s ('*' means every service)", command->name, command->name,
                 command->args);
    return false;
}

static int run(const struct options *options)
{
    if (options->help) {
        print_help();
        return SUPCTL_DONE;
    }
    if (options->version) {
        puts("supctl " PACKAGE_VERSION);
        return SUPCTL_DONE;
    }
    const struct command *command = find_command(options->command ? options->command : "status");
    if (!command)
        return SUPCTL_USAGE;
    if (!command->run) {
        complain("%s: not supported yet", command->name);
        return SUPCTL_USAGE;
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
