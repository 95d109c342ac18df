/* SPDX-License-Identifier: MIT */
/* suplog(8): the options */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "suplog/suplog.h"

static const struct option options[] = {
    {"runtime-dir", required_argument, NULL, 'r'}, {"syslog", no_argument, NULL, 's'},
    {"ready-fd", required_argument, NULL, 'f'},    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},           {0},
};

static int usage(FILE *out, int status)
{
    fputs("Usage: suplog --runtime-dir DIR\n"
          "\n"
          "Writes the logs of supd's services.  supd starts it where a log needs it.\n"
          "\n"
          "  -r, --runtime-dir DIR  the runtime directory of supd\n"
          "  -s, --syslog           tell what goes wrong to the system log, not to stderr\n"
          "  -f, --ready-fd FD      write a newline to this descriptor once it is at work\n"
          "  -h, --help             print this\n"
          "  -V, --version          print the version\n",
          out);
    return status;
}

int main(int argc, char **argv)
{
    const char *runtime_dir = NULL;
    enum log_target target = LOG_TARGET_STDERR;
    int ready_fd = -1;
    int c;

    while ((c = getopt_long(argc, argv, "r:sf:hV", options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_SUCCESS);
        if (c == 'V') {
            puts("suplog " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        }
        if (c == 's')
            target = LOG_TARGET_SYSLOG;
        else if (c == 'r')
            runtime_dir = optarg;
        else if (c == 'f' && optarg[0] >= '3' && optarg[0] <= '9' && !optarg[1])
            ready_fd = optarg[0] - '0';
        else
            return usage(stderr, 2);
    }
    if (!runtime_dir || optind < argc)
        return usage(stderr, 2);
    log_open(target, "suplog");
    return suplog_run(runtime_dir, ready_fd);
}
