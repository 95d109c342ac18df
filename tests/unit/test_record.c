/* SPDX-License-Identifier: MIT */
#include "core/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "check_main.h"
#include "core/record_format.h"

#define FILE_RECORDS_MAX 64

/* A state file under construction, with the place of each of its records. */
struct file {
    struct buf bytes;
    size_t at[FILE_RECORDS_MAX + 1];
    size_t n;
};

static struct file file;
static uint8_t record[RECORD_MAX];
static uint64_t seed;

static const struct epoch epoch = {
    .boot_id = "e32bb44c-5fb0-4d52-a08f-b74bcb1ba6de", .pidns = 4026531836, .init_start = 5};
static const struct svc_stop_params stop = {.signal = 15, .kill_mode = KILL_MODE_GROUP, .timeout = 10000000};

static void setup(void)
{
    memset(&file, 0, sizeof file);
    seed = 1;
}

static void teardown(void)
{
    buf_free(&file.bytes);
}

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Where the tests run slower, one of so many rounds is done. */
static unsigned stride(void)
{
    const char *slower = getenv("TEST_SLOWER");

    return slower && atoi(slower) > 1 ? (unsigned)atoi(slower) : 1;
}

static unsigned draw_below(unsigned limit)
{
    return (unsigned)(draw() % limit);
}

static void draw_name(char *name)
{
    static const char letters[] = "abcXYZ012._-";
    size_t len = 1 + draw_below(NAME_MAX_SIZE - 1);

    for (size_t i = 0; i < len; i++)
        name[i] = letters[draw_below(sizeof letters - 1)];
    name[len] = '\0';
}

static struct exit_info draw_exit(void)
{
    return (struct exit_info){
        .how = (enum exit_how)draw_below(EXIT_HOW_UNKNOWN + 1),
        .code = (int32_t)draw(),
        .signal = (int32_t)draw(),
        .core = draw_below(2),
        .oom = draw_below(2),
        .source = (enum exit_source)draw_below(EXIT_SOURCE_PTRACE + 1),
        .at = (int64_t)draw(),
    };
}

static struct svc draw_svc(void)
{
    struct svc svc = {
        .state = (enum svc_state)draw_below(SVC_N_STATES),
        .desired_up = draw_below(2),
        .ended = draw_below(2),
        .exit_pre_exec = draw_below(2),
        .next_is_restart = draw_below(2),
        .life = draw(),
        .restarts = draw(),
        .row = (uint32_t)draw(),
        .since = {.mono = (int64_t)draw(), .wall = (int64_t)draw()},
        .started = {.mono = (int64_t)draw(), .wall = (int64_t)draw()},
        .deadline = (int64_t)draw(),
        .ended_at = (int64_t)draw(),
        .proc = {.pid = (int32_t)draw(),
                 .start_ticks = draw(),
                 .inode = draw(),
                 .digest = draw(),
                 .stop = {.signal = (int32_t)draw(),
                          .kill_mode = (enum kill_mode)draw_below(KILL_MODE_N),
                          .timeout = (int64_t)draw()}},
        .type = (enum service_type)draw_below(TYPE_N),
        .todo = draw_below(TODO_ALL + 1),
        .began = draw_below(2),
        .rare.controls = (uint32_t)draw(),
        .rare.health.state = (enum health_state)draw_below(HEALTH_N),
        .alarm = draw_below(2),
        .rare.checks = (uint32_t)draw(),
        .rare.check = {.role = draw_below(2) ? ROLE_SERVICE : ROLE_CHECK + draw_below(2),
                       .number = (uint32_t)draw(),
                       .pid = (int32_t)draw_below(3),
                       .start_ticks = 1 + draw_below(3),
                       .inode = draw(),
                       .ended = draw_below(2)},
        .rare.control = {.role = (enum svc_role)draw_below(ROLE_CHECK),
                         .number = (uint32_t)draw(),
                         .pid = (int32_t)draw(),
                         .start_ticks = draw(),
                         .inode = draw(),
                         .ended = draw_below(2),
                         .exit = draw_exit()},
        .result = (enum svc_result)draw_below(RESULT_N),
        .group = (int32_t)draw(),
        .group_start = draw(),
        .stop_phase = (enum svc_stop_phase)draw_below(STOP_POST + 1),
        .stop_cause = (enum svc_stop_cause)draw_below(STOP_BY_FAILURE + 1),
        .stop_held = draw_below(2),
        .ready_lost = draw_below(2),
        .told = (enum svc_told)draw_below(TOLD_N),
        .rare.watchdog = (int64_t)(draw() >> 1),
        .moved = draw_below(2),
        .exit = draw_exit(),
    };
    size_t len = draw_below(SVC_REASON_MAX);

    for (size_t i = 0; i < len; i++)
        svc.rare.reason[i] = (char)(1 + draw_below(255));
    return svc;
}

/* ---- building a file ---- */

static void add(size_t len)
{
    ck_assert_uint_lt(file.n, FILE_RECORDS_MAX);
    ck_assert_uint_le(len, RECORD_MAX);
    buf_add(&file.bytes, record, len);
    file.at[++file.n] = file.bytes.len;
}

