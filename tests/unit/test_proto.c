/* SPDX-License-Identifier: MIT */
#include "check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/proto.h"

static bool parse(const char *text, struct proto_request *req, enum proto_error *code)
{
    char err[128] = "";
    json_t *message = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    ck_assert_msg(message, "no JSON: %s", text);
    bool ok = proto_request_parse(message, req, code, err, sizeof err);
    json_decref(message);
    ck_assert_msg(ok || err[0], "no words for: %s", text);
    return ok;
}

/* Takes MESSAGE and compares its line. */
static void check_line(json_t *message, const char *line)
{
    size_t len;
    char *text = proto_encode(message, &len);

    json_decref(message);
    ck_assert_str_eq(text, line);
    ck_assert_uint_eq(len, strlen(line));
    free(text);
}

/* What was written, and a newline, is LINE; OUT is emptied. */
static void check_out(struct json_out *out, const char *line)
{
    buf_add_char(&out->text, '\n');
    ck_assert_str_eq(out->text.data, line);
    buf_free(&out->text);
    out->comma = false;
}

/* As a tree, and as text. */
static void check_string(const char *text, const char *line)
{
    struct json_out out = {0};

    check_line(proto_string(text), line);
    json_out_string(&out, text);
    check_out(&out, line);
}

static void check_seconds(int64_t usec, const char *line)
{
    struct json_out out = {0};

    check_line(proto_seconds(usec), line);
    json_out_seconds(&out, usec);
    check_out(&out, line);
}

static void check_exit_of(const struct exit_info *info, const struct usage *usage, const char *line)
{
    struct json_out out = {0};

    proto_exit(&out, info, usage);
    check_out(&out, line);
}

static void check_exit(const struct exit_info *info, const char *line)
{
    check_exit_of(info, NULL, line);
}

START_TEST(a_request_is_taken_apart)
{
    struct proto_request req;
    enum proto_error code;

    ck_assert(parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a.b\",\"params\":{\"names\":[\"x\"]}}", &req, &code));
    ck_assert_int_eq(json_integer_value(req.id), 7);
    ck_assert_str_eq(req.method, "a.b");
    ck_assert_uint_eq(json_array_size(json_object_get(req.params, "names")), 1);
    proto_request_clear(&req);
}
END_TEST

START_TEST(id_and_params_may_be_missing)
{
    struct proto_request req;
    enum proto_error code;

    ck_assert(parse("{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", &req, &code));
    ck_assert_ptr_null(req.id);
    ck_assert(json_is_object(req.params));
    proto_request_clear(&req);

    ck_assert(parse("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\",\"params\":[]}", &req, &code));
    ck_assert(json_is_null(req.id));
    ck_assert(json_is_object(req.params));
    proto_request_clear(&req);
}
END_TEST

START_TEST(what_is_no_request_is_refused)
{
    static const struct {
        const char *text;
        enum proto_error code;
        bool has_id;
    } cases[] = {
        {"1", PROTO_E_INVALID_REQUEST, false},
        {"[]", PROTO_E_INVALID_REQUEST, false},
        {"null", PROTO_E_INVALID_REQUEST, false},
        {"{}", PROTO_E_INVALID_REQUEST, false},
        {"{\"id\":1}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", PROTO_E_INVALID_REQUEST, false},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":3}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a\\u0000b\"}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[1]}", PROTO_E_INVALID_PARAMS, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":3}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", PROTO_E_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}", PROTO_E_INVALID_REQUEST, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proto_request req;
        enum proto_error code;
        ck_assert_msg(!parse(cases[i].text, &req, &code), "taken: %s", cases[i].text);
        ck_assert_int_eq(code, cases[i].code);
        ck_assert_msg((req.id != NULL) == cases[i].has_id, "id of %s", cases[i].text);
        proto_request_clear(&req);
    }
}
END_TEST

