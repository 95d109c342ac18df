/* SPDX-License-Identifier: MIT */
/*
 * Replaying the state file: the reading half of core/record.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/instance.h"
#include "core/record.h"
#include "core/record_read.h"

/* A removed service's entry stays in the table until the end of the file: it may come back. */
struct entry {
    struct svc_image image;
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
    strcpy(e->image.name, name); /* record_get_name() bounded it by the same size */
    HASH_ADD_STR(*table, image.name, e);
    return e;
}

static void forget(struct entry *e)
{
    memset(&e->image.svc, 0, sizeof e->image.svc);
    e->image.has_process = false;
    e->image.has_control = false;
    free(e->image.kept);
    e->image.kept = NULL;
    e->image.n_kept = 0;
    e->image.has_check = false;
    e->known = false;
}

static void replay_header(struct replay *replay, struct entry **table, struct reader *r)
{
    struct epoch epoch;

    memset(&epoch, 0, sizeof epoch);
    record_get_str(r, epoch.boot_id, sizeof epoch.boot_id);
    epoch.pidns = record_get(r, 8);
    epoch.init_start = record_get(r, 8);
    if (r->bad)
        return;
    if (replay->has_epoch && !epoch_equal(&replay->epoch, &epoch)) {
        /* What stands before belongs to another epoch: those processes are gone. */
        for (struct entry *e = *table; e; e = e->hh.next)
            forget(e);
        replay->shutdown = false;
        replay->essential.name[0] = '\0';
        replay->n_scales = 0;
        replay_forget_events(replay, NULL);
    }
    replay->has_epoch = true;
    replay->epoch = epoch;
}

/* The first process of a life begins it. */
static void begin_life(struct svc *svc, const struct spawn *spawn)
{
    memset(&svc->proc, 0, sizeof svc->proc);
    memset(&svc->rare.control, 0, sizeof svc->rare.control);
    memset(&svc->rare.check, 0, sizeof svc->rare.check);
    svc->rare.checks = 0;
    svc->alarm = false;
    svc->rare.health = (struct health_counts){.state = HEALTH_STARTING};
    svc->proc.stop = spawn->proc.stop;
    svc->life = spawn->life;
    svc->state = SVC_STARTING;
    svc->since = spawn->started;
    svc->ended = false;
    svc->exit_pre_exec = false;
    svc->next_is_restart = false;
    svc->idle = false;
    svc->deadline = 0;
    svc->stop_phase = STOP_NONE;
    svc->stop_held = false;
    svc->rare.reason[0] = '\0';
    svc->restarts = spawn->restarts;
    svc->row = spawn->row;
    svc->started = spawn->started;
    svc->type = spawn->type;
    svc->todo = spawn->todo;
    svc->rare.controls = 0;
    svc->result = RESULT_NONE;
    svc->ready_lost = false;
    svc->told = TOLD_NOTHING;
    svc->rare.watchdog = SVC_WATCHDOG_UNKNOWN;
    svc->moved = false;
    svc->group = 0;
    svc->group_start = 0;
}

static void take_main(struct svc_image *image, const struct spawn *spawn)
{
    struct svc *svc = &image->svc;
    struct svc_stop_params stop = svc->proc.stop;
    bool known = svc->proc.pid == spawn->proc.pid;

    if (svc->ended)
        return;
    if (svc->rare.controls < spawn->number)
        svc->rare.controls = spawn->number;
    if (svc->rare.control.role == ROLE_PRE_START) {
        /* It is over, or this one would not be there. */
        memset(&svc->rare.control, 0, sizeof svc->rare.control);
        image->has_control = false;
    }
    svc->began = true;
    svc->proc = spawn->proc;
    if (known)
        svc->proc.stop = stop; /* a newer configuration may have changed it meanwhile */
    else
        svc->rare.watchdog = SVC_WATCHDOG_UNKNOWN;
    svc->todo &= ~(unsigned)(TODO_PRE_START | TODO_START);
    svc->group = spawn->proc.pid;
    svc->group_start = spawn->proc.start_ticks;
    image->has_process = true;
}