static void add_header(void)
{
    add(record_encode_header(record, &epoch));
}

static void add_service(const char *name, struct svc svc)
{
    add(record_encode_service(record, name, &svc));
}

static void add_spawn(const char *name, uint64_t life, int32_t pid)
{
    struct svc svc = {.life = life, .restarts = life - 1, .row = 2, .desired_up = true};
    struct timestamp now = {.mono = (int64_t)life * 1000, .wall = (int64_t)life * 2000};
    size_t len = record_encode_spawn(record, ROLE_SERVICE, name, &svc, 77, &stop, now);

    record_finish_spawn(record, len, pid, 1000 + (uint64_t)pid, 5000 + (uint64_t)pid);
    add(len);
}

/* What supd writes of a life that it forked and whose start time it never asked for. */
static struct svc alive(uint64_t life, int32_t pid)
{
    return (struct svc){.state = SVC_RUNNING,
                        .desired_up = true,
                        .life = life,
                        .row = 2,
                        .proc = {.pid = pid, .digest = 77, .stop = stop},
                        .group = pid};
}

static struct svc ended(uint64_t life)
{
    return (struct svc){.state = SVC_BACKOFF,
                        .desired_up = true,
                        .ended = true,
                        .life = life,
                        .row = 3,
                        .deadline = 5000,
                        .exit = {.how = EXIT_HOW_EXITED, .code = 1, .source = EXIT_SOURCE_WAIT},
                        .rare.reason = "exit 1"};
}

/* Made anew with the right sum after the test has changed it. */
static size_t reseal(size_t len)
{
    record[4] = (uint8_t)len;
    record[5] = (uint8_t)(len >> 8);
    memset(record + CRC_OFFSET, 0, 4);
    uint32_t crc = crc32_update(0, record, len);
    for (int i = 0; i < 4; i++)
        record[CRC_OFFSET + i] = (uint8_t)(crc >> (8 * i));
    return len;
}

static struct replay *play(void)
{
    return replay_new((const uint8_t *)file.bytes.data, file.bytes.len);
}

/* The one service of the file, copied; its name is gone after this. */
static struct svc_image play_one(void)
{
    struct replay *replay = play();

    ck_assert_uint_eq(replay->n, 1);
    ck_assert_uint_eq(replay->damaged, 0);
    ck_assert_uint_eq(replay->records, file.n);
    struct svc_image image = *replay->images[0];
    replay_free(replay);
    return image;
}

/* All that a replay says of services, as bytes to compare. */
static struct buf essence(const uint8_t *data, size_t len)
{
    struct replay *replay = replay_new(data, len);
    struct buf out = {0};
    uint8_t one[RECORD_MAX];

    buf_addf(&out, "%d %d %s %d", replay->has_epoch, replay->shutdown, replay->essential.name,
             replay->essential.status);
    buf_add(&out, one, record_encode_header(one, &replay->epoch));
    for (size_t i = 0; i < replay->n; i++) {
        buf_add(&out, one, record_encode_service(one, replay->images[i]->name, &replay->images[i]->svc));
        buf_add_char(&out, replay->images[i]->has_process ? '+' : '-');
        buf_add_char(&out, replay->images[i]->has_control ? '+' : '-');
        buf_add_char(&out, replay->images[i]->has_check ? '+' : '-');
        for (size_t k = 0; k < replay->images[i]->n_kept; k++)
            buf_add(&out, one, record_encode_kept(one, replay->images[i]->name, &replay->images[i]->kept[k]));
    }
    for (size_t i = 0; i < replay->n_scales; i++)
        buf_add(&out, one, record_encode_scale(one, &replay->scales[i]));
    replay_free(replay);
    return out;
}

static void same_essence(const struct buf *got, const struct buf *want, const char *what, size_t where)
{
    ck_assert_msg(got->len == want->len && memcmp(got->data, want->data, got->len) == 0, "%s %zu: other services", what,
                  where);
}

static void same_service(const struct svc *got, const struct svc *want)
{
    uint8_t a[RECORD_MAX];
    uint8_t b[RECORD_MAX];
    size_t len = record_encode_service(a, "x", got);

    ck_assert_uint_eq(len, record_encode_service(b, "x", want));
    ck_assert_mem_eq(a, b, len);
}

/* ---- round trips ---- */

START_TEST(service_round_trip)
{
    for (unsigned i = 0; i < 20000 / stride(); i++) {
        char name[NAME_MAX_SIZE];
        struct svc svc = draw_svc();
        draw_name(name);
        size_t len = record_encode_service(record, name, &svc);
        struct replay *replay = replay_new(record, len);

        ck_assert_uint_eq(replay->records, 1);
        ck_assert_uint_eq(replay->damaged, 0);
        ck_assert_uint_eq(replay->n, 1);
        struct svc_image *image = replay_find(replay, name);
        ck_assert_ptr_nonnull(image);
        ck_assert(image->has_process == (!svc.ended && svc.proc.pid > 0 && svc.proc.start_ticks != 0));
        if (!image->has_process)
            svc.proc.pid = 0;
        if (!image->has_process && !svc.ended && svc.type != TYPE_FORKING)
            svc.group = 0;
        bool some = svc.rare.control.role != ROLE_SERVICE;
        ck_assert(image->has_control == (some && !svc.rare.control.ended && svc.rare.control.pid > 0));
        if (!image->has_control && !svc.rare.control.ended)
            svc.rare.control.pid = 0;
        some = svc.rare.check.role != ROLE_SERVICE;
        ck_assert(image->has_check == (some && !svc.rare.check.ended && svc.rare.check.pid > 0));
        if (!image->has_check && !svc.rare.check.ended)
            svc.rare.check.pid = 0;
        same_service(&image->svc, &svc);
        replay_free(replay);
    }
}
END_TEST

