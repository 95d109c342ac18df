/* SPDX-License-Identifier: MIT */
/*
 * The messages on the control socket: JSON-RPC 2.0, one message a line.
 * Both ends use this module; it reads and builds JSON (jansson) and does no I/O.
 *
 * Errors carry the codes of https://www.jsonrpc.org/specification and our own.
 */
#ifndef SUPD_CORE_PROTO_H
#define SUPD_CORE_PROTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json_out.h"
#include "core/service.h"
#include "core/spec.h"
#include "core/usage.h"

#define PROTO_MAX_REQUEST (1024 * 1024) /* bytes of one line from a client */
#define PROTO_MAX_PATTERN 256           /* bytes of a name or glob; a longer one matches nothing */

enum proto_error {
    PROTO_E_PARSE = -32700,
    PROTO_E_INVALID_REQUEST = -32600,
    PROTO_E_METHOD_NOT_FOUND = -32601,
    PROTO_E_INVALID_PARAMS = -32602,
    PROTO_E_INTERNAL = -32603,
    PROTO_E_UNKNOWN_SERVICE = -32001,
    PROTO_E_NOT_PERMITTED = -32002,
    PROTO_E_REFUSED = -32003,
    PROTO_E_CONFIG = -32004,
    PROTO_E_TIMED_OUT = -32005,
};

/* To be called before any other use of JSON: jansson allocates by base/mem.h, and so never fails for want of memory. */
void proto_init(void);

/* One request, taken apart.  All json_t are owned by the struct. */
struct proto_request {
    json_t *id; /* NULL: a notification, no answer is sent */
    char *method;
    json_t *params; /* an object, never NULL ({} where the message had none) */
};

/*
 * Takes one message (a JSON object) apart.  Returns false with *CODE and ERR
 * written when it is no request; then req->id is the id to answer with, as far as
 * it could be told, else NULL (answer with null).  proto_request_clear() in both cases.
 */
bool proto_request_parse(json_t *message, struct proto_request *req, enum proto_error *code, char *err,
                         size_t err_size);
void proto_request_clear(struct proto_request *req);

/* New references.  ID is borrowed and may be NULL (null); RESULT and DATA are stolen, DATA may be NULL. */
json_t *proto_result(json_t *id, json_t *result);
json_t *proto_error(json_t *id, enum proto_error code, json_t *data, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
json_t *proto_request(int id, const char *method, json_t *params);
json_t *proto_notification(const char *method, json_t *params);

/*
 * A JSON string of TEXT; null for NULL.  Paths and what programs say may hold any
 * byte: what is no UTF-8 becomes U+FFFD (jansson itself would give no string at all).
 */
json_t *proto_string(const char *text);

/* The same of LEN bytes, of which some may be NUL. */
json_t *proto_text(const char *text, size_t len);

/* One line with its '\n', compact; to be freed.  *LEN without the terminating NUL. */
char *proto_encode(const json_t *message, size_t *len);

/* What is seen of the processes (all zero where nothing is known). */
struct proto_usage {
    bool known;
    bool stopped;    /* the main process, by job control */
    bool paused;     /* all of them, by their cgroup */
    uint64_t memory; /* bytes: charged to the cgroup, else resident */
    int64_t cpu;     /* us, user + system */
    uint64_t tasks;  /* threads */
};

/* The keys of a service, in the order in which the contract shows them. */
enum proto_key {
    PROTO_NAME,
    PROTO_STATE,
    PROTO_DESIRED,
    PROTO_READY,
    PROTO_PID,
    PROTO_ADOPTED,
    PROTO_SINCE,
    PROTO_UPTIME,
    PROTO_STARTS,
    PROTO_RESTARTS,
    PROTO_NEXT_START_IN,
    PROTO_REASON,
    PROTO_CONTROL,
    PROTO_EXIT,
    PROTO_CONFIG_STALE,
    PROTO_STOPPED,
    PROTO_PAUSED,
    PROTO_LOG,
    PROTO_LOG_TO,
    PROTO_MEMORY,
    PROTO_CPU,
    PROTO_TASKS,
    PROTO_COMMAND,
    PROTO_ENABLED,
    PROTO_NEXT_RUN,
    PROTO_SOCKETS,
    PROTO_FD_STORE,
    PROTO_CGROUP,
    PROTO_MEMORY_MAX,
    PROTO_HEALTH,
    PROTO_HEALTH_TEXT,
    PROTO_STATUS_TEXT,
    PROTO_N_KEYS
};

/* A set of them. */
typedef uint64_t proto_keys;
#define PROTO_KEY(key) (UINT64_C(1) << (key))
#define PROTO_ALL_KEYS (PROTO_KEY(PROTO_N_KEYS) - 1)

const char *proto_key_name(enum proto_key key);
/* False: there is none of that name. */
bool proto_key_find(const char *name, enum proto_key *key);

/* What is shown of a service; only what the keys that are written need has to be filled in.  All is borrowed. */
struct proto_service {
    const char *name;
    const struct svc *svc;
    const struct spec *spec;
    struct timestamp now;
    const char *waits_for; /* said in place of its reason; NULL: nothing */
    bool config_stale;     /* its process was started from an older configuration */
    struct proto_usage usage;
    const struct usage *used; /* by the run that ended last; NULL: not known */
    bool enabled;
    int64_t next_run;       /* wall us; 0: none */
    const json_t *sockets;  /* an array; NULL: an empty one, and so below */
    const json_t *fd_store; /* an array */
    const char *cgroup;     /* NULL: it has none */
    int64_t memory_max;     /* bytes; -1: no limit */
    const char *health;     /* here and below NULL: nothing to say */
    const char *health_text;
    const char *status_text;
};

/*
 * A service as the contract shows it: every key present, null where there is
 * nothing to say (log.err too where stderr goes to the same place as stdout).
 */
void proto_service_object(struct json_out *out, const struct proto_service *service);
/* An array of what the object has under these N keys. */
void proto_service_row(struct json_out *out, const struct proto_service *service, const enum proto_key *keys, size_t n);

/* The "exit" member; null before the first exit. */
void proto_exit(struct json_out *out, const struct exit_info *exit, const struct usage *usage);
json_t *proto_exit_tree(const struct exit_info *exit, const struct usage *usage);

/* What is said of REASON beside the word STATE: of "stopped by command" beside "stopping" it is "by command".  Borrowed. */
const char *proto_reason_beside(const char *state, const char *reason);

/* Seconds with microseconds, as the contract gives times. */
json_t *proto_seconds(int64_t usec);

/*
 * Is NAME the name PATTERN, or matches it as a glob (as fnmatch(3): * ? [a-z] [!a-z])?  Of an instance WEB@3 it may be
 * WEB that does.  In bounded time, whatever it is.
 */
bool proto_name_matches(const char *pattern, const char *name);
/* Has PATTERN a glob character? */
bool proto_is_glob(const char *pattern);

#endif
