/* SPDX-License-Identifier: MIT */
/*
 * The connection to supd: one request at a time, its answer waited for with
 * poll(2) and a deadline.  What goes wrong is told on stderr, with the remedy; the
 * caller only passes the exit status on.
 */
#ifndef SUPD_SUPCTL_CLIENT_H
#define SUPD_SUPCTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supctl/commands.h"

#define CLIENT_NO_LIMIT INT64_C(-1)
#define CLIENT_USUAL_LIMIT INT64_C(30000000) /* us; supd answers at once, unless it is stuck */

#define CLIENT_GRACE INT64_C(5000000) /* us that supd has to say itself that the time is over */

/* How long to wait, us: --timeout and GRACE, or OTHERWISE where it was not given. */
int64_t client_limit(const struct options *options, int64_t otherwise, int64_t grace);

struct client;

/*
 * Connects to the socket that OPTIONS, the environment or the user id name.
 * LIMIT, in us or CLIENT_NO_LIMIT, bounds all that is done with the client.
 * NULL with *STATUS set where there is no connection.
 */
struct client *client_open(const struct options *options, int64_t limit, int *status);
void client_close(struct client *client);

/* The limit counts anew from now on. */
void client_renew(struct client *client);

/* pid of the program that listens, 0 where it is in a PID namespace that we do not see. */
pid_t client_peer_pid(const struct client *client);

/* Waits until the process behind PIDFD has ended. */
int client_wait_for_end(const struct client *client, int pidfd);

struct answer {
    json_t *result;      /* NULL: an error */
    int code;            /* the error, else 0 */
    const char *message; /* in `whole` */
    json_t *data;        /* in `whole`, may be NULL */
    json_t *whole;
};

/* Asks and waits for the answer; PARAMS is stolen.  SUPCTL_DONE means that there is one, be it an error. */
int client_call(struct client *client, const char *method, json_t *params, struct answer *answer);
void answer_clear(struct answer *answer);

/*
 * The same for a caller to whom an error is the end: tells it, and returns the
 * status that goes with it.  On SUPCTL_DONE *RESULT is a new reference.
 */
int client_ask(struct client *client, const char *method, json_t *params, json_t **result);

/*
 * The same as text: on SUPCTL_DONE *RESULT is *LEN bytes of JSON, the client's, until the next call.
 * REFUSED is NULL, or set where the parameters are none that this supd knows, which is not told then.
 */
int client_ask_text(struct client *client, const char *method, json_t *params, bool *refused, const char **result,
                    size_t *len);

/* Tells the error in ANSWER on stderr, for names that are unknown with the nearest known one; returns the status. */
int client_tell_error(struct client *client, const struct answer *answer);

/* The descriptor to wait on with poll(2). */
int client_fd(const struct client *client);

/* The params of a notification that has come, without waiting; *PARAMS is NULL where there is none.  As client_next_event(). */
int client_poll_event(struct client *client, json_t **params);

/* The params of the next notification.  SUPCTL_UNREACHABLE at the end of the connection, told only if TELL_END. */
int client_next_event(struct client *client, bool tell_end, json_t **params);

#endif