START_TEST(spawn_round_trip)
{
    for (unsigned i = 0; i < 2000 / stride(); i++) {
        char name[NAME_MAX_SIZE];
        struct svc svc = draw_svc();
        struct svc_stop_params how = {.signal = 1 + (int32_t)draw_below(64),
                                      .kill_mode = (enum kill_mode)draw_below(KILL_MODE_N),
                                      .timeout = (int64_t)(draw() >> 1)};
        struct timestamp now = {.mono = (int64_t)draw(), .wall = (int64_t)draw()};
        uint64_t digest = draw();
        draw_name(name);
        svc.life |= 1;
        size_t len = record_encode_spawn(record, ROLE_SERVICE, name, &svc, digest, &how, now);
        record_finish_spawn(record, len, 1 + (int32_t)draw_below(4194304), 99 + draw_below(1000), draw_below(3));
        struct replay *replay = replay_new(record, len);

        ck_assert_uint_eq(replay->n, 1);
        ck_assert_str_eq(replay->images[0]->name, name);
        ck_assert(replay->images[0]->has_process);
        const struct svc *got = &replay->images[0]->svc;
        ck_assert_int_eq(got->state, SVC_STARTING);
        ck_assert_uint_eq(got->life, svc.life);
        ck_assert_uint_eq(got->restarts, svc.restarts);
        ck_assert_uint_eq(got->row, svc.row);
        ck_assert(got->desired_up == svc.desired_up);
        ck_assert_int_eq(got->group, got->proc.pid);
        ck_assert_uint_eq(got->proc.digest, digest);
        ck_assert_int_eq(got->proc.stop.signal, how.signal);
        ck_assert_int_eq(got->proc.stop.kill_mode, how.kill_mode);
        ck_assert_int_eq(got->proc.stop.timeout, how.timeout);
        ck_assert_int_eq(got->started.mono, now.mono);
        ck_assert_int_eq(got->started.wall, now.wall);
        replay_free(replay);
    }
}
END_TEST

static const struct scale five_workers = {.name = "worker", .written = 3, .count = 5};

static const struct essential_end the_end = {.name = "worker@3", .status = 137};

START_TEST(header_and_shutdown_round_trip)
{
    add_header();
    struct replay *replay = play();
    ck_assert(replay->has_epoch && !replay->shutdown);
    ck_assert_str_eq(replay->essential.name, "");
    ck_assert(epoch_equal(&replay->epoch, &epoch));
    struct epoch other = epoch;
    other.init_start++;
    ck_assert(!epoch_equal(&other, &epoch));
    replay_free(replay);

    add(record_encode_shutdown(record));
    add(record_encode_essential(record, &the_end));
    replay = play();
    ck_assert(replay->shutdown);
    ck_assert_str_eq(replay->essential.name, "worker@3");
    ck_assert_int_eq(replay->essential.status, 137);
    ck_assert_uint_eq(replay->n, 0);
    ck_assert_ptr_null(replay_find(replay, "x"));
    replay_free(replay);
}
END_TEST

START_TEST(longest_record_fits)
{
    char name[NAME_MAX_SIZE];
    struct svc svc;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memset(&svc, 0, sizeof svc);
    memset(svc.rare.reason, 'r', sizeof svc.rare.reason - 1);
    ck_assert_uint_le(record_encode_service(record, name, &svc), RECORD_MAX);
    ck_assert_uint_le(record_encode_spawn(record, ROLE_SERVICE, name, &svc, 0, &stop, (struct timestamp){0}),
                      RECORD_MAX);
    ck_assert_uint_le(record_encode_removed(record, name), RECORD_MAX);
    ck_assert_uint_lt(SPEC_NAME_MAX, NAME_MAX_SIZE);
}
END_TEST

/* ---- what a sequence means ---- */

START_TEST(spawn_and_service_of_a_life_in_either_order)
{
    for (int spawn_first = 0; spawn_first < 2; spawn_first++) {
        teardown();
        setup();
        if (spawn_first)
            add_spawn("a", 3, 500);
        struct svc svc = alive(3, 500);
        svc.state = SVC_STOPPING;
        svc.desired_up = false;
        svc.stop_phase = STOP_SIGNALLED;
        svc.proc.stop.timeout = 1;
        add_service("a", svc);
        if (!spawn_first)
            add_spawn("a", 3, 500);

        struct svc_image image = play_one();
        ck_assert(image.has_process);
        ck_assert_int_eq(image.svc.state, SVC_STOPPING);
        ck_assert(!image.svc.desired_up);
        ck_assert_int_eq(image.svc.stop_phase, STOP_SIGNALLED);
        ck_assert_int_eq(image.svc.proc.pid, 500);
        ck_assert_uint_eq(image.svc.proc.start_ticks, 1500);
        ck_assert_uint_eq(image.svc.proc.inode, 5500);
        ck_assert_uint_eq(image.svc.proc.inode, 5500);
        ck_assert_int_eq(image.svc.proc.stop.timeout, 1);
        ck_assert_int_eq(image.svc.group, 500);
    }
}
END_TEST

