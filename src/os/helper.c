/* SPDX-License-Identifier: MIT */
#include "os/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/slab.h"

/* In the child: the writing end, or it is of no use and ends. */
static int settle_in(pid_t parent, int fd)
{
    int output = fcntl(fd, F_DUPFD_CLOEXEC, HELPER_FD);
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    slab_begin_anew();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent || output < 0)
        _exit(EXIT_FAILURE);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return output;
}

pid_t helper_fork(int *fd)
{
    sigset_t all;
    sigset_t old;
    int fds[2];
    pid_t parent = getpid();

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    /* supd's handlers must not run in the child: they write into supd's pipes. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    heap_uncover();
    pid_t pid = fork();
    if (pid == 0) {
        *fd = settle_in(parent, fds[1]);
        return 0;
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return -error;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *fd = fds[0];
    return pid;
}
