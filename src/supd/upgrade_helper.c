/* SPDX-License-Identifier: MIT */
#include "supd/upgrade_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FIRST_FREE 10 /* above all that the child puts in place */

/* In the child. */
static void run(char *const argv[], int handover_fd, int output_fd, pid_t parent) __attribute__((noreturn));

static void run(char *const argv[], int handover_fd, int output_fd, pid_t parent)
{
    int output = fcntl(output_fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    int handover = fcntl(handover_fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent || output < 0 || handover < 0 || null < 0)
        _exit(EXIT_FAILURE);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    dup2(handover, STDERR_FILENO + 1);
    closefrom(STDERR_FILENO + 2);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(argv[0], argv);
    dprintf(STDERR_FILENO, "%s\n", strerror(errno));
    _exit(127);
}

pid_t upgrade_helper_start(char *const argv[], int handover_fd, int *output_fd)
{
    sigset_t all;
    sigset_t old;
    int fds[2];
    pid_t parent = getpid();

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0)
        run(argv, handover_fd, fds[1], parent);
    int error = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return -error;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *output_fd = fds[0];
    return pid;
}