START_TEST(a_process_that_no_child_vouched_for_is_none)
{
    add_service("a", alive(3, 500));
    struct svc_image image = play_one();
    ck_assert(!image.has_process);
    ck_assert_int_eq(image.svc.proc.pid, 0);
    ck_assert_int_eq(image.svc.group, 0);

    struct svc svc = ended(3);
    svc.group = 500;
    svc.group_start = 1500;
    add_service("a", svc);
    image = play_one();
    ck_assert(!image.has_process);
    ck_assert_msg(image.svc.group == 500, "the group of a recorded end is forgotten");
}
END_TEST

/* Else the leftovers of a child that was killed before it recorded itself would be sought among strangers. */
START_TEST(a_group_without_the_start_of_its_leader_is_nobodys)
{
    struct svc svc = ended(3);

    svc.group = 500;
    add_service("a", svc);
    ck_assert_int_eq(play_one().svc.group, 0);

    add_spawn("a", 4, 600);
    svc = ended(4);
    svc.group = 600;
    add_service("a", svc);
    struct svc_image image = play_one();
    ck_assert_int_eq(image.svc.group, 600);
    ck_assert_uint_eq(image.svc.proc.start_ticks, 1600);
}
END_TEST

START_TEST(spawn_of_a_newer_life_starts_it)
{
    struct svc before = ended(3);
    before.desired_up = false;
    before.group = 500;
    add_service("a", before);
    add_spawn("a", 4, 600);
    struct svc_image image = play_one();
    ck_assert(image.has_process);
    ck_assert_int_eq(image.svc.state, SVC_STARTING);
    ck_assert_uint_eq(image.svc.life, 4);
    ck_assert(!image.svc.ended);
    ck_assert_int_eq(image.svc.deadline, 0);
    ck_assert_int_eq(image.svc.group, 600);
    ck_assert_str_eq(image.svc.rare.reason, "");
    ck_assert_msg(image.svc.exit.code == 1, "the last exit is forgotten");
    ck_assert_msg(!image.svc.desired_up, "what is wanted is supd's to say");
}
END_TEST

START_TEST(spawn_of_an_older_or_ended_life_changes_nothing)
{
    add_service("a", ended(3));
    struct buf want = essence((uint8_t *)file.bytes.data, file.bytes.len);
    add_spawn("a", 2, 400);
    add_spawn("a", 3, 500);
    struct buf got = essence((uint8_t *)file.bytes.data, file.bytes.len);
    same_essence(&got, &want, "record", 2);
    buf_free(&got);
    buf_free(&want);
}
END_TEST

START_TEST(start_time_is_kept_through_later_snapshots)
{
    add_spawn("a", 3, 500);
    add_service("a", alive(3, 500));
    struct svc svc = alive(3, 500);
    svc.row = 0;
    add_service("a", svc);
    struct svc_image image = play_one();
    ck_assert(image.has_process);
    ck_assert_uint_eq(image.svc.proc.start_ticks, 1500);
    ck_assert_uint_eq(image.svc.row, 0);
}
END_TEST

START_TEST(removed_service_may_come_back)
{
    add_service("a", ended(9));
    add(record_encode_removed(record, "a"));
    add(record_encode_removed(record, "never-seen"));
    struct replay *replay = play();
    ck_assert_uint_eq(replay->n, 0);
    replay_free(replay);

    add_spawn("a", 1, 700);
    struct svc_image image = play_one();
    ck_assert(image.has_process);
    ck_assert_uint_eq(image.svc.life, 1);
    ck_assert_int_eq(image.svc.exit.how, EXIT_HOW_NONE);

    add(record_encode_removed(record, "a"));
    add_service("a", (struct svc){.state = SVC_STOPPED});
    image = play_one();
    ck_assert(!image.has_process);
    ck_assert_int_eq(image.svc.state, SVC_STOPPED);
}
END_TEST

START_TEST(header_of_another_epoch_ends_what_stands_before)
{
    struct epoch next = epoch;

    next.init_start = 6;
    add_header();
    add_spawn("a", 1, 500);
    add_spawn("b", 1, 501);
    add(record_encode_shutdown(record));
    add(record_encode_essential(record, &the_end));
    add(record_encode_scale(record, &five_workers));
    add_header();
    struct replay *replay = play();
    ck_assert_uint_eq(replay->n, 2);
    ck_assert(replay->shutdown);
    replay_free(replay);

    add(record_encode_header(record, &next));
    add_spawn("b", 1, 900);
    replay = play();
    ck_assert(epoch_equal(&replay->epoch, &next));
    ck_assert(!replay->shutdown);
    ck_assert_str_eq(replay->essential.name, "");
    ck_assert_uint_eq(replay->n_scales, 0);
    ck_assert_uint_eq(replay->n, 1);
    ck_assert_int_eq(replay_find(replay, "b")->svc.proc.pid, 900);
    ck_assert_ptr_null(replay_find(replay, "a"));
    replay_free(replay);
}
END_TEST

