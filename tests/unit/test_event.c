/* SPDX-License-Identifier: MIT */
#include "core/event.h"

#include <stdio.h>
#include <string.h>

#include "base/strv.h"
#include "base/units.h"
#include "core/record.h"
#include "tests/check_main.h"

#define KIND(kind) (1U << EVENT_##kind)
#define NOW (1000 * USEC_PER_SEC)

/* ---- what has happened ---- */

static const struct {
    enum svc_state from;
    struct svc now;
    unsigned kinds;
} changes[] = {
    {SVC_RUNNING, {.state = SVC_RUNNING}, 0},
    {SVC_WAITING, {.state = SVC_STARTING}, 0},
    {SVC_STARTING, {.state = SVC_RUNNING}, KIND(STARTED)},
    {SVC_RUNNING, {.state = SVC_STOPPING}, 0},
    {SVC_STOPPING, {.state = SVC_STOPPED, .ended = true}, KIND(STOPPED)},
    {SVC_STOPPING, {.state = SVC_STOPPED, .ended = true, .shutting_down = true}, 0},
    {SVC_RUNNING, {.state = SVC_EXITED, .ended = true}, KIND(EXITED)},
    {SVC_RUNNING, {.state = SVC_FAILED, .ended = true}, KIND(FAILED)},
    {SVC_RUNNING, {.state = SVC_FAILED, .ended = true, .exit.oom = true}, KIND(FAILED) | KIND(OOM)},
    {SVC_RUNNING, {.state = SVC_BACKOFF, .ended = true}, KIND(RESTARTED)},
    {SVC_STOPPING, {.state = SVC_BACKOFF, .ended = true, .exit.oom = true}, KIND(RESTARTED) | KIND(OOM)},
    {SVC_STOPPING, {.state = SVC_BACKOFF, .ended = true, .result = RESULT_WATCHDOG}, KIND(RESTARTED) | KIND(WATCHDOG)},
    {SVC_RUNNING, {.state = SVC_WAITING, .ended = true, .next_is_restart = true}, KIND(RESTARTED)},
    /* The end of a backoff was told when it began, as was what that end was. */
    {SVC_BACKOFF, {.state = SVC_WAITING, .ended = true, .next_is_restart = true}, 0},
    {SVC_BACKOFF, {.state = SVC_STOPPED, .ended = true, .exit.oom = true}, KIND(STOPPED)},
    {SVC_WAITING, {.state = SVC_FAILED, .ended = true, .exit.oom = true}, KIND(FAILED)},
    /* A run by schedule or demand is over, and the next one is waited for. */
    {SVC_STARTING,
     {.state = SVC_WAITING, .idle = true, .ended = true, .exit = {.how = EXIT_HOW_EXITED, .code = 0}},
     KIND(EXITED)},
    {SVC_STARTING,
     {.state = SVC_WAITING, .idle = true, .ended = true, .exit = {.how = EXIT_HOW_EXITED, .code = 1}},
     KIND(FAILED)},
    {SVC_STOPPED, {.state = SVC_WAITING, .idle = true}, 0},
    /* A restart by command. */
    {SVC_STOPPING, {.state = SVC_WAITING, .ended = true}, 0},
};

START_TEST(kinds_of_a_change)
{
    struct spec *spec = spec_new("web");

    ck_assert_uint_eq(event_kinds_of(changes[_i].from, HEALTH_NONE, &changes[_i].now, spec), changes[_i].kinds);
    spec_free(spec);
}
END_TEST

/* What checks say of one that goes on, or is ended for it. */
static const struct {
    enum svc_state from;
    enum health_state health;
    struct svc now;
    unsigned kinds;
} findings[] = {
    {SVC_RUNNING, HEALTH_STARTING, {.state = SVC_RUNNING, .rare.health.state = HEALTH_HEALTHY}, KIND(HEALTHY)},
    {SVC_RUNNING, HEALTH_HEALTHY, {.state = SVC_RUNNING, .rare.health.state = HEALTH_HEALTHY}, 0},
    {SVC_RUNNING, HEALTH_HEALTHY, {.state = SVC_RUNNING, .rare.health.state = HEALTH_UNHEALTHY}, KIND(UNHEALTHY)},
    {SVC_RUNNING, HEALTH_STARTING, {.state = SVC_STOPPING, .rare.health.state = HEALTH_UNHEALTHY}, KIND(UNHEALTHY)},
    {SVC_STOPPING, HEALTH_UNHEALTHY, {.state = SVC_BACKOFF, .rare.health.state = HEALTH_UNHEALTHY}, KIND(RESTARTED)},
    {SVC_WAITING, HEALTH_UNHEALTHY, {.state = SVC_STARTING, .rare.health.state = HEALTH_STARTING}, 0},
    {SVC_STARTING,
     HEALTH_STARTING,
     {.state = SVC_RUNNING, .rare.health.state = HEALTH_HEALTHY},
     KIND(STARTED) | KIND(HEALTHY)},
};