/* As far as this its life had come, whatever supd could not record of that: the disk may have been full. */
static void come_to_role(struct svc *svc, enum svc_role role)
{
    switch (role) {
    case ROLE_START:
        svc->todo &= ~(unsigned)(TODO_PRE_START | TODO_START);
        return;
    case ROLE_POST_START:
        svc->todo &= ~(unsigned)(TODO_PRE_START | TODO_START | TODO_READY);
        return;
    case ROLE_RELOAD:
        if (svc->state == SVC_STARTING)
            svc->state = SVC_RUNNING;
        svc->todo = 0;
        return;
    case ROLE_STOP:
        if (svc->state != SVC_STOPPING)
            svc->stop_cause = STOP_BY_COMMAND;
        svc->state = SVC_STOPPING;
        if (svc->stop_phase == STOP_NONE)
            svc->stop_phase = STOP_COMMAND;
        return;
    case ROLE_POST_STOP:
        if (svc->state != SVC_STOPPING)
            svc->stop_cause = STOP_OF_LEFTOVERS;
        svc->state = SVC_STOPPING;
        svc->stop_phase = STOP_POST;
        return;
    case ROLE_SERVICE:
    case ROLE_PRE_START:
    case ROLE_CHECK:
    case ROLE_UNHEALTHY:
    case ROLE_N:
        return;
    }
}

/* The start command has ended, or ROLE would not be there: what it started may be in its group.  Behind post-stop's
 * beginning nothing is. */
static void take_group_of_start(struct svc *svc, enum svc_role role)
{
    if (svc->rare.control.role != ROLE_START || role == ROLE_START || role == ROLE_POST_STOP || svc->group != 0)
        return;
    svc->group = svc->rare.control.pid;
    svc->group_start = svc->rare.control.start_ticks != 0 ? svc->rare.control.start_ticks : 1;
}

static void take_control(struct svc_image *image, const struct spawn *spawn)
{
    struct svc *svc = &image->svc;
    struct svc_control *control = &svc->rare.control;

    if (spawn->number < svc->rare.controls || (spawn->number == svc->rare.controls && control->role != spawn->role))
        return; /* that one is done with, and a later snapshot says so */
    if (spawn->number == svc->rare.controls && control->ended)
        return;
    take_group_of_start(svc, spawn->role);
    svc->began = true;
    svc->rare.controls = spawn->number;
    *control = (struct svc_control){
        .role = spawn->role,
        .number = spawn->number,
        .pid = spawn->proc.pid,
        .start_ticks = spawn->proc.start_ticks,
        .inode = spawn->proc.inode,
    };
    image->has_control = true;
    come_to_role(svc, spawn->role);
    if (spawn->role == ROLE_START)
        svc->proc.digest = spawn->proc.digest;
}

static void take_check(struct svc_image *image, const struct spawn *spawn)
{
    struct svc *svc = &image->svc;
    struct svc_check *check = &svc->rare.check;

    if (spawn->number < svc->rare.checks ||
        (spawn->number == svc->rare.checks && (check->role != spawn->role || check->ended)))
        return; /* that one is done with, and a later snapshot says so */
    svc->rare.checks = spawn->number;
    *check = (struct svc_check){
        .role = spawn->role,
        .number = spawn->number,
        .pid = spawn->proc.pid,
        .start_ticks = spawn->proc.start_ticks,
        .inode = spawn->proc.inode,
    };
    image->has_check = true;
    if (spawn->role == ROLE_UNHEALTHY)
        svc->alarm = false;
}

static void replay_spawn(struct entry **table, struct reader *r)
{
    struct spawn spawn;

    if (!record_read_spawn(r, &spawn))
        return;
    struct entry *e = table_get(table, spawn.name);
    struct svc *svc = &e->image.svc;
    if (e->known && spawn.life < svc->life)
        return;
    if (!e->known)
        svc->desired_up = spawn.desired_up;
    e->known = true;
    if (svc->life != spawn.life) {
        begin_life(svc, &spawn);
        e->image.has_process = false;
        e->image.has_control = false;
        e->image.has_check = false;
    }
    if (spawn.role == ROLE_SERVICE)
        take_main(&e->image, &spawn);
    else if (spawn.role == ROLE_CHECK || spawn.role == ROLE_UNHEALTHY)
        take_check(&e->image, &spawn);
    else
        take_control(&e->image, &spawn);
}

