/* SPDX-License-Identifier: MIT */
/*
 * What comes along with the bytes of a datagram on a Unix socket: who has sent it, and descriptors.
 */
#ifndef SUPD_OS_ANCILLARY_H
#define SUPD_OS_ANCILLARY_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define ANCILLARY_FDS_MAX 253 /* SCM_MAX_FD */

/* Room for all that one message may bring, for .msg_control. */
union ancillary_room {
    char bytes[CMSG_SPACE(3 * sizeof(int)) + CMSG_SPACE(ANCILLARY_FDS_MAX * sizeof(int))]; /* struct ucred is three */
    struct cmsghdr align;
};

struct ancillary {
    pid_t pid; /* of the sender, as it was when it sent it; 0: not told */
    uid_t uid; /* (uid_t)-1: not told */
    int fds[ANCILLARY_FDS_MAX];
    size_t n_fds;
};

/* Takes apart what recvmsg(2) has filled in.  The descriptors are the caller's. */
void ancillary_read(struct msghdr *msg, struct ancillary *out);

/* Closes the descriptors that are left. */
void ancillary_close(struct ancillary *ancillary);

#endif
