/* SPDX-License-Identifier: MIT */
/*
 * Where the output of a service goes: through a FIFO to suplog(8), which writes it to a file, the journal or the system
 * log; or, where it is supd's own and nothing is to be done to it, straight there.
 */
#ifndef SUPD_CORE_SPEC_LOG_H
#define SUPD_CORE_SPEC_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log_stream.h"

struct spec;

enum log_kind {
    LOG_KIND_UNSET,   /* log-error only: the same place as log */
    LOG_KIND_INHERIT, /* supd's own stdout or stderr */
    LOG_KIND_NONE,    /* /dev/null */
    LOG_KIND_FILE,    /* path */
    LOG_KIND_JOURNAL,
    LOG_KIND_SYSLOG,
};

struct spec_log {
    enum log_kind kind;
    char *path; /* LOG_KIND_FILE only */
};

/* At most BYTES in each PERIOD. */
struct log_rate {
    uint64_t bytes;
    int64_t period; /* us; 0: no limit */
};

enum log_when_full { LOG_FULL_BLOCK, LOG_FULL_DROP };

/* The keys log-*, for both streams of a service. */
struct spec_logging {
    uint64_t max_size; /* bytes; 0: no limit */
    int64_t max_age;   /* us; 0: no limit */
    uint32_t keep;
    bool compress;
    enum log_format format;
    char *timestamp; /* as of struct log_stream; NULL: none */
    char *prefix;    /* NULL: none */
    uint32_t mode;
    char *owner; /* USER or USER:GROUP, numbers once they were looked up; NULL: whose supd is */
    struct log_rate rate;
    enum log_when_full when_full;
};

/* Goes this stream (log, or with ERROR log-error, where that is a place of its own) through a FIFO? */
bool spec_log_is_piped(const struct spec *spec, bool error);

/* What suplog is told of that stream; its slot is LOG_ID_NONE.  To be cleared. */
struct log_stream spec_log_stream(const struct spec *spec, bool error);

/* The name in RUNTIME/log of its FIFO, to be freed: NAME.fifo, of log-error NAME:err.fifo. */
char *spec_log_fifo(const struct spec *spec, bool error);

/* Checks the keys together.  As spec_validate(). */
bool spec_log_validate(const struct spec *spec, char *err, size_t err_size);

/* "USER" or "USER:GROUP" with numbers in place of names.  False when OWNER is not of that kind. */
bool spec_log_owner(const char *owner, uint32_t *uid, uint32_t *gid);

#endif
