/* SPDX-License-Identifier: MIT */
/* Handing descriptors over the exec: sockets, as sd_listen_fds(3) expects them, and the one that tells readiness. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/spawn_steps.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* Descriptors by the numbers that the program finds them at. */
struct placement {
    size_t n;
    int *from;
    int *to;
    int end; /* behind the last number */
};

static void add(struct placement *p, int from, int to)
{
    p->from[p->n] = from;
    p->to[p->n++] = to;
    if (to >= p->end)
        p->end = to + 1;
}

/* FD, where it is open, gets a number from the end on; what means it is changed.  It may be the lock, which must be held
 * until the exec, so it is not simply closed. */
static bool move_away(struct placement *p, int fd, int *keep)
{
    if (fcntl(fd, F_GETFD) == -1)
        return true;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, p->end);
    if (moved == -1)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        if (p->from[i] == fd)
            p->from[i] = moved;
    }
    if (*keep == fd)
        *keep = moved;
    return true;
}

void spawn_place_sockets(struct child *child)
{
    const struct spawn_request *req = child->req;
    size_t max = req->n_listen_fds + 1;
    struct placement p = {.end = FIRST_FD};
    bool ok = true;

    if (req->n_listen_fds == 0 && req->ready_fd <= 0)
        return;
    p.from = xcalloc(max, sizeof(int));
    p.to = xcalloc(max, sizeof(int));
    for (size_t i = 0; i < req->n_listen_fds; i++)
        add(&p, req->listen_fds[i], FIRST_FD + (int)i);
    if (req->ready_fd > 0)
        add(&p, req->ready_fd, (int)child->spec->life->ready.fd);
    for (size_t i = 0; ok && i < p.n; i++)
        ok = move_away(&p, p.to[i], &child->report_fd);
    for (size_t i = 0; ok && i < p.n; i++)
        ok = dup2(p.from[i], p.to[i]) != -1;
    if (!ok)
        spawn_fail(child, STEP_FDS, "%s: %s", req->n_listen_fds > 0 ? "listen" : "ready", spawn_error(errno));
    free(p.from);
    free(p.to);
}
