/* SPDX-License-Identifier: MIT */
/*
 * What logs.c, logs_pipe.c and logs_suplog.c share.  For them alone.
 */
#ifndef SUPD_SUPD_LOGS_INNER_H
#define SUPD_SUPD_LOGS_INNER_H

#include "base/hash.h"
#include "core/log_stream.h"
#include "supd/logs.h"

/* A FIFO. */
struct log_pipe {
    struct service *service; /* NULL: it is no more, or writes elsewhere */
    struct log_stream conf;
    char *path;
    int fd;
    bool stored; /* in the fd store */
    TAILQ_ENTRY(log_pipe) link;
};

TAILQ_HEAD(log_pipes, log_pipe);

/* Of one service; [1] is that of log-error. */
struct service_logs {
    struct log_pipe *pipes[2];
    bool matching; /* there are files of core/log_match.h for them */
};

/* A stream that an earlier supd has told of, and nobody has taken over. */
struct old_stream {
    struct log_stream conf;
    UT_hash_handle hh; /* by conf.fifo */
};

struct logs {
    struct supervisor *sup;
    char *dir;      /* RUNTIME/log */
    char *lock;     /* suplog's, in there */
    int32_t *pids;  /* by slot; NULL: not to be had */
    uint8_t *slots; /* log_slot_users(); NULL: nobody has asked */
    uint32_t next_slot;
    int line; /* on which suplog is handed FIFOs; -1: there is none */
    struct old_stream *old;
    struct log_pipes pipes;
    size_t n;
    size_t n_left; /* those without a service */
    struct loop_timer *turn;
    struct loop_timer *drain;    /* looks whether those without a service are empty */
    struct loop_timer *end_look; /* is there something left to be written, at the end? */
    int64_t end_deadline;        /* mono us: no longer is that waited for */
    int64_t leave_at;            /* mono us: no longer is the end of suplog waited for; 0: it was not told to end */
    bool dirty;                  /* the list is to be written */
    bool failing;                /* it could not be */
    bool ending;                 /* suplog was told to end */
};

/* ---- logs.c ---- */

/* The list is written, and suplog looked after, in the next turn. */
void logs_touch(struct logs *logs);

/* ---- logs_pipe.c ---- */

/* How many pipes have each slot; made when it is first asked for, for it is larger than all else of a supd without logs. */
uint8_t *log_slot_users(struct logs *logs);
/* How each is called in the fd store and for the next binary. */
extern const char *const log_pipe_names[2];

/*
 * One without a service.  CONF passes on in any case.  FD is one that was kept, and passes on, or -1: it is opened, and made
 * where it is missing if MAKE is set.  NULL with ERR written.
 */
struct log_pipe *log_pipe_new(struct logs *logs, struct log_stream *conf, int fd, bool make, char *err,
                              size_t err_size);
/* It is that of SERVICE from here on. */
void log_pipe_own(struct logs *logs, struct log_pipe *pipe, struct service *service, bool error, bool stored);
/* Is it there under its name?  Else it is made anew.  False with ERR written. */
bool log_pipe_ready(struct logs *logs, struct log_pipe *pipe, bool error, char *err, size_t err_size);
/* CONF, which passes on, but for what says which FIFO it is. */
void log_pipe_configure(struct logs *logs, struct log_pipe *pipe, struct log_stream *conf);
/* Its service is gone, or writes elsewhere. */
void log_pipe_leave(struct logs *logs, struct log_pipe *pipe, bool error);
/* Lets go of it; its name stays. */
void log_pipe_free(struct logs *logs, struct log_pipe *pipe);

/* ---- logs_suplog.c ---- */

/* Starts it where it is needed and not there, ends it where nobody needs it. */
void logs_follow_suplog(struct logs *logs);
/* Puts it into the queue of those that are to be forked; it is not there. */
void logs_start_suplog(struct logs *logs);
/* It is to be forked: REQUEST gives it its end of the line. */
void logs_prepare_suplog(struct logs *logs, struct spawn_request *request);
/* Gives it PIPE, so that this is not ours alone. */
void logs_hand_over(struct logs *logs, const struct log_pipe *pipe);
/* Tells it that the list is written, in which all that is to stay stands. */
void logs_tell_listed(struct logs *logs);

/* ---- logs_match.c ---- */

/* Before a fork of a process that serves: what it is waited for is written, REQUEST has it.  False with ERR written. */
bool logs_match_prepare(struct service *service, struct spawn_request *request, char *err, size_t err_size);
/* To be called after each change of the service: nobody waits for a line any more. */
void logs_match_follow(struct service *service);
/* All services are restored. */
void logs_match_resume(struct logs *logs);

#endif
