/* SPDX-License-Identifier: MIT */
/*
 * Replaying the state file: the reading half of core/record.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/record.h"
#include "core/record_format.h"

/* A cursor that stays put and remembers once something did not fit. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t version;
    bool bad;
};

static uint64_t get_le(const uint8_t *at, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

static uint64_t get(struct reader *r, size_t bytes)
{
    if (r->bad || (size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return 0;
    }
    uint64_t v = get_le(r->at, bytes);
    r->at += bytes;
    return v;
}

static uint64_t get_inode(struct reader *r)
{
    return r->version < RECORD_VERSION_INODE ? 0 : get(r, 8);
}

/* A number that must be below LIMIT: an enumerator. */
static unsigned get_enum(struct reader *r, unsigned limit)
{
    uint64_t v = get(r, 1);

    if (v >= limit) {
        r->bad = true;
        return 0;
    }
    return (unsigned)v;
}

static bool get_bool(struct reader *r)
{
    return get_enum(r, 2) != 0;
}

static void get_str(struct reader *r, char *buf, size_t size)
{
    size_t n = (size_t)get(r, 2);

    if (r->bad || n >= size || (size_t)(r->end - r->at) < n || memchr(r->at, '\0', n)) {
        r->bad = true;
        buf[0] = '\0';
        return;
    }
    memcpy(buf, r->at, n);
    buf[n] = '\0';
    r->at += n;
}

static struct svc_stop_params get_stop(struct reader *r)
{
    struct svc_stop_params stop = {.signal = (int32_t)get(r, 4)};

    stop.kill_mode = (enum kill_mode)get_enum(r, KILL_MODE_MIXED + 1);
    stop.timeout = (int64_t)get(r, 8);
    if (stop.signal < 1 || stop.signal > 64 || stop.timeout < 0)
        r->bad = true;
    return stop;
}

static struct timestamp get_time(struct reader *r)
{
    struct timestamp t = {.mono = (int64_t)get(r, 8)};

    t.wall = (int64_t)get(r, 8);
    return t;
}

static bool get_name(struct reader *r, char *name)
{
    get_str(r, name, NAME_MAX_SIZE);
    if (!r->bad && name[0] == '\0')
        r->bad = true;
    return !r->bad;
}

/* A removed service's entry stays in the table until the end of the file: it may come back. */
struct entry {
    struct svc_image image;
    bool removed;
    bool known; /* a SERVICE or SPAWN record was read since it was made or removed */
    UT_hash_handle hh;
};

static struct entry *table_get(struct entry **table, const char *name)
{
    struct entry *e;

    HASH_FIND_STR(*table, name, e);
    if (e)
        return e;
    e = xcalloc(1, sizeof *e);
    strcpy(e->image.name, name); /* get_name() bounded it by the same size */
    HASH_ADD_STR(*table, image.name, e);
    return e;
}

static void forget(struct entry *e)
{
    memset(&e->image.svc, 0, sizeof e->image.svc);
    e->image.has_process = false;
    e->known = false;
}

static void replay_header(struct replay *replay, struct entry **table, struct reader *r)
{
    struct epoch epoch;

    memset(&epoch, 0, sizeof epoch);
    get_str(r, epoch.boot_id, sizeof epoch.boot_id);
    epoch.pidns = get(r, 8);
    epoch.init_start = get(r, 8);
    if (r->bad)
        return;
    if (replay->has_epoch && !epoch_equal(&replay->epoch, &epoch)) {
        /* What stands before belongs to another epoch: those processes are gone. */
        for (struct entry *e = *table; e; e = e->hh.next) {
            forget(e);
            e->removed = true;
        }
        replay->shutdown = false;
    }
    replay->has_epoch = true;
    replay->epoch = epoch;
}