/* What the records of the children have told before, and supd itself did not know when it wrote its own. */
static bool merge_main(const struct svc_image *before, struct svc *svc)
{
    if (svc->proc.start_ticks == 0)
        svc->proc.start_ticks = before->svc.proc.start_ticks;
    if (svc->proc.inode == 0)
        svc->proc.inode = before->svc.proc.inode;
    if (svc->group != 0 && svc->group_start == 0 && svc->group == before->svc.group)
        svc->group_start = before->svc.group_start;
    if (svc->ended || (svc->proc.pid > 0 && svc->proc.start_ticks != 0) || !before->has_process)
        return !svc->ended && svc->proc.pid > 0 && svc->proc.start_ticks != 0;
    /* Written before the child's own record of this life was known to us. */
    svc->proc = before->svc.proc;
    svc->rare.watchdog = before->svc.rare.watchdog;
    svc->group = before->svc.group;
    svc->group_start = before->svc.group_start;
    svc->todo &= ~(unsigned)(TODO_PRE_START | TODO_START);
    return true;
}

static bool merge_control(const struct svc_image *before, struct svc *svc)
{
    struct svc_control *control = &svc->rare.control;
    const struct svc_control *old = &before->svc.rare.control;

    if (control->role == ROLE_SERVICE)
        return false;
    if (old->role == control->role && old->number == control->number && control->start_ticks == 0) {
        control->pid = old->pid;
        control->start_ticks = old->start_ticks;
        control->inode = old->inode;
    }
    return !control->ended && control->pid > 0 && control->start_ticks != 0;
}

static bool merge_check(const struct svc_image *before, struct svc *svc)
{
    struct svc_check *check = &svc->rare.check;
    const struct svc_check *old = &before->svc.rare.check;

    if (check->role == ROLE_SERVICE)
        return false;
    if (old->role == check->role && old->number == check->number && check->start_ticks == 0) {
        check->pid = old->pid;
        check->start_ticks = old->start_ticks;
        check->inode = old->inode;
    }
    return !check->ended && check->pid > 0 && check->start_ticks != 0;
}

static void replay_service(struct replay *replay, struct entry **table, struct reader *r)
{
    static const struct svc_image nothing;
    char name[NAME_MAX_SIZE];
    struct svc svc;

    record_get_name(r, name);
    record_read_service(r, &svc);
    if (r->bad)
        return;

    struct entry *e = table_get(table, name);
    const struct svc_image *before = e->known && e->image.svc.life == svc.life ? &e->image : &nothing;
    bool has_process = merge_main(before, &svc);
    bool has_control = merge_control(before, &svc);
    bool has_check = merge_check(before, &svc);
    e->image.svc = svc;
    e->image.has_process = has_process;
    e->image.has_control = has_control;
    e->image.has_check = has_check;
    e->known = true;
    replay_changes_told(replay, name);
}

static void replay_removed(struct replay *replay, struct entry **table, struct reader *r)
{
    char name[NAME_MAX_SIZE];

    if (!record_get_name(r, name))
        return;
    forget(table_get(table, name));
    replay_forget_events(replay, name);
}

static void replay_essential(struct replay *replay, struct reader *r)
{
    struct essential_end end = {0};

    record_get_name(r, end.name);
    end.status = (int)record_get(r, 1);
    if (!r->bad)
        replay->essential = end;
}

/* In place of an earlier one of its section. */
static void replay_scale(struct replay *replay, struct reader *r)
{
    struct scale scale = {0};
    size_t i = 0;

    record_get_name(r, scale.name);
    scale.written = (uint32_t)record_get(r, 4);
    scale.count = (uint32_t)record_get(r, 4);
    if (scale.count > INSTANCES_MAX)
        r->bad = true;
    if (r->bad)
        return;
    while (i < replay->n_scales && strcmp(replay->scales[i].name, scale.name) != 0)
        i++;
    if (i == replay->n_scales)
        replay->scales = xreallocarray(replay->scales, ++replay->n_scales, sizeof *replay->scales);
    replay->scales[i] = scale;
}