START_TEST(kinds_of_a_finding)
{
    struct spec *spec = spec_new("web");

    ck_assert_uint_eq(event_kinds_of(findings[_i].from, findings[_i].health, &findings[_i].now, spec),
                      findings[_i].kinds);
    spec_free(spec);
}
END_TEST

/* ---- rules ---- */

static struct spec *rule_with(const char *key, char *const *values, size_t n, bool is_list)
{
    struct spec *spec = spec_new("mail");
    char err[512] = "";

    event_spec_prepare(spec, "mail");
    ck_assert_msg(event_rule_set(spec, key, values, n, is_list, err, sizeof(err)), "%s", err);
    return spec;
}

START_TEST(the_first_kind_asked_for_is_told)
{
    char *events[] = {"failed", "oom", NULL};
    struct spec *spec = rule_with("events", events, 2, true);
    const struct event_rule *rule = spec->on_event;

    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED), "web"), EVENT_FAILED);
    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED) | KIND(OOM), "web"), EVENT_OOM);
    ck_assert_int_eq(event_rule_match(rule, KIND(RESTARTED) | KIND(OOM), "web"), EVENT_OOM);
    ck_assert_int_eq(event_rule_match(rule, KIND(RESTARTED), "web"), EVENT_N_KINDS);
    spec_free(spec);
}
END_TEST

START_TEST(services_are_names_and_globs)
{
    char *services[] = {"web", "db-*", NULL};
    struct spec *spec = rule_with("services", services, 2, true);
    struct event_rule *rule = spec->on_event;

    rule->kinds = KIND(FAILED);
    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED), "web"), EVENT_FAILED);
    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED), "db-main"), EVENT_FAILED);
    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED), "redis"), EVENT_N_KINDS);
    /* As everywhere, the name of a section stands for its instances. */
    ck_assert_int_eq(event_rule_match(rule, KIND(FAILED), "web@2"), EVENT_FAILED);
    spec_free(spec);
}
END_TEST

static const struct {
    const char *key;
    const char *value;
    const char *complaint; /* NULL: fine, and read back the same */
} values[] = {
    {"rate-limit", "3/30s", NULL},
    {"rate-limit", "none", NULL},
    {"rate-limit", "0/30s", "no rate"},
    {"rate-limit", "3", "no rate"},
    {"rate-limit", "3/0", "no rate"},
    {"rate-limit", "3/", "no rate"},
    {"rate-limit", "/1m", "no rate"},
    {"rate-limit", "99999/1m", "no rate"},
    {"timeout", "5s", NULL},
    {"timeout", "0", "not a duration"},
    {"timeout", "soon", "not a duration"},
    {"events", "watchdog", NULL},
    {"events", "left-out", "no event"},
    {"events", "oon", "did you mean 'oom'"},
    {"events", "unhealthy", NULL},
    {"events", "healthy", NULL},
    {"events", "ill", "no event"},
    {"services", "a b", "no name or glob"},
    {"services", "", "no name or glob"},
};

START_TEST(values_are_read_and_written)
{
    struct spec *spec = spec_new("mail");
    char *given[] = {(char *)values[_i].value, NULL};
    char err[512] = "";
    bool is_list;

    event_spec_prepare(spec, "mail");
    struct spec *before = spec_dup(spec);
    bool ok = event_rule_set(spec, values[_i].key, given, 1, false, err, sizeof(err));
    if (values[_i].complaint) {
        ck_assert(!ok);
        ck_assert_msg(strstr(err, values[_i].complaint) != NULL, "%s", err);
        for (size_t i = 0; i < EVENT_RULE_KEYS; i++)
            ck_assert(event_rule_key_equal(spec, before, event_rule_keys[i]));
    } else {
        ck_assert_msg(ok, "%s", err);
        char **back = event_rule_get(spec, values[_i].key, &is_list);
        ck_assert_str_eq(back[0], values[_i].value);
        ck_assert(!event_rule_key_equal(spec, before, values[_i].key));
        strv_free(back);
    }
    spec_free(before);
    spec_free(spec);
}
END_TEST

/* ---- queues ---- */

static struct event_note note_of(const char *service, uint64_t life)
{
    struct event_note note = {.kind = EVENT_FAILED, .life = life, .from = SVC_RUNNING, .state = SVC_FAILED};