START_TEST(messages_are_built_as_the_contract_has_them)
{
    json_t *id = json_string("a");

    check_line(proto_result(id, json_true()), "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":true}\n");
    check_line(proto_result(NULL, json_array()), "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":[]}\n");
    check_line(proto_error(id, PROTO_E_REFUSED, NULL, "no: %d", 3),
               "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32003,\"message\":\"no: 3\"}}\n");
    check_line(proto_error(NULL, PROTO_E_PARSE, json_pack("[i]", 1), "bad \xff"),
               "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"bad "
               "\xef\xbf\xbd\",\"data\":[1]}}\n");
    check_line(proto_request(1, "m", NULL), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}\n");
    check_line(proto_request(1, "m", json_pack("{s:b}", "w", 1)),
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"w\":true}}\n");
    check_line(proto_notification("event", json_object()),
               "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}\n");
    json_decref(id);
}
END_TEST

START_TEST(any_bytes_make_a_string)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\"\n"},
        {"a\nb", "\"a\\nb\"\n"},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"\n"},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"\n"},
        {"cut \xc3", "\"cut \xef\xbf\xbd\"\n"},
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"\n"},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"},
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"},
        {"\xff\xe2\x82\xac", "\"\xef\xbf\xbd\xe2\x82\xac\"\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_string(cases[i].in, cases[i].out);
    check_string(NULL, "null\n");

    /* Every sequence of up to three bytes. */
    for (unsigned n = 1; n < 1U << 24; n += n < 1U << 16 ? 1 : 251) {
        char text[4] = {(char)(n & 0xff), (char)(n >> 8 & 0xff), (char)(n >> 16), 0};
        json_t *string = proto_string(text);
        struct json_out out = {0};
        size_t len;
        ck_assert_msg(json_is_string(string), "%06x", n);
        char *line = proto_encode(string, &len);
        json_out_string(&out, text);
        check_out(&out, line);
        free(line);
        json_decref(string);
    }
}
END_TEST

START_TEST(times_keep_their_microseconds)
{
    check_seconds(1795286400123456, "1795286400.123456\n");
    check_seconds(100000, "0.1\n");
    check_seconds(0, "0.0\n");
    check_seconds(-1500000, "-1.5\n");
    check_seconds(1500000, "1.5\n");
    check_seconds(999999, "0.999999\n");
    check_seconds(-100000, "-0.1\n");
    check_seconds(1000100, "1.0001\n");
}
END_TEST

START_TEST(an_exit_is_told)
{
    struct exit_info none = {.how = EXIT_HOW_NONE};
    struct exit_info code = {.how = EXIT_HOW_EXITED, .code = 3, .source = EXIT_SOURCE_WAIT, .at = 1500000};
    struct exit_info killed = {.how = EXIT_HOW_SIGNALED, .signal = 11, .core = true, .source = EXIT_SOURCE_PIDFD};
    struct exit_info unknown = {.how = EXIT_HOW_UNKNOWN, .code = 9, .signal = 9};

    check_exit(&none, "null\n");
    check_exit(&code, "{\"how\":\"exited\",\"code\":3,\"signal\":null,\"core\":false,\"oom\":false,\"at\":1.5,"
                      "\"source\":\"wait\",\"usage\":null}\n");
    check_exit(&killed,
               "{\"how\":\"signaled\",\"code\":null,\"signal\":\"SEGV\",\"core\":true,\"oom\":false,\"at\":0.0,"
               "\"source\":\"pidfd\",\"usage\":null}\n");
    killed.core = false;
    killed.oom = true;
    check_exit(&killed, "{\"how\":\"signaled\",\"code\":null,\"signal\":\"SEGV\",\"core\":false,\"oom\":true,"
                        "\"at\":0.0,\"source\":\"pidfd\",\"usage\":null}\n");
    check_exit(&unknown, "{\"how\":\"unknown\",\"code\":null,\"signal\":null,\"core\":false,\"oom\":false,\"at\":0.0,"
                         "\"source\":\"none\",\"usage\":null}\n");
}
END_TEST