/* The last one of each section counts. */
START_TEST(other_numbers_of_instances)
{
    add_header();
    add(record_encode_scale(record, &five_workers));
    add(record_encode_scale(record, &(struct scale){.name = "web", .written = 0, .count = 10000}));
    add(record_encode_scale(record, &(struct scale){.name = "worker", .written = 3, .count = 0}));
    struct replay *replay = play();
    ck_assert_uint_eq(replay->damaged, 0);
    ck_assert_uint_eq(replay->n, 0);
    ck_assert_uint_eq(replay->n_scales, 2);
    ck_assert_str_eq(replay->scales[0].name, "worker");
    ck_assert_uint_eq(replay->scales[0].written, 3);
    ck_assert_uint_eq(replay->scales[0].count, 0);
    ck_assert_str_eq(replay->scales[1].name, "web");
    ck_assert_uint_eq(replay->scales[1].count, 10000);
    replay_free(replay);
}
END_TEST

/* ---- damage ---- */

static struct svc stopping(uint64_t life, int32_t pid)
{
    struct svc svc = alive(life, pid);

    svc.state = SVC_STOPPING;
    svc.desired_up = false;
    svc.stop_phase = STOP_SIGNALLED;
    svc.deadline = 123456789;
    snprintf(svc.rare.reason, sizeof svc.rare.reason, "stopped by command");
    return svc;
}

/* Some 40 records as a day brings them. */
static void build_realistic(void)
{
    static const char *const names[] = {"redis", "nginx", "a", "worker@3", "a-rather-long-name.of_a-service"};

    add_header();
    for (int i = 0; i < 5; i++) {
        struct svc waiting = {.state = SVC_WAITING, .desired_up = true};

        add_service(names[i], waiting);
        add_spawn(names[i], 1, 1000 + i);
    }
    for (int i = 0; i < 4; i++) {
        add_service(names[i], ended(1));
        add_spawn(names[i], 2, 2000 + i);
        add_service(names[i], alive(2, 2000 + i));
    }
    add_service("nginx", stopping(2, 2001));
    add_service("nginx", (struct svc){.state = SVC_STOPPED, .ended = true, .life = 2});
    add(record_encode_removed(record, "nginx"));
    add_spawn("nginx", 1, 3001);
    add_service("worker@3", stopping(2, 2003));
    for (int i = 3; i < 10; i++) {
        add_service("a", ended((uint64_t)i - 1));
        add_spawn("a", (uint64_t)i, 4000 + i);
    }
    add(record_encode_scale(record, &five_workers));
    add(record_encode_essential(record, &the_end));
    add(record_encode_shutdown(record));
    ck_assert_uint_ge(file.n, 40);
}

/* Cut anywhere, every whole record counts, and the rest of a torn one is told. */
START_TEST(truncation_at_every_byte)
{
    build_realistic();
    const uint8_t *data = (const uint8_t *)file.bytes.data;
    size_t whole = 0;
    struct buf want = essence(data, 0);

    for (size_t len = 0; len <= file.bytes.len; len++) {
        if (whole < file.n && file.at[whole + 1] == len) {
            whole++;
            buf_free(&want);
            want = essence(data, len);
        }
        if (len % stride() != 0)
            continue;
        /* A copy of just this length, so that a read beyond it is seen. */
        uint8_t *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, data, len);
        struct replay *replay = replay_new(copy, len);
        struct buf got = essence(copy, len);
        bool torn = len != file.at[whole];

        ck_assert_msg(replay->records == whole, "cut at %zu: %zu records of %zu", len, replay->records, whole);
        ck_assert_msg(replay->damaged == torn, "cut at %zu: %zu damaged", len, replay->damaged);
        ck_assert_msg(replay->skipped == len - file.at[whole], "cut at %zu: %zu bytes skipped", len, replay->skipped);
        same_essence(&got, &want, "cut at", len);
        replay_free(replay);
        buf_free(&got);
        free(copy);
    }
    buf_free(&want);
}
END_TEST

/* What the file says without its I-th record. */
static struct buf essence_without(size_t i)
{
    struct buf rest = {0};

    buf_add(&rest, file.bytes.data, file.at[i]);
    buf_add(&rest, file.bytes.data + file.at[i + 1], file.bytes.len - file.at[i + 1]);
    struct buf out = essence((uint8_t *)rest.data, rest.len);
    buf_free(&rest);
    return out;
}

