/* SPDX-License-Identifier: MIT */
/* Handing sockets over the exec, as sd_listen_fds(3) expects them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/spawn_steps.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* FD, where it is open, gets a number from END on; those in FDS and KEEP that mean it are changed.  It may be the lock,
 * which must be held until the exec, so it is not simply closed. */
static bool move_away(int fd, int end, int *fds, size_t n, int *keep)
{
    if (fcntl(fd, F_GETFD) == -1)
        return true;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, end);
    if (moved == -1)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (fds[i] == fd)
            fds[i] = moved;
    }
    if (*keep == fd)
        *keep = moved;
    return true;
}

void spawn_place_sockets(struct child *child)
{
    size_t n = child->req->n_listen_fds;
    int end = FIRST_FD + (int)n;
    bool ok = true;

    if (n == 0)
        return;
    int *from = xcalloc(n, sizeof(*from));
    memcpy(from, child->req->listen_fds, n * sizeof(*from));
    for (int fd = FIRST_FD; ok && fd < end; fd++)
        ok = move_away(fd, end, from, n, &child->report_fd);
    for (size_t i = 0; ok && i < n; i++)
        ok = dup2(from[i], FIRST_FD + (int)i) != -1;
    if (!ok)
        spawn_fail(child, STEP_FDS, "listen: %s", strerror(errno));
    free(from);
}