START_TEST(the_usage_of_a_process_is_told)
{
    struct exit_info info = {.how = EXIT_HOW_EXITED, .source = EXIT_SOURCE_WAIT};
    struct usage usage = {
        .cpu_from = USAGE_CGROUP,
        .memory_from = USAGE_CGROUP,
        .rest_from = USAGE_WAIT,
        .has_io = true,
        .io_read = 1,
        .io_written = 2,
        .cpu_user = 40000,
        .cpu_system = 10000,
        .run_time = 3200000,
        .memory_peak = 7340032,
        .faults_minor = 5,
        .faults_major = 6,
        .switches_voluntary = 7,
        .switches_involuntary = 8,
    };

    check_exit_of(
        &info, &usage,
        "{\"how\":\"exited\",\"code\":0,\"signal\":null,\"core\":false,\"oom\":false,\"at\":0.0,\"source\":\"wait\","
        "\"usage\":{\"source\":\"cgroup\",\"run-time\":3.2,\"cpu-user\":0.04,\"cpu-system\":0.01,"
        "\"memory-peak\":7340032,\"memory-source\":\"cgroup\",\"io-read\":1,\"io-written\":2,"
        "\"faults-minor\":5,\"faults-major\":6,\"switches-voluntary\":7,\"switches-involuntary\":8}}\n");

    usage.cpu_from = usage.rest_from = USAGE_PROC;
    usage.memory_from = USAGE_UNKNOWN;
    usage.has_io = false;
    check_exit_of(
        &info, &usage,
        "{\"how\":\"exited\",\"code\":0,\"signal\":null,\"core\":false,\"oom\":false,\"at\":0.0,\"source\":\"wait\","
        "\"usage\":{\"source\":\"proc\",\"run-time\":3.2,\"cpu-user\":0.04,\"cpu-system\":0.01,"
        "\"memory-peak\":null,\"memory-source\":null,\"io-read\":null,\"io-written\":null,"
        "\"faults-minor\":5,\"faults-major\":6,\"switches-voluntary\":null,"
        "\"switches-involuntary\":null}}\n");
}
END_TEST

START_TEST(a_service_is_shown_whole)
{
    char *command[] = {"/bin/x", "-y", NULL};
    struct spec_logs logs = {.log = {.kind = LOG_KIND_FILE, .path = "/var/log/web.log"}};
    struct spec spec = {.name = "web", .command = command, .logs = &logs};
    struct svc svc = {.state = SVC_RUNNING,
                      .desired_up = true,
                      .adopted = true,
                      .life = 3,
                      .restarts = 2,
                      .since = {.mono = 5000000, .wall = 1000000},
                      .started = {.mono = 5000000, .wall = 1000000},
                      .proc = {.pid = 4711}};
    struct proto_service service = {
        .name = "web",
        .svc = &svc,
        .spec = &spec,
        .now = {.mono = 8200000, .wall = 4200000},
        .config_stale = true,
        .usage = {.known = true, .stopped = true, .paused = true, .memory = 4096, .cpu = 500000, .tasks = 2},
        .enabled = true,
        .next_run = 5000000,
        .cgroup = "/sys/fs/cgroup/x",
        .memory_max = 65536,
        .health = "healthy",
        .health_text = "200 OK",
        .status_text = "serving",
    };
    struct json_out out = {0};

    proto_service_object(&out, &service);
    check_out(
        &out,
        "{\"name\":\"web\",\"state\":\"running\",\"desired\":\"up\",\"ready\":true,\"pid\":4711,\"adopted\":true,"
        "\"since\":1.0,\"uptime\":3.2,\"starts\":3,\"restarts\":2,\"next-start-in\":null,\"reason\":null,"
        "\"control\":null,\"exit\":null,\"config-stale\":true,\"stopped\":true,\"paused\":true,"
        "\"log\":{\"out\":\"/var/log/web.log\",\"err\":null},\"log-to\":{\"out\":\"file\",\"err\":null},"
        "\"memory\":4096,\"cpu\":0.5,\"tasks\":2,\"command\":[\"/bin/x\",\"-y\"],\"enabled\":true,\"next-run\":5.0,"
        "\"sockets\":[],\"fd-store\":[],\"cgroup\":\"/sys/fs/cgroup/x\",\"memory-max\":65536,"
        "\"health\":\"healthy\",\"health-text\":\"200 OK\",\"status-text\":\"serving\"}\n");

    json_t *sockets = json_pack("[{s:b}]", "open", 1);
    json_t *kept = json_pack("[s, s]", "a", "b");
    svc.state = SVC_BACKOFF;
    svc.deadline = 8300000;
    svc.proc.pid = 0;
    svc.ended = true;
    svc.exit = (struct exit_info){.how = EXIT_HOW_EXITED, .code = 1, .source = EXIT_SOURCE_WAIT};
    snprintf(svc.rare.reason, sizeof svc.rare.reason, "exit 1");
    service = (struct proto_service){.name = "web",
                                     .svc = &svc,
                                     .spec = &spec,
                                     .now = service.now,
                                     .usage = {.stopped = true},
                                     .memory_max = -1,
                                     .sockets = sockets,
                                     .fd_store = kept};
    proto_service_object(&out, &service);
    check_out(&out,
              "{\"name\":\"web\",\"state\":\"backoff\",\"desired\":\"up\",\"ready\":false,\"pid\":null,"
              "\"adopted\":false,\"since\":1.0,\"uptime\":null,\"starts\":3,\"restarts\":2,\"next-start-in\":0.1,"
              "\"reason\":\"exit 1\",\"control\":null,\"exit\":{\"how\":\"exited\",\"code\":1,\"signal\":null,"
              "\"core\":false,\"oom\":false,\"at\":0.0,\"source\":\"wait\",\"usage\":null},\"config-stale\":false,"
              "\"stopped\":false,\"paused\":false,\"log\":{\"out\":\"/var/log/web.log\",\"err\":null},"
              "\"log-to\":{\"out\":\"file\",\"err\":null},\"memory\":null,\"cpu\":null,\"tasks\":null,"
              "\"command\":[\"/bin/x\",\"-y\"],\"enabled\":false,\"next-run\":null,\"sockets\":[{\"open\":true}],"
              "\"fd-store\":[\"a\",\"b\"],\"cgroup\":null,\"memory-max\":null,\"health\":null,\"health-text\":null,"
              "\"status-text\":null}\n");
    json_decref(sockets);
    json_decref(kept);

    service.waits_for = "for web";
    proto_service_row(&out, &service, (const enum proto_key[]){PROTO_STATE, PROTO_NAME, PROTO_REASON}, 3);
    check_out(&out, "[\"backoff\",\"web\",\"for web\"]\n");
}
END_TEST

