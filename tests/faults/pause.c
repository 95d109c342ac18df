/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: who asks whether there is room in one descriptor, or whether any child has ended, stops before the
 * answer, the first time.
 */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/wait.h>

typedef int (*poll_fn)(struct pollfd *fds, nfds_t n, int timeout);
typedef int (*waitid_fn)(idtype_t type, id_t id, siginfo_t *info, int options);

static void stop(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&done))
        raise(SIGSTOP);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    poll_fn real;

    *(void **)&real = dlsym(RTLD_NEXT, "poll");
    if (n == 1 && fds->events == POLLOUT && timeout == 0)
        stop();
    return real(fds, n, timeout);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    waitid_fn real;

    *(void **)&real = dlsym(RTLD_NEXT, "waitid");
    if (type == P_ALL && (options & WEXITED) != 0)
        stop();
    return real(type, id, info, options);
}
