/* SPDX-License-Identifier: MIT */
#include "supd/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* The starter: waits for the one byte that says "serving". */
static void wait_and_exit(int fd) __attribute__((noreturn));

static void wait_and_exit(int fd)
{
    char byte;
    ssize_t n;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int daemon_begin(void)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        close(fds[1]);
        wait_and_exit(fds[0]);
    }

    close(fds[0]);
    setsid();
    /* No session leader any more, so that no terminal can become ours. */
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0)
        _exit(EXIT_SUCCESS);
    umask(022);
    if (chdir("/") < 0)
        return -errno;
    return fds[1];
}

void daemon_ready(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    log_open(LOG_TARGET_SYSLOG, "supd");
    if (null >= 0) {
        for (int i = 0; i <= 2; i++)
            dup2(null, i);
        close(null);
    }
    if (write(fd, "", 1) < 0)
        log_debug("the starter is gone");
    close(fd);
}
