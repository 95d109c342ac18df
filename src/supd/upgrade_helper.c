/* SPDX-License-Identifier: MIT */
#include "supd/upgrade_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/helper.h"

/* In the child. */
static void run(char *const argv[], int handover_fd, int output) __attribute__((noreturn));

static void run(char *const argv[], int handover_fd, int output)
{
    int handover = fcntl(handover_fd, F_DUPFD_CLOEXEC, HELPER_FD);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (handover < 0 || null < 0)
        _exit(EXIT_FAILURE);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    dup2(handover, STDERR_FILENO + 1);
    closefrom(STDERR_FILENO + 2);
    execv(argv[0], argv);
    dprintf(STDERR_FILENO, "%s\n", strerror(errno));
    _exit(127);
}

pid_t upgrade_helper_start(char *const argv[], int handover_fd, int *output_fd)
{
    int fd = -1;
    pid_t pid = helper_fork(&fd);

    if (pid == 0)
        run(argv, handover_fd, fd);
    if (pid > 0)
        *output_fd = fd;
    return pid;
}