START_TEST(flipping_every_byte_costs_its_record_only)
{
    build_realistic();
    uint8_t *data = (uint8_t *)file.bytes.data;

    for (size_t i = 0; i < file.n; i++) {
        struct buf want = essence_without(i);

        for (size_t at = file.at[i]; at < file.at[i + 1]; at += stride()) {
            uint8_t flip = (uint8_t)(1 + draw_below(255));

            data[at] ^= flip;
            struct replay *replay = play();
            struct buf got = essence(data, file.bytes.len);
            ck_assert_msg(replay->records == file.n - 1, "byte %zu ^ %02x: %zu records", at, flip, replay->records);
            ck_assert_msg(replay->damaged == 1, "byte %zu ^ %02x: %zu damaged", at, flip, replay->damaged);
            ck_assert_uint_eq(replay->skipped, file.at[i + 1] - file.at[i]);
            same_essence(&got, &want, "flip of byte", at);
            replay_free(replay);
            buf_free(&got);
            data[at] ^= flip;
        }
        buf_free(&want);
    }
}
END_TEST

START_TEST(repeated_records_change_nothing)
{
    build_realistic();
    struct buf want = essence((uint8_t *)file.bytes.data, file.bytes.len);
    struct buf twice = {0};

    for (size_t i = 0; i < file.n; i++) {
        for (int k = 0; k < 2; k++)
            buf_add(&twice, file.bytes.data + file.at[i], file.at[i + 1] - file.at[i]);
    }
    struct buf got = essence((uint8_t *)twice.data, twice.len);
    same_essence(&got, &want, "every record", 2);
    buf_free(&got);
    buf_free(&twice);
    buf_free(&want);
}
END_TEST

static void check_sane(const struct replay *replay, size_t len)
{
    ck_assert_uint_le(replay->skipped, len);
    for (size_t i = 0; i < replay->n; i++) {
        const struct svc_image *image = replay->images[i];

        ck_assert_ptr_eq(replay_find(replay, image->name), image);
        ck_assert(image->has_process == svc_has_process(&image->svc));
        ck_assert_int_lt(image->svc.state, SVC_N_STATES);
        ck_assert(i == 0 || strcmp(replay->images[i - 1]->name, image->name) < 0);
    }
}

START_TEST(noise)
{
    static uint8_t bytes[8192];
    static const uint8_t magic[] = {0x53, 0x63, 0x72, 0x64};

    for (unsigned round = 0; round < 2000 / stride(); round++) {
        size_t len = draw_below(sizeof bytes);

        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)draw();
        for (size_t i = 0; i + 8 < len; i += 8 + draw_below(64)) {
            memcpy(bytes + i, magic, sizeof magic);
            bytes[i + 5] &= 3;
        }
        struct replay *replay = replay_new(bytes, len);
        ck_assert_uint_eq(replay->records, 0);
        ck_assert_uint_eq(replay->skipped, len);
        ck_assert_uint_eq(replay->damaged, len > 0);
        check_sane(replay, len);
        replay_free(replay);
    }
}
END_TEST

/* Whole records in any order, some torn, some twice, some with a payload that makes no sense under a right sum. */
START_TEST(shuffled_and_spoilt_records)
{
    build_realistic();
    for (unsigned round = 0; round < 3000 / stride(); round++) {
        struct buf bytes = {0};

        for (int k = 0; k < 60; k++) {
            size_t i = draw_below((unsigned)file.n);
            size_t len = file.at[i + 1] - file.at[i];

            memcpy(record, file.bytes.data + file.at[i], len);
            if (draw_below(3) == 0) {
                record[6 + draw_below((unsigned)len - 6)] = (uint8_t)draw(); /* not the magic, nor the length */
                reseal(len);
            }
            buf_add(&bytes, record, draw_below(8) == 0 ? draw_below((unsigned)len) : len);
        }
        struct replay *replay = replay_new((uint8_t *)bytes.data, bytes.len);
        check_sane(replay, bytes.len);
        replay_free(replay);
        buf_free(&bytes);
    }
}
END_TEST

START_TEST(a_right_sum_over_nonsense_is_damage)
{
    size_t len;

    add_header();
    add_spawn("a", 1, 500);
    struct buf want = essence((uint8_t *)file.bytes.data, file.bytes.len);

    len = record_encode_service(record, "a", &(struct svc){0});
    record[HEAD_SIZE + 3] = SVC_N_STATES; /* after the name: its length, 'a' */
    add(reseal(len));
    len = record_encode_service(record, "a", &(struct svc){0});
    add(reseal(len - 1));
    add(record_encode_service(record, "", &(struct svc){0}));
    len = record_encode_removed(record, "ab");
    record[HEAD_SIZE + 3] = '\0';
    add(reseal(len));
    len = record_encode_removed(record, "a");
    record[HEAD_SIZE] = 200;
    add(reseal(len));
    struct svc_stop_params wrong = {.signal = 65};
    add(record_encode_spawn(record, ROLE_SERVICE, "a", &(struct svc){.life = 2}, 0, &wrong, (struct timestamp){0}));

    struct replay *replay = play();
    ck_assert_uint_eq(replay->damaged, file.n - 2);
    ck_assert_uint_eq(replay->records, file.n);
    replay_free(replay);
    struct buf got = essence((uint8_t *)file.bytes.data, file.bytes.len);
    same_essence(&got, &want, "records of nonsense", file.n - 2);
    buf_free(&got);
    buf_free(&want);
}
END_TEST

