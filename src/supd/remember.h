/* SPDX-License-Identifier: MIT */
/*
 * What outlives the boot, in the state directory: which services `enable` and `disable` have said something else of
 * than the configuration (the file "enabled"), and when the last run of a persistent schedule was due ("runs").
 *
 * Both are read at the start and held in memory.  They are written by a helper process, since a disk may keep its
 * writer waiting: a whole new file each time, synced and renamed over the old one.
 */
#ifndef SUPD_SUPD_REMEMBER_H
#define SUPD_SUPD_REMEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct remembered;
struct supervisor;

/* One service: what is to be remembered of it. */
struct remember_change {
    char *name;   /* of the remember_changes, which free it */
    bool forget;  /* it is as the configuration says */
    bool enabled; /* unless .forget */
};

struct remember_changes {
    struct remember_change *items;
    size_t n;
};

/* ERROR is NULL once the changes hold and are on the disk; else nothing is changed. */
typedef void (*remember_fn)(void *ctx, const char *error);

/* Chooses the directory and reads what is there.  Damage is told, and the file kept aside. */
void remember_open(struct supervisor *sup);
/* Writes what has not been written of the runs, waiting for it, and frees. */
void remember_close(struct supervisor *sup);

/* The state directory; NULL: there is none, and *WHY (NULL is fine) says why. */
const char *remember_dir(const struct supervisor *sup, const char **why);

/* False where a command has said nothing else than the configuration. */
bool remember_enabled(const struct supervisor *sup, const char *name, bool *enabled);

/* Makes CHANGES, whose items it takes over, durable and then calls FN. */
void remember_change(struct supervisor *sup, struct remember_changes changes, remember_fn fn, void *ctx);

/* When the last run of a persistent schedule was due, wall us; false where none is known. */
bool remember_run(const struct supervisor *sup, const char *name, int64_t *wall);
/* Is on the disk in a while, at most once a second: a crash of the machine may cost that. */
void remember_set_run(struct supervisor *sup, const char *name, int64_t wall);

/* Is something being written, or about to be and waited for? */
bool remember_busy(const struct supervisor *sup);

#endif
