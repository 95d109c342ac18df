/* SPDX-License-Identifier: MIT */
#include "core/record_read.h"

#include <string.h>

uint64_t record_get_le(const uint8_t *at, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

uint64_t record_get(struct reader *r, size_t bytes)
{
    if (r->bad || (size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return 0;
    }
    uint64_t v = record_get_le(r->at, bytes);
    r->at += bytes;
    return v;
}

static uint64_t get_inode(struct reader *r)
{
    return r->version < RECORD_VERSION_INODE ? 0 : record_get(r, 8);
}

/* A number that must be below LIMIT: an enumerator. */
static unsigned get_enum(struct reader *r, unsigned limit)
{
    uint64_t v = record_get(r, 1);

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

void record_get_str(struct reader *r, char *buf, size_t size)
{
    size_t n = (size_t)record_get(r, 2);

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
    struct svc_stop_params stop = {.signal = (int32_t)record_get(r, 4)};

    stop.kill_mode = (enum kill_mode)get_enum(r, KILL_MODE_N);
    stop.timeout = (int64_t)record_get(r, 8);
    if (stop.signal < 1 || stop.signal > 64 || stop.timeout < 0)
        r->bad = true;
    return stop;
}

static struct timestamp get_time(struct reader *r)
{
    struct timestamp t = {.mono = (int64_t)record_get(r, 8)};

    t.wall = (int64_t)record_get(r, 8);
    return t;
}

bool record_get_name(struct reader *r, char *name)
{
    record_get_str(r, name, NAME_MAX_SIZE);
    if (!r->bad && name[0] == '\0')
        r->bad = true;
    return !r->bad;
}

bool record_read_spawn(struct reader *r, struct spawn *spawn)
{
    *spawn = (struct spawn){.proc.pid = (int32_t)record_get(r, 4)};
    spawn->proc.start_ticks = record_get(r, 8);
    spawn->proc.inode = get_inode(r);
    spawn->role = (enum svc_role)get_enum(r, ROLE_N);
    record_get_name(r, spawn->name);
    spawn->life = record_get(r, 8);
    spawn->restarts = record_get(r, 8);
    spawn->row = (uint32_t)record_get(r, 4);
    spawn->desired_up = get_bool(r);
    spawn->proc.digest = record_get(r, 8);
    spawn->proc.stop = get_stop(r);
    spawn->started = get_time(r);
    if (r->version >= RECORD_VERSION_CONTROL) {
        spawn->number = (uint32_t)record_get(r, 4);
        spawn->type = (enum service_type)get_enum(r, TYPE_N);
        spawn->todo = get_enum(r, TODO_ALL + 1);
    }
    return !r->bad && spawn->proc.pid > 0 && spawn->proc.start_ticks != 0;
}

static void get_exit(struct reader *r, struct exit_info *exit)
{
    exit->how = (enum exit_how)get_enum(r, EXIT_HOW_UNKNOWN + 1);
    exit->code = (int32_t)record_get(r, 4);
    exit->signal = (int32_t)record_get(r, 4);
    unsigned flags = get_enum(r, 4);
    exit->core = flags & 1;
    exit->oom = flags & 2;
    exit->source = (enum exit_source)get_enum(r, EXIT_SOURCE_PTRACE + 1);
    exit->at = (int64_t)record_get(r, 8);
}

static void get_control(struct reader *r, struct svc_control *control)
{
    control->role = (enum svc_role)get_enum(r, ROLE_CHECK);
    control->number = (uint32_t)record_get(r, 4);
    control->pid = (int32_t)record_get(r, 4);
    control->start_ticks = record_get(r, 8);
    control->inode = record_get(r, 8);
    control->ended = get_bool(r);
    get_exit(r, &control->exit);
}

static void get_check(struct reader *r, struct svc_check *check)
{
    check->role = (enum svc_role)get_enum(r, ROLE_N);
    if (check->role != ROLE_SERVICE && check->role < ROLE_CHECK)
        r->bad = true;
    check->number = (uint32_t)record_get(r, 4);
    check->pid = (int32_t)record_get(r, 4);
    check->start_ticks = record_get(r, 8);
    check->inode = record_get(r, 8);
    check->ended = get_bool(r);
}

/* What records have since version 4; older ones are of simple services. */
static void get_later_members(struct reader *r, struct svc *svc)
{
    if (r->version < RECORD_VERSION_CONTROL) {
        svc->began = svc->proc.pid > 0 || svc->ended;
        svc->group_start = svc->group == 0 ? 0 : svc->proc.start_ticks;
        return;
    }
    svc->type = (enum service_type)get_enum(r, TYPE_N);
    svc->todo = get_enum(r, TODO_ALL + 1);
    svc->began = get_bool(r);
    svc->result = (enum svc_result)get_enum(r, RESULT_N);
    svc->group_start = record_get(r, 8);
    svc->rare.controls = (uint32_t)record_get(r, 4);
    get_control(r, &svc->rare.control);
    if (r->version < RECORD_VERSION_READY)
        return;
    svc->ready_lost = get_bool(r);
    svc->told = (enum svc_told)get_enum(r, TOLD_N);
    svc->stop_held = r->version >= RECORD_VERSION_HELD && get_bool(r);
    if (r->version < RECORD_VERSION_WATCHDOG)
        return;
    svc->rare.watchdog = (int64_t)record_get(r, 8);
    if (svc->rare.watchdog < SVC_WATCHDOG_UNKNOWN)
        r->bad = true;
    if (r->version >= RECORD_VERSION_SCHEDULE)
        svc->rare.due = get_time(r);
    svc->moved = r->version >= RECORD_VERSION_MOVED && get_bool(r);
    if (r->version < RECORD_VERSION_HEALTH)
        return;
    svc->rare.health.state = (enum health_state)get_enum(r, HEALTH_N);
    svc->alarm = get_bool(r);
    svc->rare.checks = (uint32_t)record_get(r, 4);
    get_check(r, &svc->rare.check);
}

void record_read_service(struct reader *r, struct svc *svc)
{
    memset(svc, 0, sizeof *svc);
    svc->state = (enum svc_state)get_enum(r, SVC_N_STATES);
    svc->desired_up = get_bool(r);
    svc->ended = get_bool(r);
    svc->exit_pre_exec = get_bool(r);
    svc->next_is_restart = get_bool(r);
    svc->life = record_get(r, 8);
    svc->restarts = record_get(r, 8);
    svc->row = (uint32_t)record_get(r, 4);
    svc->since = get_time(r);
    svc->started = get_time(r);
    svc->deadline = (int64_t)record_get(r, 8);
    svc->ended_at = (int64_t)record_get(r, 8);
    svc->proc.pid = (int32_t)record_get(r, 4);
    svc->proc.start_ticks = record_get(r, 8);
    svc->proc.inode = get_inode(r);
    svc->proc.digest = record_get(r, 8);
    svc->proc.stop.signal = (int32_t)record_get(r, 4);
    svc->proc.stop.kill_mode = (enum kill_mode)get_enum(r, KILL_MODE_N);
    svc->proc.stop.timeout = (int64_t)record_get(r, 8);
    svc->group = (int32_t)record_get(r, 4);
    svc->stop_phase = (enum svc_stop_phase)get_enum(r, STOP_POST + 1);
    svc->stop_cause = (enum svc_stop_cause)get_enum(r, STOP_BY_FAILURE + 1);
    get_exit(r, &svc->exit);
    record_get_str(r, svc->rare.reason, sizeof svc->rare.reason);
    svc->idle = r->version >= RECORD_VERSION_IDLE && get_bool(r);
    get_later_members(r, svc);
}

void record_read_event(struct reader *r, struct event_note *note)
{
    memset(note, 0, sizeof *note);
    note->number = record_get(r, 8);
    note->kind = (enum event_kind)get_enum(r, EVENT_N_KINDS);
    record_get_str(r, note->service, sizeof note->service);
    note->life = record_get(r, 8);
    note->from = (enum svc_state)get_enum(r, SVC_N_STATES);
    note->state = (enum svc_state)get_enum(r, SVC_N_STATES);
    note->restarts = record_get(r, 8);
    get_exit(r, &note->exit);
    note->at = (int64_t)record_get(r, 8);
    note->left_out = record_get(r, 8);
    note->is_left_out = get_bool(r);
    note->since = (int64_t)record_get(r, 8);
    note->used = (uint32_t)record_get(r, 4);
    record_get_str(r, note->reason, sizeof note->reason);
}

void record_read_events(struct reader *r, struct event_cursor *cursor)
{
    memset(cursor, 0, sizeof *cursor);
    cursor->last = record_get(r, 8);
    cursor->taken = record_get(r, 8);
    cursor->life = record_get(r, 8);
    cursor->since = (int64_t)record_get(r, 8);
    cursor->used = (uint32_t)record_get(r, 4);
    cursor->left_out = record_get(r, 8);
}