static void replay_spawn(struct entry **table, struct reader *r)
{
    char name[NAME_MAX_SIZE];
    struct svc_proc proc = {.pid = (int32_t)get(r, 4)};

    proc.start_ticks = get(r, 8);
    proc.inode = get_inode(r);
    get_enum(r, ROLE_SERVICE + 1);
    get_name(r, name);
    uint64_t life = get(r, 8);
    uint64_t restarts = get(r, 8);
    uint32_t row = (uint32_t)get(r, 4);
    bool desired_up = get_bool(r);
    proc.digest = get(r, 8);
    proc.stop = get_stop(r);
    struct timestamp started = get_time(r);
    if (r->bad || proc.pid <= 0)
        return;

    struct entry *e = table_get(table, name);
    struct svc *svc = &e->image.svc;
    if (e->known && life < svc->life)
        return;
    if (!e->known)
        svc->desired_up = desired_up;
    e->known = true;
    e->removed = false;
    if (svc->life != life) {
        memset(&svc->proc, 0, sizeof svc->proc);
        svc->life = life;
        svc->state = SVC_STARTING;
        svc->since = started;
        svc->ended = false;
        svc->exit_pre_exec = false;
        svc->next_is_restart = false;
        svc->idle = false;
        svc->deadline = 0;
        svc->stop_phase = STOP_NONE;
        svc->reason[0] = '\0';
        svc->restarts = restarts;
        svc->row = row;
        svc->started = started;
    }
    if (svc->ended)
        return;
    if (svc->proc.pid == proc.pid)
        proc.stop = svc->proc.stop; /* a newer configuration may have changed it meanwhile */
    svc->proc = proc;
    svc->group = proc.pid;
    e->image.has_process = true;
}

static void replay_service(struct entry **table, struct reader *r)
{
    char name[NAME_MAX_SIZE];
    struct svc svc;

    memset(&svc, 0, sizeof svc);
    get_name(r, name);
    svc.state = (enum svc_state)get_enum(r, SVC_N_STATES);
    svc.desired_up = get_bool(r);
    svc.ended = get_bool(r);
    svc.exit_pre_exec = get_bool(r);
    svc.next_is_restart = get_bool(r);
    svc.life = get(r, 8);
    svc.restarts = get(r, 8);
    svc.row = (uint32_t)get(r, 4);
    svc.since = get_time(r);
    svc.started = get_time(r);
    svc.deadline = (int64_t)get(r, 8);
    svc.ended_at = (int64_t)get(r, 8);
    svc.proc.pid = (int32_t)get(r, 4);
    svc.proc.start_ticks = get(r, 8);
    svc.proc.inode = get_inode(r);
    svc.proc.digest = get(r, 8);
    svc.proc.stop.signal = (int32_t)get(r, 4);
    svc.proc.stop.kill_mode = (enum kill_mode)get_enum(r, KILL_MODE_MIXED + 1);
    svc.proc.stop.timeout = (int64_t)get(r, 8);
    svc.group = (int32_t)get(r, 4);
    svc.stop_phase = (enum svc_stop_phase)get_enum(r, STOP_KILLED + 1);
    svc.stop_cause = (enum svc_stop_cause)get_enum(r, STOP_OF_LEFTOVERS + 1);
    svc.exit.how = (enum exit_how)get_enum(r, EXIT_HOW_UNKNOWN + 1);
    svc.exit.code = (int32_t)get(r, 4);
    svc.exit.signal = (int32_t)get(r, 4);
    svc.exit.core = get_bool(r);
    svc.exit.source = (enum exit_source)get_enum(r, EXIT_SOURCE_PTRACE + 1);
    svc.exit.at = (int64_t)get(r, 8);
    get_str(r, svc.reason, sizeof svc.reason);
    svc.idle = r->version >= RECORD_VERSION_IDLE && get_bool(r);
    if (r->bad)
        return;

    struct entry *e = table_get(table, name);
    bool same_life = e->known && e->image.svc.life == svc.life;
    if (same_life && svc.proc.start_ticks == 0)
        svc.proc.start_ticks = e->image.svc.proc.start_ticks;
    if (same_life && svc.proc.inode == 0)
        svc.proc.inode = e->image.svc.proc.inode;
    if (svc.ended) {
        e->image.has_process = false;
    } else if (svc.proc.pid > 0 && svc.proc.start_ticks != 0) {
        e->image.has_process = true;
    } else if (same_life && e->image.has_process) {
        /* Written before the child's own record of this life was known to us. */
        svc.proc = e->image.svc.proc;
        svc.group = e->image.svc.group;
    } else {
        e->image.has_process = false;
    }
    e->image.svc = svc;
    e->known = true;
    e->removed = false;
}

