/* SPDX-License-Identifier: MIT */
#include "crash/traced.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn void traced_exec(void (*be_tracer)(int ready), char **argv)
{
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) < 0)
        err(EXIT_FAILURE, "pipe2");
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama wants the tracer to be an ancestor */

    /* Twice, for supd must not have a child that it does not know of. */
    pid_t between = fork();
    if (between < 0)
        err(EXIT_FAILURE, "fork");
    if (between == 0) {
        if (fork() != 0)
            _exit(EXIT_SUCCESS);
        close(ready[0]);
        be_tracer(ready[1]);
    }
    waitpid(between, NULL, 0);
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        exit(EXIT_SKIP);
    execv(argv[0], argv);
    err(127, "%s", argv[0]);
}
