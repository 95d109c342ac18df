/* SPDX-License-Identifier: MIT */
/*
 * The records of the PID state file, RUNTIME/state: encode, decode, replay.
 *
 * Layout of a record, integers little-endian:
 *   u32 magic | u16 length of the whole record | u8 type | u8 version | u32 crc | payload
 * crc is over the record with the crc field as zero.  A reader that meets anything
 * else than a whole record with the right crc looks for the next magic byte by
 * byte, so one damaged or torn record costs that record only.
 *
 * HEADER    the epoch that the file belongs to; first record of a file
 * SPAWN     written by the child itself before its exec: "this process plays that role in life L of NAME"
 * SERVICE   everything durable about a service; the last one in the file counts
 * REMOVED   the service is gone from the configuration and has ended
 * SHUTDOWN  `supctl shutdown` was acknowledged
 * SCALE     so many instances of a section, whatever the configuration says
 * KEPT      a descriptor that a service has left with supd: where it is in supd's own fd store, and how it is called
 * ESSENTIAL an essential service has ended, so supd is to end with that status
 * EVENT     a piece of news of a service, for the command of one rule (core/event.h); written before the change itself
 * EVENTS    what such a rule has come to, and which process the next piece is handed to
 *
 * A SPAWN of a life that a later SERVICE knows only tells its process; one of a
 * newer life starts that life.  So the two writers need no order between them.
 * Pure: bytes in, structures out.
 */
#ifndef SUPD_CORE_RECORD_H
#define SUPD_CORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/service.h"
#include "core/spec.h"

#define RECORD_MAX 1024 /* no record is longer, so one write(2) of it is one piece */

enum record_type {
    RECORD_HEADER = 1,
    RECORD_SPAWN = 2,
    RECORD_SERVICE = 3,
    RECORD_REMOVED = 4,
    RECORD_SHUTDOWN = 5,
    RECORD_ESSENTIAL = 6,
    RECORD_SCALE = 7,
    RECORD_KEPT = 8,
    RECORD_EVENT = 16,
    RECORD_EVENTS = 17,
};

/* What makes pids and start times comparable: the same boot, PID namespace and PID 1 of it. */
struct epoch {
    char boot_id[40];
    uint64_t pidns;      /* inode of the PID namespace */
    uint64_t init_start; /* start time of its PID 1, ticks */
};

bool epoch_equal(const struct epoch *a, const struct epoch *b);

#define RECORD_NAME_SIZE (SPEC_NAME_MAX + 8) /* of the name of a service or instance, its NUL included */

/* Why supd is to end by itself. */
struct essential_end {
    char name[RECORD_NAME_SIZE]; /* of the service; "" = nobody's */
    int status;                  /* 0 to 255: what supd exits with */
};

/* `supctl scale`: another number of instances than is written, as long as that does not change. */
struct scale {
    char name[RECORD_NAME_SIZE]; /* of the section */
    uint32_t written;            /* what the configuration said then */
    uint32_t count;              /* so many instead; the same: as it is written again */
};

#define KEPT_NAME_SIZE 256 /* of a FDNAME, its NUL included */

/* A descriptor that a service has left with supd. */
struct kept_fd {
    uint32_t slot; /* below FD_STORE_MAX, of its service; its name in the fd store of supd follows from it */
    bool no_poll;  /* kept also once nobody is at its other end */
    uint64_t dev;  /* what it is open for, by which it is found again where there is no fd store; 0: no such thing */
    uint64_t ino;
    uint32_t access;           /* O_RDONLY, O_WRONLY or O_RDWR */
    char name[KEPT_NAME_SIZE]; /* FDNAME; "": the slot is free */
};

/* Each writes one record to BUF (RECORD_MAX bytes) and returns its length. */
size_t record_encode_header(uint8_t *buf, const struct epoch *epoch);
size_t record_encode_service(uint8_t *buf, const char *name, const struct svc *svc);
size_t record_encode_removed(uint8_t *buf, const char *name);
size_t record_encode_shutdown(uint8_t *buf);
size_t record_encode_scale(uint8_t *buf, const struct scale *scale);
size_t record_encode_kept(uint8_t *buf, const char *name, const struct kept_fd *kept);
size_t record_encode_essential(uint8_t *buf, const struct essential_end *end);
/* RULE: the name of its process, "event:NAME". */
size_t record_encode_event(uint8_t *buf, const char *rule, const struct event_note *note);
size_t record_encode_events(uint8_t *buf, const char *rule, const struct event_cursor *cursor);

/*
 * A SPAWN record without its process, made by the parent before the fork.  The
 * child completes it with record_finish_spawn(), which is async-signal-safe.
 */
size_t record_encode_spawn(uint8_t *buf, enum svc_role role, const char *name, const struct svc *svc, uint64_t digest,
                           const struct svc_stop_params *stop, struct timestamp now);
void record_finish_spawn(uint8_t *buf, size_t len, int32_t pid, uint64_t start_ticks, uint64_t inode);

/* What the file says about one service. */
struct svc_image {
    char name[RECORD_NAME_SIZE];
    struct svc svc;
    bool has_process;     /* svc.proc was recorded and no end of it */
    bool has_control;     /* the same of svc.control */
    bool has_check;       /* the same of svc.check */
    struct kept_fd *kept; /* in the order of their records; they are the replay's */
    size_t n_kept;
};

/* What it says about the queue of a rule. */
struct event_image {
    char name[RECORD_NAME_SIZE]; /* of its process */
    struct event_queue queue;    /* not settled yet, event_queue_settle() */
};

/* The file, replayed. */
struct replay {
    bool has_epoch;
    struct epoch epoch;
    bool shutdown;
    struct essential_end essential;
    struct scale *scales; /* of each section one at most */
    size_t n_scales;
    struct event_image *events; /* of each rule one at most */
    size_t n_events;
    struct svc_image **images; /* sorted by name */
    size_t n;
    size_t records; /* whole ones read */
    size_t skipped; /* bytes that belonged to no whole record */
    size_t damaged; /* stretches of such bytes */
    bool newer;     /* a record of a version that we do not know was passed over */
};

/* Replays LEN bytes; never fails (a file of noise gives no record).  Freed with replay_free(). */
struct replay *replay_new(const uint8_t *data, size_t len);
void replay_free(struct replay *replay);
struct svc_image *replay_find(const struct replay *replay, const char *name);

#endif