    snprintf(note.service, sizeof note.service, "%s", service);
    return note;
}

static bool add(struct event_queue *queue, const struct event_rule *rule, uint64_t life, int64_t now)
{
    struct event_note note = note_of("web", life);

    ck_assert(event_queue_add(queue, rule, &note, now));
    return !note.is_left_out;
}

START_TEST(so_many_in_a_period)
{
    struct event_rule rule = {.rate_count = 2, .rate_period = 10 * USEC_PER_SEC};
    struct event_queue queue = {0};
    struct event_note note;

    ck_assert(add(&queue, &rule, 1, NOW));
    ck_assert(add(&queue, &rule, 2, NOW + 1));
    ck_assert_int_eq(event_queue_due(&queue, &rule), 0);
    ck_assert(!add(&queue, &rule, 3, NOW + 2));
    ck_assert(!add(&queue, &rule, 4, NOW + rule.rate_period - 1));
    ck_assert_int_eq(event_queue_due(&queue, &rule), NOW + rule.rate_period);

    ck_assert(event_queue_tell_left_out(&queue, &note, 7, NOW + rule.rate_period));
    ck_assert_int_eq(note.kind, EVENT_LEFT_OUT);
    ck_assert_uint_eq(note.left_out, 2);
    ck_assert_uint_eq(queue.n, 3);
    ck_assert(!event_queue_tell_left_out(&queue, &note, 7, NOW + rule.rate_period));
    /* That one counts in the new period. */
    ck_assert(add(&queue, &rule, 5, NOW + rule.rate_period + 1));
    ck_assert(!add(&queue, &rule, 6, NOW + rule.rate_period + 2));
    ck_assert(add(&queue, &rule, 7, NOW + 2 * rule.rate_period));
    event_queue_clear(&queue);
}
END_TEST

START_TEST(a_queue_is_bounded)
{
    struct event_rule rule = {0};
    struct event_queue queue = {0};
    struct event_note note;

    for (uint64_t life = 1; life <= EVENT_QUEUE_MAX; life++)
        ck_assert(add(&queue, &rule, life, NOW));
    ck_assert(!add(&queue, &rule, EVENT_QUEUE_MAX + 1, NOW));
    ck_assert(!event_queue_tell_left_out(&queue, &note, 7, NOW));
    ck_assert(event_queue_take(&queue, 1));
    event_queue_done(&queue, 1);
    ck_assert(event_queue_tell_left_out(&queue, &note, 7, NOW));
    ck_assert_uint_eq(note.left_out, 1);
    event_queue_clear(&queue);
}
END_TEST

START_TEST(one_after_another)
{
    struct event_rule rule = {0};
    struct event_queue queue = {0};

    ck_assert_ptr_null(event_queue_head(&queue));
    add(&queue, &rule, 11, NOW);
    add(&queue, &rule, 12, NOW);
    ck_assert(event_queue_take(&queue, 5));
    ck_assert(!event_queue_take(&queue, 5));
    /* The end of an earlier process, or of one that never was, is not the end of this. */
    event_queue_done(&queue, 4);
    ck_assert_uint_eq(event_queue_head(&queue)->life, 11);
    /* A life without a process was followed by another for the same note. */
    event_queue_done(&queue, 6);
    ck_assert_uint_eq(event_queue_head(&queue)->life, 12);
    event_queue_done(&queue, 7);
    ck_assert_uint_eq(event_queue_head(&queue)->life, 12);
    event_queue_clear(&queue);
}
END_TEST

/* ---- over a crash ---- */

/* A state file of records, as supd appends them. */
struct file {
    uint8_t bytes[64 * 1024];
    size_t len;
};

static void put_note(struct file *file, const struct event_note *note)
{
    file->len += record_encode_event(file->bytes + file->len, "event:mail", note);
}

static void put_cursor(struct file *file, const struct event_queue *queue)
{
    file->len += record_encode_events(file->bytes + file->len, "event:mail", &queue->cursor);
}

static struct event_queue read_back(const struct file *file, const struct svc *own)
{
    struct replay *replay = replay_new(file->bytes, file->len);

    ck_assert_uint_eq(replay->damaged, 0);
    ck_assert_uint_eq(replay->n_events, 1);
    ck_assert_str_eq(replay->events[0].name, "event:mail");
    struct event_queue queue = replay->events[0].queue;
    replay->events[0].queue = (struct event_queue){0};
    replay_free(replay);
    event_queue_settle(&queue, own);
    return queue;
}