static void replay_removed(struct entry **table, struct reader *r)
{
    char name[NAME_MAX_SIZE];

    if (!get_name(r, name))
        return;
    struct entry *e = table_get(table, name);
    forget(e);
    e->removed = true;
}

static void replay_record(struct replay *replay, struct entry **table, const uint8_t *record, size_t len)
{
    struct reader r = {.at = record + HEAD_SIZE, .end = record + len, .version = record[7]};

    replay->records++;
    if (r.version == 0 || r.version > RECORD_VERSION) {
        replay->newer = true;
        return;
    }
    switch (record[6]) {
    case RECORD_HEADER:
        replay_header(replay, table, &r);
        break;
    case RECORD_SPAWN:
        replay_spawn(table, &r);
        break;
    case RECORD_SERVICE:
        replay_service(table, &r);
        break;
    case RECORD_REMOVED:
        replay_removed(table, &r);
        break;
    case RECORD_SHUTDOWN:
        replay->shutdown = true;
        break;
    default:
        replay->newer = true;
        return;
    }
    if (r.bad)
        replay->damaged++;
}

/* The length of the whole record at AT, 0 when none begins there. */
static size_t record_at(const uint8_t *at, size_t left)
{
    static const uint8_t zero[4];

    if (left < HEAD_SIZE || get_le(at, 4) != RECORD_MAGIC)
        return 0;
    size_t len = (size_t)get_le(at + 4, 2);
    if (len < HEAD_SIZE || len > left || len > RECORD_MAX)
        return 0;
    uint32_t crc = crc32_update(0, at, CRC_OFFSET);
    crc = crc32_update(crc, zero, 4);
    crc = crc32_update(crc, at + HEAD_SIZE, len - HEAD_SIZE);
    return crc == get_le(at + CRC_OFFSET, 4) ? len : 0;
}

static int compare_images(const void *a, const void *b)
{
    return strcmp((*(struct svc_image *const *)a)->name, (*(struct svc_image *const *)b)->name);
}

struct replay *replay_new(const uint8_t *data, size_t len)
{
    struct replay *replay = xcalloc(1, sizeof *replay);
    struct entry *table = NULL;
    bool in_damage = false;

    for (size_t at = 0; at < len;) {
        size_t n = record_at(data + at, len - at);

        if (n == 0) {
            replay->skipped++;
            replay->damaged += !in_damage;
            in_damage = true;
            at++;
            continue;
        }
        in_damage = false;
        replay_record(replay, &table, data + at, n);
        at += n;
    }

    replay->images = xcalloc(HASH_COUNT(table) + 1, sizeof *replay->images);
    struct entry *e;
    struct entry *tmp;
    HASH_ITER(hh, table, e, tmp)
    {
        HASH_DEL(table, e);
        if (e->removed) {
            free(e);
            continue;
        }
        if (!e->image.has_process)
            e->image.svc.proc.pid = 0; /* a number that no child has vouched for */
        /* Nor is a group without the start time of its leader: the number may be somebody else's by now. */
        if (!e->image.has_process && (!e->image.svc.ended || e->image.svc.proc.start_ticks == 0))
            e->image.svc.group = 0;
        replay->images[replay->n++] = &e->image;
    }
    qsort(replay->images, replay->n, sizeof *replay->images, compare_images);
    return replay;
}

void replay_free(struct replay *replay)
{
    if (!replay)
        return;
    for (size_t i = 0; i < replay->n; i++)
        free(replay->images[i]);
    free(replay->images);
    free(replay);
}

struct svc_image *replay_find(const struct replay *replay, const char *name)
{
    size_t low = 0;
    size_t high = replay->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int cmp = strcmp(replay->images[mid]->name, name);

        if (cmp == 0)
            return replay->images[mid];
        if (cmp < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
