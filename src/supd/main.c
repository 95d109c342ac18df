/* SPDX-License-Identifier: MIT */
/*
 * supd(8): options.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/suggest.h"
#include "core/proto.h"
#include "supd/init.h"
#include "supd/startup.h"

#define DEFAULT_CONFIG SYSCONFDIR "/supd/supd.conf"

enum { OPT_INIT = 256, OPT_FINISH_SHUTDOWN, OPT_RESUME, OPT_STOP_LEFTOVERS };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"runtime-dir", required_argument, NULL, 'r'},
    {"check", no_argument, NULL, 't'},
    {"daemon", no_argument, NULL, 'd'},
    {"init", no_argument, NULL, OPT_INIT},
    {"stop-leftovers", no_argument, NULL, OPT_STOP_LEFTOVERS},
    {"finish-shutdown", no_argument, NULL, OPT_FINISH_SHUTDOWN},
    {"resume", required_argument, NULL, OPT_RESUME},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
    fprintf(out, "Usage: supd [OPTION]...\n"
                 "Keeps services alive, through its own death.\n"
                 "\n"
                 "  -c, --config FILE      read FILE instead of " DEFAULT_CONFIG "\n"
                 "  -r, --runtime-dir DIR  keep the lock, the state file and the socket in DIR\n"
                 "  -t, --check            read the configuration, report every error, start nothing\n"
                 "  -d, --daemon           go to the background; return once supd serves\n"
                 "      --init             be process 1 of a container: start supd, and again when it dies\n"
                 "      --finish-shutdown  used by --init: go on with the shutdown in which supd died\n"
                 "      --resume FD        used by supd itself in a live upgrade\n"
                 "      --stop-leftovers   end what a dead supd left running, then exit\n"
                 "  -v, --verbose          log debugging messages too\n"
                 "  -V, --version          print the version and exit\n"
                 "  -h, --help             print this and exit\n"
                 "\n"
                 "See supd(8) and supd.conf(5).\n");
}

/* C as of getopt(3), WORD as it was given. */
static int refuse_option(int c, const char *word)
{
    const char *names[sizeof(long_options) / sizeof(*long_options)];
    size_t n = 0;

    while (long_options[n].name != NULL) {
        names[n] = long_options[n].name;
        n++;
    }
    const char *near = strncmp(word, "--", 2) == 0 ? suggest_nearest(word + 2, names, n) : NULL;
    if (c == ':')
        fprintf(stderr, "supd: option '%s' needs a value\n", word);
    else if (near != NULL)
        fprintf(stderr, "supd: unknown option '%s'; did you mean '--%s'?\n", word, near);
    else
        fprintf(stderr, "supd: unknown option '%s'\n", word);
    fprintf(stderr, "Try 'supd --help'.\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct startup_options options = {.argv0 = argv[0], .config = DEFAULT_CONFIG, .resume_fd = -1};
    bool init = false;
    int at = 1;
    int c;

    heap_begin();
    proto_init();
    opterr = 0;
    for (; (c = getopt_long(argc, argv, ":c:r:tdvVh", long_options, NULL)) != -1; at = optind) {
        switch (c) {
        case 'c':
            options.config = optarg;
            break;
        case 'r':
            options.runtime_dir = optarg;
            break;
        case 't':
            options.check = true;
            break;
        case 'd':
            options.daemon = true;
            break;
        case OPT_INIT:
            init = true;
            break;
        case OPT_RESUME:
            options.resume_fd = atoi(optarg);
            break;
        case OPT_FINISH_SHUTDOWN:
            options.finish_shutdown = true;
            break;
        case OPT_STOP_LEFTOVERS:
            options.stop_leftovers = true;
            break;
        case 'v':
            options.verbose = true;
            break;
        case 'V':
            printf("supd %s\n", PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            return refuse_option(c, argv[at]);
        }
    }
    if (options.runtime_dir != NULL && options.runtime_dir[0] == '\0') {
        fprintf(stderr, "supd: option '--runtime-dir' needs the name of a directory\n");
        return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "supd: unexpected argument '%s'\nTry 'supd --help'.\n", argv[optind]);
        return 2;
    }
    if (init && (options.daemon || options.stop_leftovers)) {
        fprintf(stderr, "supd: --init goes with neither --daemon nor --stop-leftovers\n");
        return 2;
    }
    return init && !options.check ? init_run(&options) : startup_run(&options);
}