START_TEST(newer_version_is_passed_over_and_told)
{
    for (int kind = 0; kind < 2; kind++) {
        teardown();
        setup();
        add_spawn("a", 1, 500);
        size_t len = record_encode_removed(record, "a");
        record[kind == 0 ? 7 : 6] = 200;
        add(reseal(len));
        add_spawn("b", 1, 501);

        struct replay *replay = play();
        ck_assert(replay->newer);
        ck_assert_uint_eq(replay->damaged, 0);
        ck_assert_uint_eq(replay->n, 2);
        replay_free(replay);
    }
}
END_TEST

START_TEST(unfinished_spawn_is_no_process)
{
    struct svc svc = {.life = 1};

    add(record_encode_spawn(record, ROLE_SERVICE, "a", &svc, 0, &stop, (struct timestamp){0}));
    struct replay *replay = play();
    ck_assert_uint_eq(replay->n, 0);
    replay_free(replay);
}
END_TEST

/* Takes the inode at OFFSET out of the record of LEN bytes, as version 1 had none. */
static size_t as_version_1(size_t len, size_t offset)
{
    memmove(record + offset, record + offset + 8, len - offset - 8);
    record[7] = 1;
    return reseal(len - 8);
}

START_TEST(older_version_is_read)
{
    struct svc svc = {
        .state = SVC_RUNNING,
        .life = 3,
        .proc = {.pid = 44, .start_ticks = 1500, .inode = 77, .digest = 99, .stop = stop},
        .group = 44,
        .rare.reason = "as it was",
    };
    struct svc newer = svc;
    size_t name_len = 2 + strlen("a");

    newer.proc.pid = 0;
    newer.life = 4;
    size_t len = record_encode_spawn(record, ROLE_SERVICE, "b", &newer, 99, &stop, (struct timestamp){0});
    record_finish_spawn(record, len, 45, 1600, 78);
    add(as_version_1(len, HEAD_SIZE + 4 + 8));
    len = record_encode_service(record, "a", &svc);
    /* Behind the name: five flags, two counters and a short one, six times, the pid and its start. */
    add(as_version_1(len, HEAD_SIZE + name_len + 5 + 8 + 8 + 4 + 6 * 8 + 4 + 8));

    struct replay *replay = play();
    ck_assert_uint_eq(replay->damaged, 0);
    ck_assert(!replay->newer);
    const struct svc_image *a = replay_find(replay, "a");
    const struct svc_image *b = replay_find(replay, "b");
    ck_assert(a->has_process && b->has_process);
    ck_assert_int_eq(a->svc.proc.pid, 44);
    ck_assert_uint_eq(a->svc.proc.start_ticks, 1500);
    ck_assert_uint_eq(a->svc.proc.inode, 0);
    ck_assert_uint_eq(a->svc.proc.digest, 99);
    ck_assert_str_eq(a->svc.rare.reason, "as it was");
    ck_assert_int_eq(b->svc.proc.pid, 45);
    ck_assert_uint_eq(b->svc.proc.start_ticks, 1600);
    ck_assert_uint_eq(b->svc.proc.inode, 0);
    ck_assert_uint_eq(b->svc.life, 4);
    replay_free(replay);
}
END_TEST

/* What came later stands behind all that was there before, so an older record ends where that begins. */
START_TEST(record_of_each_version_is_read)
{
    static const struct {
        uint8_t version;
        size_t shorter;
    } cases[] = {{10, 0},
                 {9, 32},
                 {8, 32 + 1},
                 {7, 32 + 1 + 16},
                 {6, 32 + 1 + 16 + 8},
                 {5, 32 + 1 + 16 + 8 + 1},
                 {4, 32 + 1 + 16 + 8 + 1 + 2}};

    ck_assert_int_eq(cases[0].version, RECORD_VERSION);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t version = cases[i].version;
        struct svc svc = alive(1, 100);
        struct replay *replay;

        svc.proc.start_ticks = 55;
        svc.group_start = 55;
        svc.ready_lost = true;
        svc.stop_held = true;
        svc.rare.watchdog = 5;
        svc.rare.due = (struct timestamp){.mono = 6, .wall = 7};
        svc.moved = true;
        svc.rare.health.state = HEALTH_UNHEALTHY;
        svc.alarm = true;
        svc.rare.checks = 5;
        svc.rare.check = (struct svc_check){.role = ROLE_CHECK, .number = 5, .pid = 101, .start_ticks = 56};
        teardown();
        setup();
        size_t len = record_encode_service(record, "a", &svc);
        record[7] = version;
        add(reseal(len - cases[i].shorter));
        replay = play();
        ck_assert_uint_eq(replay->damaged, 0);
        ck_assert(!replay->newer);
        const struct svc *read = &replay_find(replay, "a")->svc;
        ck_assert_int_eq(read->proc.pid, 100);
        ck_assert_uint_eq(read->group_start, 55);
        ck_assert_int_eq(read->ready_lost, version >= 5);
        ck_assert_int_eq(read->stop_held, version >= 6);
        ck_assert_int_eq(read->rare.watchdog, version >= 7 ? 5 : 0);
        ck_assert_int_eq(read->rare.due.wall, version >= 8 ? 7 : 0);
        ck_assert_int_eq(read->moved, version >= 9);
        ck_assert_int_eq(read->rare.health.state, version >= 10 ? HEALTH_UNHEALTHY : HEALTH_NONE);
        ck_assert_int_eq(read->alarm, version >= 10);
        ck_assert_uint_eq(read->rare.checks, version >= 10 ? 5 : 0);
        ck_assert_int_eq(read->rare.check.pid, version >= 10 ? 101 : 0);
        replay_free(replay);
    }
}
END_TEST