static void forget_kept(struct svc_image *image, uint32_t slot)
{
    size_t n = 0;

    for (size_t i = 0; i < image->n_kept; i++) {
        if (image->kept[i].slot != slot)
            image->kept[n++] = image->kept[i];
    }
    image->n_kept = n;
}

/* In place of an earlier one of its slot. */
static void replay_kept(struct entry **table, struct reader *r)
{
    char name[NAME_MAX_SIZE];
    struct kept_fd kept = {0};

    record_get_name(r, name);
    kept.slot = (uint32_t)record_get(r, 4);
    kept.no_poll = record_get(r, 1) != 0;
    kept.dev = record_get(r, 8);
    kept.ino = record_get(r, 8);
    kept.access = (uint32_t)record_get(r, 4);
    record_get_str(r, kept.name, sizeof kept.name);
    if (r->bad || kept.slot >= FD_STORE_MAX)
        return;
    struct svc_image *image = &table_get(table, name)->image;
    forget_kept(image, kept.slot);
    if (kept.name[0] == '\0')
        return;
    image->kept = xreallocarray(image->kept, image->n_kept + 1, sizeof *image->kept);
    image->kept[image->n_kept++] = kept;
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
        replay_service(replay, table, &r);
        break;
    case RECORD_REMOVED:
        replay_removed(replay, table, &r);
        break;
    case RECORD_SHUTDOWN:
        replay->shutdown = true;
        break;
    case RECORD_KEPT:
        replay_kept(table, &r);
        break;
    case RECORD_ESSENTIAL:
        replay_essential(replay, &r);
        break;
    case RECORD_SCALE:
        replay_scale(replay, &r);
        break;
    case RECORD_EVENT:
        replay_event(replay, &r);
        break;
    case RECORD_EVENTS:
        replay_events(replay, &r);
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

    if (left < HEAD_SIZE || record_get_le(at, 4) != RECORD_MAGIC)
        return 0;
    size_t len = (size_t)record_get_le(at + 4, 2);
    if (len < HEAD_SIZE || len > left || len > RECORD_MAX)
        return 0;
    uint32_t crc = crc32_update(0, at, CRC_OFFSET);
    crc = crc32_update(crc, zero, 4);
    crc = crc32_update(crc, at + HEAD_SIZE, len - HEAD_SIZE);
    return crc == record_get_le(at + CRC_OFFSET, 4) ? len : 0;
}

static int compare_images(const void *a, const void *b)
{
    return strcmp((*(struct svc_image *const *)a)->name, (*(struct svc_image *const *)b)->name);
}

/* A number that no child has vouched for may be anybody's. */
static void believe(struct svc_image *image)
{
    struct svc *svc = &image->svc;

    if (!image->has_process)
        svc->proc.pid = 0;
    if (!image->has_control && (!svc->rare.control.ended || svc->rare.control.start_ticks == 0))
        svc->rare.control.pid = 0;
    if (!image->has_check && (!svc->rare.check.ended || svc->rare.check.start_ticks == 0))
        svc->rare.check.pid = 0;
    /* Nor is a group without the start time of its leader: the number may be somebody else's by now. */
    if (!image->has_process && (svc->group_start == 0 || (!svc->ended && svc->type != TYPE_FORKING)))
        svc->group = 0;
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
        /* What was removed, or is only known to have left something here, is no service. */
        if (!e->known) {
            free(e->image.kept);
            free(e);
            continue;
        }
        believe(&e->image);
        replay->images[replay->n++] = &e->image;
    }
    qsort(replay->images, replay->n, sizeof *replay->images, compare_images);
    return replay;
}

void replay_free(struct replay *replay)
{
    if (!replay)
        return;
    for (size_t i = 0; i < replay->n; i++) {
        free(replay->images[i]->kept);
        free(replay->images[i]);
    }
    free(replay->images);
    replay_forget_events(replay, NULL);
    free(replay->events);
    free(replay->scales);
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
