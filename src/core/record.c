/* SPDX-License-Identifier: MIT */
#include "core/record.h"

#include <string.h>

#include "base/crc32.h"
#include "core/record_format.h"

/* Where the child of a SPAWN record puts its process. */
#define SPAWN_PID_OFFSET HEAD_SIZE
#define SPAWN_TICKS_OFFSET (HEAD_SIZE + 4)
#define SPAWN_INODE_OFFSET (HEAD_SIZE + 12)

struct writer {
    uint8_t *buf;
    size_t len;
};

static void put_u8(struct writer *w, uint8_t v)
{
    w->buf[w->len++] = v;
}

static void put_le(uint8_t *at, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void put_u32(struct writer *w, uint32_t v)
{
    put_le(w->buf + w->len, v, 4);
    w->len += 4;
}

static void put_u64(struct writer *w, uint64_t v)
{
    put_le(w->buf + w->len, v, 8);
    w->len += 8;
}

/* Names and reasons are bounded by their types, so a record cannot outgrow RECORD_MAX. */
static void put_str(struct writer *w, const char *s, size_t max)
{
    size_t n = strnlen(s, max - 1);

    put_le(w->buf + w->len, n, 2);
    memcpy(w->buf + w->len + 2, s, n);
    w->len += 2 + n;
}

static struct writer begin(uint8_t *buf, enum record_type type)
{
    struct writer w = {.buf = buf, .len = 0};

    put_u32(&w, RECORD_MAGIC);
    w.len += 2;
    put_u8(&w, (uint8_t)type);
    put_u8(&w, RECORD_VERSION);
    put_u32(&w, 0);
    return w;
}

/* Only what may run between fork and exec. */
static void seal(uint8_t *buf, size_t len)
{
    put_le(buf + 4, len, 2);
    put_le(buf + CRC_OFFSET, 0, 4);
    put_le(buf + CRC_OFFSET, crc32_update(0, buf, len), 4);
}

static size_t finish(struct writer *w)
{
    seal(w->buf, w->len);
    return w->len;
}

static void put_stop(struct writer *w, const struct svc_stop_params *stop)
{
    put_u32(w, (uint32_t)stop->signal);
    put_u8(w, (uint8_t)stop->kill_mode);
    put_u64(w, (uint64_t)stop->timeout);
}

static void put_time(struct writer *w, struct timestamp t)
{
    put_u64(w, (uint64_t)t.mono);
    put_u64(w, (uint64_t)t.wall);
}

static void put_exit(struct writer *w, const struct exit_info *exit)
{
    put_u8(w, (uint8_t)exit->how);
    put_u32(w, (uint32_t)exit->code);
    put_u32(w, (uint32_t)exit->signal);
    put_u8(w, (uint8_t)(exit->core | exit->oom << 1));
    put_u8(w, (uint8_t)exit->source);
    put_u64(w, (uint64_t)exit->at);
}

static void put_control(struct writer *w, const struct svc_control *control)
{
    put_u8(w, (uint8_t)control->role);
    put_u32(w, control->number);
    put_u32(w, (uint32_t)control->pid);
    put_u64(w, control->start_ticks);
    put_u64(w, control->inode);
    put_u8(w, control->ended);
    put_exit(w, &control->exit);
}

static void put_check(struct writer *w, const struct svc_check *check)
{
    put_u8(w, (uint8_t)check->role);
    put_u32(w, check->number);
    put_u32(w, (uint32_t)check->pid);
    put_u64(w, check->start_ticks);
    put_u64(w, check->inode);
    put_u8(w, check->ended);
}

size_t record_encode_header(uint8_t *buf, const struct epoch *epoch)
{
    struct writer w = begin(buf, RECORD_HEADER);

    put_str(&w, epoch->boot_id, sizeof epoch->boot_id);
    put_u64(&w, epoch->pidns);
    put_u64(&w, epoch->init_start);
    return finish(&w);
}

size_t record_encode_removed(uint8_t *buf, const char *name)
{
    struct writer w = begin(buf, RECORD_REMOVED);

    put_str(&w, name, NAME_MAX_SIZE);
    return finish(&w);
}

size_t record_encode_shutdown(uint8_t *buf)
{
    struct writer w = begin(buf, RECORD_SHUTDOWN);

    return finish(&w);
}

size_t record_encode_scale(uint8_t *buf, const struct scale *scale)
{
    struct writer w = begin(buf, RECORD_SCALE);

    put_str(&w, scale->name, NAME_MAX_SIZE);
    put_u32(&w, scale->written);
    put_u32(&w, scale->count);
    return finish(&w);
}

size_t record_encode_kept(uint8_t *buf, const char *name, const struct kept_fd *kept)
{
    struct writer w = begin(buf, RECORD_KEPT);

    put_str(&w, name, NAME_MAX_SIZE);
    put_u32(&w, kept->slot);
    put_u8(&w, kept->no_poll);
    put_u64(&w, kept->dev);
    put_u64(&w, kept->ino);
    put_u32(&w, kept->access);
    put_str(&w, kept->name, sizeof kept->name);
    return finish(&w);
}

size_t record_encode_essential(uint8_t *buf, const struct essential_end *end)
{
    struct writer w = begin(buf, RECORD_ESSENTIAL);

    put_str(&w, end->name, NAME_MAX_SIZE);
    put_u8(&w, (uint8_t)end->status);
    return finish(&w);
}

size_t record_encode_event(uint8_t *buf, const char *rule, const struct event_note *note)
{
    struct writer w = begin(buf, RECORD_EVENT);

    put_str(&w, rule, NAME_MAX_SIZE);
    put_u64(&w, note->number);
    put_u8(&w, (uint8_t)note->kind);
    put_str(&w, note->service, NAME_MAX_SIZE);
    put_u64(&w, note->life);
    put_u8(&w, (uint8_t)note->from);
    put_u8(&w, (uint8_t)note->state);
    put_u64(&w, note->restarts);
    put_exit(&w, &note->exit);
    put_u64(&w, (uint64_t)note->at);
    put_u64(&w, note->left_out);
    put_u8(&w, note->is_left_out);
    put_u64(&w, (uint64_t)note->since);
    put_u32(&w, note->used);
    put_str(&w, note->reason, sizeof note->reason);
    return finish(&w);
}

size_t record_encode_events(uint8_t *buf, const char *rule, const struct event_cursor *cursor)
{
    struct writer w = begin(buf, RECORD_EVENTS);

    put_str(&w, rule, NAME_MAX_SIZE);
    put_u64(&w, cursor->last);
    put_u64(&w, cursor->taken);
    put_u64(&w, cursor->life);
    put_u64(&w, (uint64_t)cursor->since);
    put_u32(&w, cursor->used);
    put_u64(&w, cursor->left_out);
    return finish(&w);
}

/* Main processes have none, and tell how many control processes there were before. */
static uint32_t number_of(const struct svc *svc, enum svc_role role)
{
    const struct svc_rare *rare = svc_rare(svc);

    if (role == ROLE_CHECK || role == ROLE_UNHEALTHY)
        return rare->check.number;
    return role == ROLE_SERVICE ? rare->controls : rare->control.number;
}

size_t record_encode_spawn(uint8_t *buf, enum svc_role role, const char *name, const struct svc *svc, uint64_t digest,
                           const struct svc_stop_params *stop, struct timestamp now)
{
    struct writer w = begin(buf, RECORD_SPAWN);

    put_u32(&w, 0); /* pid, start ticks and inode: record_finish_spawn() */
    put_u64(&w, 0);
    put_u64(&w, 0);
    put_u8(&w, (uint8_t)role);
    put_str(&w, name, NAME_MAX_SIZE);
    put_u64(&w, svc->life);
    put_u64(&w, svc->restarts);
    put_u32(&w, svc->row);
    put_u8(&w, svc->desired_up);
    put_u64(&w, digest);
    put_stop(&w, stop);
    put_time(&w, now);
    put_u32(&w, number_of(svc, role));
    put_u8(&w, (uint8_t)svc->type);
    put_u8(&w, (uint8_t)svc->todo);
    return finish(&w);
}

void record_finish_spawn(uint8_t *buf, size_t len, int32_t pid, uint64_t start_ticks, uint64_t inode)
{
    put_le(buf + SPAWN_PID_OFFSET, (uint32_t)pid, 4);
    put_le(buf + SPAWN_TICKS_OFFSET, start_ticks, 8);
    put_le(buf + SPAWN_INODE_OFFSET, inode, 8);
    seal(buf, len);
}

/* A shutdown has a record of its own, and without that it does not outlive us: then the service just goes on. */
static bool held_by_shutdown(const struct svc *svc)
{
    return svc->stop_held && svc->shutting_down;
}

size_t record_encode_service(uint8_t *buf, const char *name, const struct svc *svc)
{
    const struct svc_rare *rare = svc_rare(svc);
    struct writer w = begin(buf, RECORD_SERVICE);

    put_str(&w, name, NAME_MAX_SIZE);
    put_u8(&w, (uint8_t)svc->state);
    put_u8(&w, svc->desired_up);
    put_u8(&w, svc->ended);
    put_u8(&w, svc->exit_pre_exec);
    put_u8(&w, svc->next_is_restart);
    put_u64(&w, svc->life);
    put_u64(&w, svc->restarts);
    put_u32(&w, svc->row);
    put_time(&w, svc->since);
    put_time(&w, svc->started);
    put_u64(&w, (uint64_t)svc->deadline);
    put_u64(&w, (uint64_t)svc->ended_at);
    put_u32(&w, (uint32_t)svc->proc.pid);
    put_u64(&w, svc->proc.start_ticks);
    put_u64(&w, svc->proc.inode);
    put_u64(&w, svc->proc.digest);
    put_stop(&w, &svc->proc.stop);
    put_u32(&w, (uint32_t)svc->group);
    put_u8(&w, (uint8_t)svc->stop_phase);
    put_u8(&w, (uint8_t)svc->stop_cause);
    put_exit(&w, &svc->exit);
    put_str(&w, held_by_shutdown(svc) ? "" : rare->reason, sizeof rare->reason);
    put_u8(&w, svc->idle);
    put_u8(&w, (uint8_t)svc->type);
    put_u8(&w, (uint8_t)svc->todo);
    put_u8(&w, svc->began);
    put_u8(&w, (uint8_t)svc->result);
    put_u64(&w, svc->group_start);
    put_u32(&w, rare->controls);
    put_control(&w, &rare->control);
    put_u8(&w, svc->ready_lost);
    put_u8(&w, (uint8_t)svc->told);
    put_u8(&w, svc->stop_held && !held_by_shutdown(svc));
    put_u64(&w, (uint64_t)rare->watchdog);
    put_time(&w, rare->due);
    put_u8(&w, svc->moved);
    put_u8(&w, (uint8_t)rare->health.state);
    put_u8(&w, svc->alarm);
    put_u32(&w, rare->checks);
    put_check(&w, &rare->check);
    return finish(&w);
}

bool epoch_equal(const struct epoch *a, const struct epoch *b)
{
    return strcmp(a->boot_id, b->boot_id) == 0 && a->pidns == b->pidns && a->init_start == b->init_start;
}
