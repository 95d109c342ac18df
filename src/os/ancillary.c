/* SPDX-License-Identifier: MIT */
#include "os/ancillary.h"

#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct ucred) == 3 * sizeof(int), "there may be no room for who has sent a message");

void ancillary_read(struct msghdr *msg, struct ancillary *out)
{
    out->pid = 0;
    out->uid = (uid_t)-1;
    out->n_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred cred;

            memcpy(&cred, CMSG_DATA(c), sizeof cred);
            out->pid = cred.pid;
            out->uid = cred.uid;
        } else if (c->cmsg_type == SCM_RIGHTS) {
            out->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(out->fds, CMSG_DATA(c), out->n_fds * sizeof(int));
        }
    }
}

void ancillary_close(struct ancillary *ancillary)
{
    while (ancillary->n_fds > 0)
        close(ancillary->fds[--ancillary->n_fds]);
}