/* Each way of writing a value, behind another and in front of one. */
START_TEST(text_reads_back_as_the_tree_does)
{
    struct json_out out = {0};
    json_t *tree = json_pack("{s:[i,n]}", "t", 1);

    json_out_open(&out, '[');
    json_out_int(&out, 0);
    json_out_int(&out, INT64_MIN);
    json_out_int(&out, INT64_MAX);
    json_out_seconds(&out, INT64_MIN);
    json_out_bool(&out, true);
    json_out_open(&out, '{');
    json_out_close(&out, '}');
    json_out_open(&out, '{');
    json_out_key(&out, "a");
    json_out_bool(&out, false);
    json_out_key(&out, "b");
    json_out_tree(&out, tree);
    json_out_close(&out, '}');
    json_out_null(&out);
    json_out_close(&out, ']');
    json_decref(tree);
    check_out(&out, "[0,-9223372036854775808,9223372036854775807,-9223372036854.775808,true,{},{\"a\":false,\"b\":{"
                    "\"t\":[1,null]}},null]\n");
}
END_TEST

START_TEST(keys_have_names)
{
    enum proto_key key;

    for (enum proto_key k = 0; k < PROTO_N_KEYS; k++) {
        ck_assert(proto_key_find(proto_key_name(k), &key));
        ck_assert_int_eq(key, k);
    }
    ck_assert(!proto_key_find("nam", &key));
    ck_assert(!proto_key_find("", &key));
}
END_TEST

