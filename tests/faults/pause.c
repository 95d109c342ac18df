/* SPDX-License-Identifier: MIT */
/* To be preloaded: who asks whether there is room in one descriptor stops before the answer, the first time. */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

typedef int (*poll_fn)(struct pollfd *fds, nfds_t n, int timeout);

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    poll_fn real;

    *(void **)&real = dlsym(RTLD_NEXT, "poll");
    if (n == 1 && fds->events == POLLOUT && timeout == 0 && !atomic_flag_test_and_set(&done))
        raise(SIGSTOP);
    return real(fds, n, timeout);
}