START_TEST(a_record_tells_all_of_a_note)
{
    struct event_note note = note_of("web@3", 7);
    struct file file = {.len = 0};

    note.number = 1;
    note.restarts = 5;
    note.exit = (struct exit_info){.how = EXIT_HOW_SIGNALED, .signal = 11, .core = true, .oom = true, .at = 99};
    note.at = 1234;
    note.since = NOW;
    note.used = 1;
    strcpy(note.reason, "killed by SEGV (core dumped)");
    put_note(&file, &note);
    struct event_queue queue = read_back(&file, NULL);
    const struct event_note *back = event_queue_head(&queue);

    ck_assert_ptr_nonnull(back);
    ck_assert_str_eq(back->service, note.service);
    ck_assert_str_eq(back->reason, note.reason);
    ck_assert_uint_eq(back->number, note.number);
    ck_assert_uint_eq(back->life, note.life);
    ck_assert_uint_eq(back->restarts, note.restarts);
    ck_assert_int_eq(back->kind, note.kind);
    ck_assert_int_eq(back->from, note.from);
    ck_assert_int_eq(back->state, note.state);
    ck_assert_int_eq(back->exit.signal, note.exit.signal);
    ck_assert(back->exit.core && back->exit.oom);
    ck_assert_int_eq(back->at, note.at);
    ck_assert_int_eq(queue.cursor.since, NOW);
    ck_assert_uint_eq(queue.cursor.used, 1);
    event_queue_clear(&queue);
}
END_TEST

/* supd is killed behind each of the records of a note's way; what becomes of it then. */
enum way { NOTED, TAKEN, BEGUN, ENDED, WAY_N };

START_TEST(a_note_is_handed_over_once)
{
    struct event_rule rule = {0};
    struct event_queue queue = {0};
    struct file file = {.len = 0};
    struct svc own = {.state = SVC_EXITED, .life = 4};
    struct event_note note = note_of("web", 1);

    ck_assert(event_queue_add(&queue, &rule, &note, NOW));
    put_note(&file, &note);
    if (_i >= TAKEN) {
        event_queue_take(&queue, 5);
        put_cursor(&file, &queue);
    }
    if (_i >= BEGUN)
        own = (struct svc){.state = SVC_STARTING, .life = 5};
    if (_i >= ENDED)
        own.state = SVC_FAILED;
    struct event_queue back = read_back(&file, &own);
    ck_assert_uint_eq(back.n, _i == ENDED ? 0 : 1);
    if (_i == TAKEN) /* no process of that life has recorded itself: it goes to it now */
        ck_assert(!event_queue_take(&back, own.life + 1));
    if (_i == BEGUN) { /* it is there, and is waited for */
        event_queue_done(&back, 5);
        ck_assert_uint_eq(back.n, 0);
    }
    event_queue_clear(&back);
    event_queue_clear(&queue);
}
END_TEST

START_TEST(what_was_recorded_is_not_noted_again)
{
    struct event_rule rule = {0};
    struct event_queue queue = {0};
    struct file file = {.len = 0};
    struct event_note note = note_of("web", 1);

    ck_assert(event_queue_add(&queue, &rule, &note, NOW));
    put_note(&file, &note);
    struct event_queue back = read_back(&file, NULL);
    struct event_note again = note_of("web", 1);
    struct event_note other = note_of("db", 1);
    struct event_note later = note_of("web", 2);
    ck_assert(!event_queue_add(&back, &rule, &again, NOW + 1));
    ck_assert(event_queue_add(&back, &rule, &other, NOW + 1));
    ck_assert(event_queue_add(&back, &rule, &later, NOW + 1));
    ck_assert_uint_eq(back.n, 3);
    ck_assert_uint_eq(back.items[2].number, 3);
    event_queue_clear(&back);
    event_queue_clear(&queue);
}
END_TEST

/* A requirement that fails, or a check, may make the same of it twice in one life. */
START_TEST(what_happens_again_is_noted_once_its_change_is_recorded)
{
    struct event_rule rule = {0};
    struct event_queue queue = {0};
    struct file file = {.len = 0};
    struct event_note note = note_of("web", 1);
    const struct svc svc = {.state = SVC_FAILED, .life = 1};

    ck_assert(event_queue_add(&queue, &rule, &note, NOW));
    file.len += record_encode_service(file.bytes, "db", &svc);
    if (_i == 0)
        file.len += record_encode_service(file.bytes + file.len, "web", &svc);
    put_note(&file, &note);
    if (_i == 1)
        file.len += record_encode_service(file.bytes + file.len, "web", &svc);
    struct event_queue back = read_back(&file, NULL);
    struct event_note again = note_of("web", 1);
    ck_assert(event_queue_add(&back, &rule, &again, NOW + 1) == (_i == 1));
    event_queue_clear(&back);
    event_queue_clear(&queue);
}
END_TEST