static void add_kept(const char *service, uint32_t slot, const char *name)
{
    struct kept_fd kept = {.slot = slot, .no_poll = slot == 1, .dev = 8, .ino = 9 + slot, .access = 2};

    snprintf(kept.name, sizeof kept.name, "%s", name);
    add(record_encode_kept(record, service, &kept));
}

/* Only a recorded shutdown outlives supd; a service that it had not come to yet goes on as if nothing had been. */
START_TEST(held_by_a_shutdown)
{
    struct svc svc = alive(1, 100);

    svc.stop_held = true;
    svc.shutting_down = true;
    snprintf(svc.rare.reason, sizeof svc.rare.reason, "supd is shutting down");
    add(record_encode_service(record, "a", &svc));
    struct replay *replay = play();
    const struct svc *read = &replay_find(replay, "a")->svc;
    ck_assert(!read->stop_held);
    ck_assert_str_eq(read->rare.reason, "");
    replay_free(replay);
}
END_TEST

START_TEST(what_was_left_is_of_its_service)
{
    char longest[KEPT_NAME_SIZE];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    add_header();
    add_service("a", alive(1, 100));
    add_kept("a", 0, "zero");
    add_kept("a", 1, longest);
    add_kept("a", 2, "two");
    add_kept("a", 0, ""); /* the slot is free, */
    add_kept("a", 0, "again");
    add_kept("a", 2, "");
    add_kept("a", FD_STORE_MAX, "nowhere");
    add_kept("b", 0, "of nobody");
    add_service("c", alive(1, 101));
    add_kept("c", 0, "gone");
    add(record_encode_removed(record, "c"));
    add_service("c", alive(1, 102));

    struct replay *replay = play();
    ck_assert_uint_eq(replay->n, 2);
    const struct svc_image *a = replay_find(replay, "a");
    ck_assert_uint_eq(a->n_kept, 2);
    ck_assert_str_eq(a->kept[0].name, longest);
    ck_assert(a->kept[0].slot == 1 && a->kept[0].no_poll && a->kept[0].ino == 10 && a->kept[0].access == 2);
    ck_assert_str_eq(a->kept[1].name, "again");
    ck_assert(a->kept[1].slot == 0 && !a->kept[1].no_poll && a->kept[1].dev == 8);
    ck_assert_uint_eq(replay_find(replay, "c")->n_kept, 0);
    replay_free(replay);

    /* Of another epoch nothing is left. */
    struct epoch other = epoch;
    other.init_start++;
    add(record_encode_header(record, &other));
    add_service("a", alive(1, 100));
    replay = play();
    ck_assert_uint_eq(replay_find(replay, "a")->n_kept, 0);
    replay_free(replay);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("record");
    TCase *tc = tcase_create("record");

    tcase_set_timeout(tc, 120); /* each flips, or cuts, every byte of a file */

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, service_round_trip);
    tcase_add_test(tc, what_was_left_is_of_its_service);
    tcase_add_test(tc, spawn_round_trip);
    tcase_add_test(tc, header_and_shutdown_round_trip);
    tcase_add_test(tc, longest_record_fits);
    tcase_add_test(tc, spawn_and_service_of_a_life_in_either_order);
    tcase_add_test(tc, a_process_that_no_child_vouched_for_is_none);
    tcase_add_test(tc, a_group_without_the_start_of_its_leader_is_nobodys);
    tcase_add_test(tc, spawn_of_a_newer_life_starts_it);
    tcase_add_test(tc, spawn_of_an_older_or_ended_life_changes_nothing);
    tcase_add_test(tc, start_time_is_kept_through_later_snapshots);
    tcase_add_test(tc, removed_service_may_come_back);
    tcase_add_test(tc, header_of_another_epoch_ends_what_stands_before);
    tcase_add_test(tc, other_numbers_of_instances);
    tcase_add_test(tc, truncation_at_every_byte);
    tcase_add_test(tc, flipping_every_byte_costs_its_record_only);
    tcase_add_test(tc, repeated_records_change_nothing);
    tcase_add_test(tc, noise);
    tcase_add_test(tc, shuffled_and_spoilt_records);
    tcase_add_test(tc, a_right_sum_over_nonsense_is_damage);
    tcase_add_test(tc, newer_version_is_passed_over_and_told);
    tcase_add_test(tc, older_version_is_read);
    tcase_add_test(tc, record_of_each_version_is_read);
    tcase_add_test(tc, held_by_a_shutdown);
    tcase_add_test(tc, unfinished_spawn_is_no_process);
    suite_add_tcase(suite, tc);
    return suite;
}