START_TEST(names_and_globs)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"web", "web", true},     {"web", "web2", false},     {"web2", "web", false},
        {"", "", true},           {"", "a", false},           {"*", "anything", true},
        {"*", "", true},          {"w*b", "web", true},       {"w*b", "webs", false},
        {"?eb", "web", true},     {"?", "", false},           {"??", "a", false},
        {"*.db", "x.db", true},   {"*a*b*c", "xaybzc", true}, {"*a*b*c", "xaybz", false},
        {"[a-c]1", "b1", true},   {"[a-c]1", "d1", false},    {"[!a-c]1", "d1", true},
        {"[!a-c]1", "b1", false}, {"[]x]", "]", true},        {"[x", "[x", true},
        {"[x", "x", false},       {"a[", "a[", true},         {"[a-]", "-", true},
        {"web@*", "web@3", true}, {"*@[12]", "web@2", true},  {"*@[12]", "web@3", false},
        {"**", "a", true},        {"*[0-9]", "ab7", true},    {"*[0-9]x", "a1b2x", true},
        {"[", "", false},         {"\\*", "*", false},        {"web", "web@3", true},
        {"we", "web@3", false},   {"web@3", "web@30", false}, {"w?b", "web@3", true},
        {"*b", "web@3", true},    {"web@3", "web@3", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(proto_name_matches(cases[i].pattern, cases[i].name) == cases[i].matches, "%s against %s",
                      cases[i].pattern, cases[i].name);
    ck_assert(proto_is_glob("a*"));
    ck_assert(proto_is_glob("a?"));
    ck_assert(proto_is_glob("[a]"));
    ck_assert(!proto_is_glob("a.b-c_d@1"));
}
END_TEST

/* A matcher that tries every way to share out the name would not come back from this. */
START_TEST(a_hostile_pattern_takes_no_time)
{
    char pattern[PROTO_MAX_PATTERN + 2], name[SPEC_NAME_MAX + 1];

    for (size_t i = 0; i < PROTO_MAX_PATTERN; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[PROTO_MAX_PATTERN - 1] = 'b';
    pattern[PROTO_MAX_PATTERN] = '\0';
    memset(name, 'a', SPEC_NAME_MAX);
    name[SPEC_NAME_MAX] = '\0';
    for (int i = 0; i < 1000; i++)
        ck_assert(!proto_name_matches(pattern, name));

    memset(pattern, '*', PROTO_MAX_PATTERN + 1);
    pattern[PROTO_MAX_PATTERN] = '\0';
    ck_assert(proto_name_matches(pattern, name));
    pattern[PROTO_MAX_PATTERN] = '*';
    pattern[PROTO_MAX_PATTERN + 1] = '\0';
    ck_assert(!proto_name_matches(pattern, name));
}
END_TEST

START_TEST(a_reason_does_not_say_the_state_again)
{
    static const struct {
        const char *state, *reason, *said;
    } cases[] = {
        {"stopping", "stopped by command", "by command"},
        {"stopped", "stopped: it requires db", "it requires db"},
        {"stopped", "stopped with db", "with db"},
        {"stopped", "supd is shutting down", "supd is shutting down"},
        {"stopped", "stoppedness", "stoppedness"},
        {"stopped", "stopped", "stopped"},
        {"stopping", "restarted by command", "restarted by command"},
        {"failed", "stopped by command", "stopped by command"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(proto_reason_beside(cases[i].state, cases[i].reason), cases[i].said);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("proto");
    TCase *tc = tcase_create("proto");

    tcase_add_test(tc, a_request_is_taken_apart);
    tcase_add_test(tc, id_and_params_may_be_missing);
    tcase_add_test(tc, what_is_no_request_is_refused);
    tcase_add_test(tc, messages_are_built_as_the_contract_has_them);
    tcase_add_test(tc, any_bytes_make_a_string);
    tcase_add_test(tc, times_keep_their_microseconds);
    tcase_add_test(tc, an_exit_is_told);
    tcase_add_test(tc, the_usage_of_a_process_is_told);
    tcase_add_test(tc, a_service_is_shown_whole);
    tcase_add_test(tc, text_reads_back_as_the_tree_does);
    tcase_add_test(tc, keys_have_names);
    tcase_add_test(tc, a_reason_does_not_say_the_state_again);
    tcase_add_test(tc, names_and_globs);
    tcase_add_test(tc, a_hostile_pattern_takes_no_time);
    suite_add_tcase(suite, tc);
    return suite;
}
