/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that `supd --init` keeps for supd while that is dead, with the messages of
 * systemd's file descriptor store, sd_pid_notify_with_fds(3): FDSTORE=1 and FDSTOREREMOVE=1
 * with FDNAME= and FDPOLL=0, given back as LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID.
 *
 * It owns the notification socket and what is stored.  No message makes it fail: what cannot be
 * kept is closed, and that is logged.
 */
#ifndef SUPD_SUPD_INIT_STORE_H
#define SUPD_SUPD_INIT_STORE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define INIT_STORE_MESSAGE_MAX 4096 /* bytes of a message, its NUL included, as with systemd */

struct init_store;

/* Opens the socket, under an abstract address that the kernel chooses.  NULL with errno when that fails. */
struct init_store *init_store_new(void);
/* Closes everything. */
void init_store_free(struct init_store *store);

/* What NOTIFY_SOCKET is to be. */
const char *init_store_address(const struct init_store *store);

/* The socket, to be watched for messages. */
int init_store_socket(const struct init_store *store);

/*
 * Takes one message, not waiting.  0: there is none.  1: TEXT is a message of process SENDER.  -1: one that was about the
 * store, and was obeyed, or of somebody else, and was passed over.
 */
int init_store_receive(struct init_store *store, pid_t sender, char text[INIT_STORE_MESSAGE_MAX]);

/*
 * The stored descriptors that are watched for their end (all but those of FDPOLL=0): appends at most MAX to FDS and
 * returns how many.  init_store_polled() takes the same array back after poll(2) and drops those that have ended.
 */
size_t init_store_poll(const struct init_store *store, struct pollfd *fds, size_t max);
void init_store_polled(struct init_store *store, const struct pollfd *fds, size_t n);

/*
 * For a child before its exec: puts the stored descriptors at 3 and above, open across the exec, and
 * sets the variables, or clears them where nothing is stored.  False with errno when that is impossible.
 */
bool init_store_hand_over(struct init_store *store);

#endif
