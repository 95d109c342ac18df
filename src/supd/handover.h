/* SPDX-License-Identifier: MIT */
/*
 * What one binary of supd hands to the next over execve(2), beside the state file: open descriptors, who is our child,
 * and callers that wait for an answer.  It travels as JSON in a memfd, whose number is the argument of --resume.
 *
 * Every value of a key "fd" in it is an inherited descriptor.
 */
#ifndef SUPD_SUPD_HANDOVER_H
#define SUPD_SUPD_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "supd/supervisor.h"

struct handover {
    json_t *root;        /* owns what is pointed to below */
    const char *version; /* of the binary before */
    const char *binary;
    const char *socket_path;
    int lock_fd;
    int listen_fd; /* -1: no control socket */
    bool syslog;
    struct timestamp started;
    struct rlimit nofile;
    json_t *processes;
    json_t *sessions;
    json_t *sockets; /* by service; NULL: of a supd that knew none */
};

/* A memfd (close-on-exec, the caller's) with the present state, or -errno. */
int handover_write(struct supervisor *sup);

/* Reads FD from its beginning.  NULL with ERR written when it is none that this version understands. */
struct handover *handover_read(int fd, char *err, size_t err_size);
void handover_free(struct handover *handover);

/* Makes the descriptors that are named stay open over an exec, or not. */
void handover_keep_open(const struct handover *handover, bool keep);

#define HANDOVER_KEY_MAX (SPEC_NAME_MAX + 16)

/* What the main process of service NAME, or its control process, is called there. */
void handover_key(const char *name, enum process_part part, char key[HANDOVER_KEY_MAX]);

/* Is PID, by this key, among the processes?  *PIDFD (-1: none) is the caller's from now on; *IS_CHILD: it is our child. */
bool handover_process(const struct handover *handover, const char *key, pid_t pid, int *pidfd, bool *is_child);

/* Is its pidfd in the fd store? */
bool handover_stored(const struct handover *handover, const char *key);

/* The socket of service NAME at ADDRESS, the caller's from now on, or -1; *STORED: it is in the fd store. */
int handover_take_socket(const struct handover *handover, const char *name, const char *address, bool *stored);

/* What service NAME has last said of itself; NULL: nothing. */
const char *handover_status(const struct handover *handover, const char *name);

/* Closes the sockets that no service has taken, and has them removed from the fd store. */
void handover_drop_sockets(const struct handover *handover, struct supervisor *sup);

/* What a binary that could take over from process PID prints, and no other program would. */
void handover_promise(char *buf, size_t size, pid_t pid);

/* Bytes that need not be text, as a string, and back (to be freed; NULL when it is none). */
json_t *handover_bytes(const char *data, size_t len);
char *handover_bytes_get(const json_t *json, size_t *len);

#endif