static const struct {
    struct event_note note;
    struct svc svc;
    bool again;
} files[] = {
    {{.kind = EVENT_FAILED, .life = 2, .state = SVC_FAILED}, {.life = 2, .state = SVC_RUNNING}, true},
    {{.kind = EVENT_FAILED, .life = 2, .state = SVC_FAILED}, {.life = 2, .state = SVC_FAILED}, false},
    {{.kind = EVENT_FAILED, .life = 2, .state = SVC_FAILED}, {.life = 3, .state = SVC_RUNNING}, false},
    {{.kind = EVENT_UNHEALTHY, .life = 2, .state = SVC_RUNNING}, {.life = 2, .state = SVC_RUNNING}, true},
    {{.kind = EVENT_UNHEALTHY, .life = 2, .state = SVC_RUNNING},
     {.life = 2, .state = SVC_RUNNING, .rare.health.state = HEALTH_UNHEALTHY},
     false},
    {{.kind = EVENT_HEALTHY, .life = 2, .state = SVC_RUNNING},
     {.life = 2, .state = SVC_RUNNING, .rare.health.state = HEALTH_UNHEALTHY},
     true},
    {{.kind = EVENT_HEALTHY, .life = 2, .state = SVC_RUNNING},
     {.life = 2, .state = SVC_RUNNING, .rare.health.state = HEALTH_HEALTHY},
     false},
};

START_TEST(a_recorded_change_does_not_come_again)
{
    ck_assert(event_may_come_again(&files[_i].note, &files[_i].svc) == files[_i].again);
}
END_TEST

/* Behind a rewritten file the cursor comes first; what could not be written at once comes late, or twice. */
START_TEST(any_order_of_records)
{
    struct event_rule rule = {.rate_count = 3, .rate_period = 10 * USEC_PER_SEC};
    struct event_queue queue = {0};
    struct file file = {.len = 0};
    struct event_note notes[5];

    for (uint64_t i = 0; i < 5; i++) {
        notes[i] = note_of("web", i);
        ck_assert(event_queue_add(&queue, &rule, &notes[i], NOW));
    }
    if (_i == 0) {
        put_cursor(&file, &queue);
        for (size_t i = 0; i < 3; i++)
            put_note(&file, &notes[i]);
    } else {
        static const size_t order[] = {0, 2, 3, 4, 0, 1, 2};
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
            put_note(&file, &notes[order[i]]);
    }
    struct event_queue back = read_back(&file, NULL);
    ck_assert_uint_eq(back.n, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(back.items[i].number, i + 1);
    ck_assert_uint_eq(back.cursor.last, 5);
    ck_assert_uint_eq(back.cursor.left_out, 2);
    event_queue_clear(&back);
    event_queue_clear(&queue);
}
END_TEST

START_TEST(a_removed_rule_is_forgotten)
{
    struct event_note note = note_of("web", 1);
    struct file file = {.len = 0};

    note.number = 1;
    put_note(&file, &note);
    file.len += record_encode_removed(file.bytes + file.len, "event:mail");
    struct replay *replay = replay_new(file.bytes, file.len);
    ck_assert_uint_eq(replay->n_events, 0);
    replay_free(replay);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("event");
    TCase *tc = tcase_create("event");

    tcase_add_loop_test(tc, kinds_of_a_change, 0, sizeof(changes) / sizeof(changes[0]));
    tcase_add_loop_test(tc, kinds_of_a_finding, 0, sizeof(findings) / sizeof(findings[0]));
    tcase_add_test(tc, the_first_kind_asked_for_is_told);
    tcase_add_test(tc, services_are_names_and_globs);
    tcase_add_loop_test(tc, values_are_read_and_written, 0, sizeof(values) / sizeof(values[0]));
    tcase_add_test(tc, so_many_in_a_period);
    tcase_add_test(tc, a_queue_is_bounded);
    tcase_add_test(tc, one_after_another);
    tcase_add_test(tc, a_record_tells_all_of_a_note);
    tcase_add_loop_test(tc, a_note_is_handed_over_once, 0, WAY_N);
    tcase_add_test(tc, what_was_recorded_is_not_noted_again);
    tcase_add_loop_test(tc, what_happens_again_is_noted_once_its_change_is_recorded, 0, 2);
    tcase_add_loop_test(tc, a_recorded_change_does_not_come_again, 0, sizeof(files) / sizeof(files[0]));
    tcase_add_loop_test(tc, any_order_of_records, 0, 2);
    tcase_add_test(tc, a_removed_rule_is_forgotten);
    suite_add_tcase(suite, tc);
    return suite;
}
