/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "check_main.h"
#include "core/spec.h"

static bool set(struct spec *spec, const char *key, const char *value, char err[256])
{
    char *values[] = {(char *)value, NULL};

    err[0] = '\0';
    return spec_set(spec, spec_key_find(key), values, 1, false, err, 256);
}

static void must_set(struct spec *spec, const char *key, const char *value)
{
    char err[256];

    ck_assert_msg(set(spec, key, value, err), "%s = %s: %s", key, value, err);
}

static void must_set_list(struct spec *spec, const char *key, char *const *values)
{
    char err[256];

    ck_assert_msg(spec_set(spec, spec_key_find(key), values, strv_len(values), true, err, sizeof(err)), "%s: %s", key,
                  err);
}

START_TEST(defaults)
{
    struct spec *spec = spec_new("x");

    ck_assert_str_eq(spec->name, "x");
    ck_assert_uint_eq(spec->exec->umask, 022);
    ck_assert(spec->enabled);
    ck_assert_int_eq(spec->life->restart, RESTART_ALWAYS);
    ck_assert(exit_set_has_code(&spec->life->success_exit, 0) && !exit_set_has_code(&spec->life->success_exit, 1));
    ck_assert_int_eq(spec->life->restart_delay, 100000);
    ck_assert_int_eq(spec->life->restart_delay_max, 30000000);
    ck_assert_int_eq(spec->life->restart_reset, 10000000);
    ck_assert_uint_eq(spec->life->restart_limit, 0);
    ck_assert_int_eq(spec->life->start_timeout, 90000000);
    ck_assert_int_eq(spec->life->stop_timeout, 10000000);
    ck_assert_int_eq(spec->life->stop_signal, SIGTERM);
    ck_assert_int_eq(spec->life->kill_mode, KILL_MODE_GROUP);
    ck_assert_int_eq(spec->logs->log.kind, LOG_KIND_INHERIT);
    ck_assert_int_eq(spec->logs->log_error.kind, LOG_KIND_UNSET);
    ck_assert_ptr_null(spec->command);
    spec_free(spec);
}
END_TEST

static const struct {
    const char *key;
    const char *value;
    const char *word; /* of the error; NULL: it is good */
} singles[] = {
    {"command", "/bin/true", NULL},
    {"command", "", "program"},
    {"command", "''", "program"},
    {"command", "'x", "quote"},
    {"directory", "/srv", NULL},
    {"directory", "srv", "'srv'"},
    {"directory", "", "empty"},
    {"umask", "0", NULL},
    {"umask", "0777", NULL},
    {"umask", "1000", "1000"},
    {"umask", "8", "octal"},
    {"umask", "-1", "-1"},
    {"environment", "A=", NULL},
    {"environment", "A", "KEY=VALUE"},
    {"environment", "=x", "name"},
    {"environment", "1A=x", "1A"},
    {"environment-file", "-/x", NULL},
    {"environment-file", "-x", "absolute"},
    {"user", "", "empty"},
    {"enabled", "off", NULL},
    {"enabled", "Yes", "yes"},
    {"restart", "on-abnormal", NULL},
    {"restart", "on-failur", "did you mean 'on-failure'?"},
    {"success-exit", "SIGHUP", NULL},
    {"success-exit", "256", "256"},
    {"success-exit", "FOO", "FOO"},
    {"success-exit", "", "''"},
    {"restart-delay", "0", NULL},
    {"restart-delay", "soon", "soon"},
    {"restart-limit", "4294967295", NULL},
    {"restart-limit", "4294967296", "4294967296"},
    {"stop-signal", "9", NULL},
    {"stop-signal", "TREM", "TERM"},
    {"kill-mode", "mixed", NULL},
    {"kill-mode", "cgroup", NULL},
    {"cgroup.memory-max", "64M", NULL},
    {"cgroup.memory-max", "infinity", NULL},
    {"cgroup.memory-max", "64MB", "'64MB'"},
    {"cgroup.memory-max", "-1", "size"},
    {"cgroup.swap-max", "0", NULL},
    {"cgroup.pids-max", "100", NULL},
    {"cgroup.pids-max", "0", "from 1"},
    {"cgroup.pids-max", "4194305", "4194305"},
    {"cgroup.cpu-max", "50%", NULL},
    {"cgroup.cpu-max", "250%", NULL},
    {"cgroup.cpu-max", "20ms/100ms", NULL},
    {"cgroup.cpu-max", "50", "50% (of one CPU)"},
    {"cgroup.cpu-max", "0%", "at least 1ms"},
    {"cgroup.cpu-max", "10ms/2s", "from 1ms to 1s"},
    {"cgroup.cpu-max", "10ms/", "'10ms/'"},
    {"cgroup.cpu-weight", "10000", NULL},
    {"cgroup.cpu-weight", "0", "from 1 to 10000"},
    {"cgroup.io-weight", "10001", "10001"},
    {"kill-mode", "grup", "group"},
    {"log", "/x", NULL},
    {"log", "none", NULL},
    {"log", "journal", NULL},
    {"log", "/x/", "has to be a file"},
    {"log-max-size", "10M", NULL},
    {"log-max-size", "-1", "not a size"},
    {"log-format", "jso", "did you mean 'json'"},
    {"log-timestamp", "%F %T", NULL},
    {"log-timestamp", "later", "neither yes nor no nor a format"},
    {"log-prefix", "a\nb", "a part of a line"},
    {"log-rate-limit", "1M/10s", NULL},
    {"log-rate-limit", "1M/0", "neither off nor SIZE/DURATION"},
    {"log-rate-limit", "0/1s", "neither off nor SIZE/DURATION"},
    {"log-owner", "root:adm", NULL},
    {"log-owner", ":adm", "neither USER nor USER:GROUP"},
    {"log-when-full", "wait", "none of block, drop"},
    {"log", "x.log", "absolute"},
    {"schedule", "@hourly", NULL},
    {"schedule", "0 3 * * 8", "weekday '8'"},
    {"listen", "tcp:127.0.0.1:80,name=x", NULL},
    {"listen", "tcp:80", "'tcp:80': it has no address"},
    {"listen", "", "no kind"},
    {"ready", "notify", NULL},
    {"ready", "notify-reload", NULL},
    {"ready", "fd:3", NULL},
    {"ready", "fd:2", "from 3 to 1023"},
    {"ready", "fd:1024", "from 3 to 1023"},
    {"ready", "fd:", "from 3 to 1023"},
    {"ready", "after 250ms", NULL},
    {"ready", "after 0", "duration"},
    {"ready", "after", "none of exec"},
    {"ready", "port:127.0.0.1:80", NULL},
    {"ready", "port:[::1]:80", NULL},
    {"ready", "port:80", "port:127.0.0.1:80"},
    {"ready", "port:*:80", "port:127.0.0.1:80"},
    {"ready", "port:127.0.0.1:80,name=x", "port:127.0.0.1:80"},
    {"ready", "path:/run/x", NULL},
    {"ready", "path:run/x", "absolute"},
    {"ready", "check", NULL},
    {"check.tcp", "127.0.0.1:80", NULL},
    {"check.tcp", "unix:/run/x", NULL},
    {"check.tcp", "80", "no address and port"},
    {"check.http", "http://127.0.0.1/", NULL},
    {"check.http", "http://localhost:8080/a?b=c", NULL},
    {"check.http", "http://[::1]", NULL},
    {"check.http", "http://unix:/run/x.sock:/healthz", NULL},
    {"check.http", "https://127.0.0.1/", "none that can be asked"},
    {"check.http", "http://example.org/", "none that can be asked"},
    {"check.http", "http://127.0.0.1/a b", "none that can be asked"},
    {"check.http-status", "204", NULL},
    {"check.http-status", "299-200", "write 200, or 200-299"},
    {"check.http-status", "2000", "write 200, or 200-299"},
    {"check.max-cpu", "200%", NULL},
    {"check.max-cpu", "80", "write 80%"},
    {"check.max-cpu", "0%", "write 80%"},
    {"check.on-failure", "mark", NULL},
    {"check.on-failure", "/bin/alert me", NULL},
    {"check.on-failure", "reboot", "none of restart, stop, mark"},
    {"ready", "log:up", NULL},
    {"ready", "log:^(a|b)[0-9]+ \\.$", NULL},
    {"ready", "log:", "says nothing to look for"},
    {"ready", "log:a(b", "'a(b' is no extended regular expression: "},
    {"ready", "notfy", "none of exec, notify"},
    {"notify-access", "all", NULL},
    {"notify-access", "any", "none of none, main, exec, all"},
    {"fd-store", "400", NULL},
    {"fd-store", "-1", "number"},
    {"watchdog", "1m30s", NULL},
    {"watchdog", "0", NULL},
    {"watchdog", "on", "neither off nor a duration"},
    {"start", "on-demand", NULL},
    {"start", "demand", "none of auto, on-demand"},
    {"instances", "0", NULL},
    {"instances", "10000", NULL},
    {"instances", "10001", "from 0 to 10000"},
    {"instances", "-1", "from 0 to 10000"},
    {"after", "db", NULL},
    {"after", "db@0", "'db@0' is not the name of a service"},
    {"after", "db, web", "write several as {\"a\", \"b\"}"},
    {"instances", "", "from 0 to 10000"},
};

/* A bad value leaves the spec as it was. */
START_TEST(single_values)
{
    struct spec *spec = spec_new("x");
    struct spec *before = spec_new("x");
    char err[256];
    bool ok = set(spec, singles[_i].key, singles[_i].value, err);

    ck_assert_msg(ok == (singles[_i].word == NULL), "%s = '%s': %s", singles[_i].key, singles[_i].value, err);
    if (!ok) {
        ck_assert_msg(strstr(err, singles[_i].word) != NULL, "'%s' in '%s'", singles[_i].word, err);
        for (size_t i = 0; i < spec_n_keys; i++)
            ck_assert(spec_key_equal(spec, before, &spec_keys[i]));
    }
    spec_free(spec);
    spec_free(before);
}
END_TEST

START_TEST(lists)
{
    struct spec *spec = spec_new("x");
    char *words[] = {"/bin/a b", "", "c d", NULL};
    char *set1[] = {"A=1", "B=1", NULL};
    char *set2[] = {"B=2", "C=2", NULL};
    char *exits[] = {"1", "15", "TERM", "RTMIN+1", NULL};
    char *one[] = {"no", NULL};
    char *none[] = {NULL};
    char err[256];

    must_set_list(spec, "command", words);
    ck_assert(strv_equal(spec->command, words));
    must_set(spec, "command", "/bin/a b");
    ck_assert_uint_eq(strv_len(spec->command), 2);

    must_set_list(spec, "environment", set1);
    must_set_list(spec, "environment", set2);
    ck_assert_uint_eq(strv_len(spec->place->environment), 3);
    ck_assert_str_eq(strv_env_get(spec->place->environment, "B"), "2");
    must_set(spec, "environment-file", "/a");
    must_set(spec, "environment-file", "-/b");
    ck_assert_uint_eq(strv_len(spec->place->environment_files), 2);

    must_set_list(spec, "success-exit", exits);
    ck_assert(!exit_set_has_code(&spec->life->success_exit, 0) && exit_set_has_code(&spec->life->success_exit, 15));
    ck_assert(exit_set_has_signal(&spec->life->success_exit, SIGTERM));
    ck_assert(exit_set_has_signal(&spec->life->success_exit, SIGRTMIN + 1));
    must_set_list(spec, "success-exit", none);
    ck_assert(!exit_set_has_code(&spec->life->success_exit, 1));

    char *sockets[] = {"tcp:[0::1]:80,backlog=7", "unix:/x,mode=600", NULL};
    char *twice[] = {"unix:/x", "tcp:*:80", "unix:/x,name=b", NULL};
    must_set_list(spec, "listen", sockets);
    ck_assert_str_eq(spec->around->listen[0], "tcp:[::1]:80,backlog=7");
    ck_assert_str_eq(spec->around->listen[1], "unix:/x,mode=0600");
    ck_assert(!spec_set(spec, spec_key_find("listen"), twice, 3, true, err, sizeof(err)));
    ck_assert_msg(strstr(err, "'unix:/x' is there twice") != NULL, "%s", err);
    ck_assert_uint_eq(strv_len(spec->around->listen), 2);

    ck_assert(!spec_set(spec, spec_key_find("restart"), one, 1, true, err, sizeof(err)));
    ck_assert_msg(strstr(err, "not a list") != NULL, "%s", err);
    ck_assert(!spec_set(spec, spec_key_find("command"), none, 0, true, err, sizeof(err)));
    spec_free(spec);
}
END_TEST

START_TEST(exit_sets)
{
    struct exit_set set = {0};

    exit_set_add_code(&set, 255);
    exit_set_add_code(&set, 256);
    exit_set_add_code(&set, -1);
    exit_set_add_signal(&set, 64);
    exit_set_add_signal(&set, 65);
    exit_set_add_signal(&set, 0);
    ck_assert(exit_set_has_code(&set, 255) && exit_set_has_signal(&set, 64));
    ck_assert(!exit_set_has_code(&set, 256) && !exit_set_has_code(&set, -1));
    ck_assert(!exit_set_has_signal(&set, 0) && !exit_set_has_signal(&set, 65));
    int n = 0;
    for (int i = -10; i < 300; i++)
        n += exit_set_has_code(&set, i) + exit_set_has_signal(&set, i);
    ck_assert_int_eq(n, 2);
}
END_TEST

START_TEST(words)
{
    static const struct {
        const char *text;
        const char *want; /* each ended by '|'; NULL: an error */
    } cases[] = {
        {"", ""},
        {" \t\n ", ""},
        {"a  b\tc\n", "a|b|c|"},
        {"a'b c'd", "ab cd|"},
        {"'' \"\"", "||"},
        {"'\\n\"'", "\\n\"|"},
        {"\"a\\\"b\\\\c\\d\\$e\\`f\"", "a\"b\\c\\d$e`f|"},
        {"a\\ b \\'", "a b|'|"},
        {"a\\\nb \"c\\\nd\"", "ab|cd|"},
        {"$HOME ${X} *.c ~ `ls` # no | > comment;", "$HOME|${X}|*.c|~|`ls`|#|no|||>|comment;|"},
        {"'a", NULL},
        {"\"a\\\"", NULL},
        {"a b\\", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char err[256] = "";
        char **v = spec_split_words(cases[i].text, err, sizeof(err));
        char *all = xstrdup("");
        for (size_t j = 0; v != NULL && v[j] != NULL; j++) {
            char *more = xasprintf("%s%s|", all, v[j]);
            free(all);
            all = more;
        }
        ck_assert_msg((v == NULL) == (cases[i].want == NULL), "'%s'", cases[i].text);
        if (v != NULL)
            ck_assert_str_eq(all, cases[i].want);
        else
            ck_assert_str_ne(err, "");
        free(all);
        strv_free(v);
    }
}
END_TEST

START_TEST(names)
{
    char name[SPEC_NAME_MAX + 2];

    ck_assert(spec_name_valid("a") && spec_name_valid("A.b_c-9") && spec_name_valid("_x") && spec_name_valid("0"));
    ck_assert(!spec_name_valid("") && !spec_name_valid(".a") && !spec_name_valid("-a") && !spec_name_valid("a b"));
    ck_assert(!spec_name_valid("a@1") && !spec_name_valid("a/b") && !spec_name_valid("\xc3\xa4"));
    memset(name, 'x', sizeof(name));
    name[SPEC_NAME_MAX + 1] = '\0';
    ck_assert(!spec_name_valid(name));
    name[SPEC_NAME_MAX] = '\0';
    ck_assert(spec_name_valid(name));
}
END_TEST

START_TEST(validate)
{
    struct spec *spec = spec_new("x");
    char err[256];

    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "command"));
    must_set(spec, "command", "/bin/true");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    must_set(spec, "restart-delay", "1m");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "restart-delay-max (30s)"));
    must_set(spec, "restart-delay-max", "60");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    must_set(spec, "start", "on-demand");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "listen"));
    must_set(spec, "listen", "unix:@x");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    must_set(spec, "persistent", "yes");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "persistent goes with schedule"));
    must_set(spec, "schedule", "@daily");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "type = oneshot"));
    must_set(spec, "type", "oneshot");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "start = on-demand"));
    must_set(spec, "start", "auto");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "restart = always"));
    must_set(spec, "restart", "on-failure");
    ck_assert(spec_validate(spec, err, sizeof(err)));
    must_set(spec, "cgroup.memory-max", "0");
    ck_assert(!spec_validate(spec, err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "leaves no memory"));
    spec_free(spec);
}
END_TEST

/* What is written to the kernel's files. */
START_TEST(cgroup_settings)
{
    static const struct {
        const char *key, *value, *file, *text;
        enum cgroup_controller controller;
    } cases[CGROUP_N_SETTINGS] = {
        {"cgroup.memory-max", "64M", "memory.max", "67108864", CGROUP_MEMORY},
        {"cgroup.memory-high", "infinity", "memory.high", "max", CGROUP_MEMORY},
        {"cgroup.swap-max", "0", "memory.swap.max", "0", CGROUP_MEMORY},
        {"cgroup.pids-max", "12", "pids.max", "12", CGROUP_PIDS},
        {"cgroup.cpu-max", "150%", "cpu.max", "150000 100000", CGROUP_CPU},
        {"cgroup.cpu-weight", "7", "cpu.weight", "7", CGROUP_CPU},
        {"cgroup.io-weight", "900", "io.weight", "900", CGROUP_IO},
    };
    static const char *const unset[CGROUP_N_SETTINGS] = {"max", "max", "max", "max", "max", "100", "100"};
    struct spec *spec = spec_new("x");
    struct cgroup_setting settings[CGROUP_N_SETTINGS];

    ck_assert_ptr_null(spec_cgroup_need(spec));
    must_set(spec, "kill-mode", "cgroup");
    ck_assert_str_eq(spec_cgroup_need(spec), "kill-mode = cgroup");
    spec_cgroup_settings(spec->cgroup, settings);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++) {
        ck_assert(!settings[i].set);
        ck_assert_str_eq(settings[i].value, unset[i]);
        must_set(spec, cases[i].key, cases[i].value);
    }
    spec_cgroup_settings(spec->cgroup, settings);
    for (size_t i = 0; i < CGROUP_N_SETTINGS; i++) {
        ck_assert(settings[i].set);
        ck_assert_str_eq(settings[i].key, cases[i].key);
        ck_assert_str_eq(settings[i].file, cases[i].file);
        ck_assert_str_eq(settings[i].value, cases[i].text);
        ck_assert_int_eq(settings[i].controller, cases[i].controller);
    }
    ck_assert_str_eq(spec_cgroup_need(spec), "cgroup.memory-max");
    spec_free(spec);
}
END_TEST

/* A value other than the default for each key. */
static const struct {
    const char *key;
    const char *value;
} others[] = {
    {"command", "/bin/x"},
    {"directory", "/d"},
    {"umask", "077"},
    {"environment", "A=1"},
    {"environment-file", "/e"},
    {"user", "u"},
    {"group", "g"},
    {"supplementary-groups", "adm"},
    {"clear-environment", "yes"},
    {"instances", "2"},
    {"after", "db"},
    {"before", "db"},
    {"requires", "db"},
    {"requisite", "db"},
    {"wants", "db"},
    {"binds-to", "db@2"},
    {"part-of", "db@%i"},
    {"conflicts", "db"},
    {"stdin", "/dev/zero"},
    {"tty", "/dev/tty9"},
    {"capabilities", "net_raw"},
    {"capability-bounding-set", "~CAP_SYS_ADMIN"},
    {"no-new-privileges", "yes"},
    {"parent-death-signal", "KILL"},
    {"private-tmp", "yes"},
    {"read-only-paths", "-/usr"},
    {"nice", "5"},
    {"io-class", "idle"},
    {"cpu-affinity", "1"},
    {"oom-score-adj", "-7"},
    {"limit-as", "1"},
    {"limit-core", "1"},
    {"limit-cpu", "1"},
    {"limit-data", "1"},
    {"limit-fsize", "1"},
    {"limit-locks", "1"},
    {"limit-memlock", "1"},
    {"limit-msgqueue", "1"},
    {"limit-nice", "1"},
    {"limit-nofile", "1:2"},
    {"limit-nproc", "1"},
    {"limit-rss", "1"},
    {"limit-rtprio", "1"},
    {"limit-rttime", "1"},
    {"limit-sigpending", "1"},
    {"limit-stack", "infinity"},
    {"enabled", "no"},
    {"essential", "yes"},
    {"start", "on-demand"},
    {"schedule", "every 5m"},
    {"persistent", "yes"},
    {"listen", "unix:/x,mode=0600"},
    {"restart", "no"},
    {"success-exit", "1"},
    {"log", "none"},
    {"restart-prevent-exit", "2"},
    {"restart-delay", "1s"},
    {"restart-delay-max", "9"},
    {"log-error", "/l"},
    {"log-max-size", "20M"},
    {"log-max-age", "1d"},
    {"log-keep", "7"},
    {"log-compress", "yes"},
    {"log-format", "json"},
    {"log-timestamp", "%s"},
    {"log-prefix", "x: "},
    {"log-mode", "0600"},
    {"log-owner", "0:4"},
    {"log-rate-limit", "64K/1s"},
    {"log-when-full", "drop"},
    {"restart-reset", "1"},
    {"restart-limit", "5"},
    {"start-timeout", "1"},
    {"stop-timeout", "1"},
    {"stop-signal", "INT"},
    {"kill-mode", "mixed"},
    {"type", "forking"},
    {"remain-after-exit", "yes"},
    {"pid-file", "/p"},
    {"reload-signal", "HUP"},
    {"ready", "after 5s"},
    {"notify-access", "exec"},
    {"watchdog", "30s"},
    {"watchdog-signal", "USR1"},
    {"fd-store", "3"},
    {"pre-start", "-/bin/a b"},
    {"post-start", "/bin/b"},
    {"reload-command", "/bin/c"},
    {"stop-command", "/bin/d"},
    {"post-stop", "/bin/e"},
    {"check.command", "/bin/check"},
    {"check.tcp", "127.0.0.1:1"},
    {"check.http", "http://127.0.0.1:1/x"},
    {"check.http-status", "200"},
    {"check.http-body", "fine"},
    {"check.max-memory", "1G"},
    {"check.max-cpu", "50%"},
    {"check.interval", "1s"},
    {"check.timeout", "1s"},
    {"check.start-period", "1m"},
    {"check.failures", "1"},
    {"check.successes", "2"},
    {"check.on-failure", "/bin/alert"},
    {"cgroup.memory-max", "64M"},
    {"cgroup.memory-high", "infinity"},
    {"cgroup.swap-max", "0"},
    {"cgroup.cpu-max", "12ms500us/25ms"},
    {"cgroup.cpu-weight", "50"},
    {"cgroup.io-weight", "500"},
    {"cgroup.pids-max", "10"},
};

/* Each key alone: equality, copy and digest notice it, and reading what was written gives the same again. */
START_TEST(every_key)
{
    ck_assert_uint_eq(spec_n_keys, sizeof(others) / sizeof(others[0]));

    for (size_t i = 0; i < spec_n_keys; i++) {
        const struct spec_key *key = spec_key_find(others[i].key);
        struct spec *plain = spec_new("x");
        struct spec *spec = spec_new("x");
        must_set(spec, others[i].key, others[i].value);
        for (size_t k = 0; k < spec_n_keys; k++)
            ck_assert_msg(spec_key_equal(plain, spec, &spec_keys[k]) == (&spec_keys[k] != key), "%s", key->name);

        struct spec *copy = spec_dup(spec);
        ck_assert(spec_key_equal(spec, copy, key));
        ck_assert_uint_eq(spec_process_digest(spec), spec_process_digest(copy));
        /* It gets a FIFO in place of supd's own output. */
        bool gets_fifo = spec_log_is_piped(spec, false) != spec_log_is_piped(plain, false);
        bool needs_process = gets_fifo || (key->flags & KEY_F_PROCESS) != 0;
        ck_assert_msg((spec_process_digest(spec) != spec_process_digest(plain)) == needs_process, "%s", key->name);

        bool is_list;
        char err[256];
        char **values = spec_get(spec, key, &is_list);
        ck_assert(spec_set(plain, key, values, strv_len(values), is_list, err, sizeof(err)));
        ck_assert_msg(spec_key_equal(spec, plain, key), "%s", key->name);
        strv_free(values);
        spec_free(plain);
        spec_free(spec);
        spec_free(copy);
    }
}
END_TEST

/* What several specs have in common changes with none of them, whichever key it is. */
START_TEST(what_is_common_is_not_changed)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        const struct spec_key *key = spec_key_find(others[i].key);
        struct spec *first = spec_new("x");
        struct spec *second = spec_dup(first);

        must_set(second, others[i].key, others[i].value);
        struct spec *third = spec_dup(second);
        struct spec *fourth = spec_new("x");
        ck_assert_msg(spec_key_equal(first, fourth, key) && !spec_key_equal(first, second, key), "%s", key->name);

        spec_reset(third, key);
        ck_assert_msg(spec_key_equal(third, first, key) && !spec_key_equal(third, second, key), "%s", key->name);
        spec_free(second);
        ck_assert_msg(spec_key_equal(third, first, key) && spec_key_equal(first, fourth, key), "%s", key->name);
        spec_free(first);
        spec_free(third);
        spec_free(fourth);
    }
}
END_TEST

static struct spec *push(struct spec_list *list, const char *name, const char *key, const char *value)
{
    struct spec *spec = spec_new(name);

    must_set(spec, "user", "someone");
    spec_own_exec(spec)->ids = (struct spec_ids){.set = true, .uid = 5, .gid = 6, .n_groups = 1};
    spec_own_exec(spec)->ids.groups = xcalloc(1, sizeof(uint32_t));
    spec_own_exec(spec)->ids.user_name = xstrdup("u");
    must_set(spec, "log", "/log");
    spec_own_source(spec)->file = xstrdup("x.conf");
    if (key != NULL)
        must_set(spec, key, value);
    spec_list_push(list, spec);
    return spec;
}

/* Of any key: what differs, if only by the ids that a user has, stays each one's own; all else is there once. */
START_TEST(what_is_said_twice_is_there_once)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        struct spec_list list = {0};
        const struct spec_key *key = spec_key_find(others[i].key);
        struct spec *a = push(&list, "a", others[i].key, others[i].value);
        struct spec *b = push(&list, "b", others[i].key, others[i].value);
        struct spec *c = push(&list, "c", NULL, NULL);

        ck_assert_msg(a->exec == b->exec && a->place == b->place && a->life == b->life && a->around == b->around, "%s",
                      key->name);
        ck_assert_msg(a->logs == b->logs && a->cgroup == b->cgroup && a->check == b->check && a->source == b->source,
                      "%s", key->name);
        ck_assert_msg((a->exec == c->exec) == (key->group != SPEC_EXEC), "%s", key->name);
        ck_assert_msg((a->life == c->life) == (key->group != SPEC_LIFE), "%s", key->name);
        ck_assert_msg((a->logs == c->logs) == (key->group != SPEC_LOGS), "%s", key->name);
        ck_assert_msg(!spec_key_equal(a, c, key) && spec_key_equal(a, b, key), "%s", key->name);
        spec_list_free(&list);
    }
}
END_TEST

START_TEST(ids_and_files_are_looked_at_too)
{
    struct spec_list list = {0};
    struct spec *a = push(&list, "a", NULL, NULL);
    struct spec *b = push(&list, "b", NULL, NULL);
    struct spec *c = spec_dup(a);

    spec_own_exec(c)->ids.groups[0] = 1;
    free(spec_own_source(c)->file);
    spec_own_source(c)->file = xstrdup("y.conf");
    spec_list_push(&list, c);
    ck_assert(a->exec == b->exec && a->exec != c->exec && a->source == b->source && a->source != c->source);
    ck_assert_uint_eq(b->exec->ids.groups[0], 0);
    ck_assert_str_eq(b->source->file, "x.conf");

    spec_own_exec(b)->umask = 077;
    ck_assert_uint_eq(a->exec->umask, 022);
    ck_assert_str_eq(b->exec->ids.user_name, "u");
    spec_list_free(&list);
}
END_TEST

/* Does the process see another log by that key? */
static bool sees_another(const char *log, const char *key, const char *from, const char *to)
{
    struct spec *a = spec_new("x");
    struct spec *b = spec_new("x");

    must_set(a, "log", log);
    must_set(b, "log", log);
    if (from)
        must_set(a, key, from);
    must_set(b, key, to);
    bool sees = spec_process_digest(a) != spec_process_digest(b);
    spec_free(a);
    spec_free(b);
    return sees;
}

/* What goes through a FIFO, and that a process sees that and no more. */
START_TEST(logs_by_fifo)
{
    struct spec *spec = spec_new("web");

    ck_assert(!spec_log_is_piped(spec, false));
    must_set(spec, "log", "/l");
    ck_assert(spec_log_is_piped(spec, false));
    struct log_stream plain = spec_log_stream(spec, false);
    ck_assert_uint_eq(plain.max_size, 10 * 1024 * 1024);
    ck_assert(!log_stream_needs_copy(&plain));
    log_stream_clear(&plain);
    must_set(spec, "log-max-size", "0");
    ck_assert(spec_log_is_piped(spec, false));
    must_set(spec, "log-keep", "9");
    must_set(spec, "log-owner", "5:7");
    ck_assert(!spec_log_is_piped(spec, true));
    must_set(spec, "log-error", "syslog");
    ck_assert(spec_log_is_piped(spec, true));

    struct log_stream out = spec_log_stream(spec, false);
    struct log_stream err = spec_log_stream(spec, true);
    ck_assert_str_eq(out.fifo, "web.fifo");
    ck_assert_str_eq(err.fifo, "web:err.fifo");
    ck_assert_int_eq(out.channel, LOG_CHANNEL_OUT);
    ck_assert_int_eq(err.channel, LOG_CHANNEL_ERR);
    ck_assert_int_eq(err.kind, LOG_SINK_SYSLOG);
    ck_assert_uint_eq(out.uid, 5);
    ck_assert_uint_eq(out.gid, 7);
    ck_assert_uint_eq(out.keep, 9);
    log_stream_clear(&out);
    log_stream_clear(&err);
    must_set(spec, "log", "none");
    ck_assert(!spec_log_is_piped(spec, false));
    must_set(spec, "log", "/dev/null");
    ck_assert_int_eq(spec->logs->log.kind, LOG_KIND_NONE);
    spec_free(spec);

    spec = spec_new("web");
    must_set(spec, "ready", "log:^up$");
    ck_assert(spec_log_is_piped(spec, false));
    ck_assert(!spec_log_is_piped(spec, true));
    must_set(spec, "log-error", "/l");
    must_set(spec, "tty", "/dev/tty9");
    ck_assert(!spec_log_is_piped(spec, false));
    ck_assert(spec_log_is_piped(spec, true));
    spec_free(spec);

    ck_assert(!sees_another("/l", "log", NULL, "/m"));
    ck_assert(!sees_another("/l", "log-max-size", NULL, "0"));
    ck_assert(!sees_another("/l", "log-prefix", NULL, "x"));
    ck_assert(!sees_another("journal", "log", "syslog", "journal"));
    ck_assert(!sees_another("journal", "log", "/l", "journal"));
    ck_assert(sees_another("none", "log", NULL, "/l"));
    ck_assert(sees_another("journal", "log-error", NULL, "syslog"));
    ck_assert(sees_another("inherit", "log-prefix", NULL, "x"));
    ck_assert(!sees_another("none", "log-prefix", NULL, "x"));
}
END_TEST

static const struct {
    const char *name;
    const char *prefix;
    const char *want;
} prefixes[] = {
    {"web", "%n: ", "web: "},
    {"web", "[%n", "[web"},
    {"web", "%%n %n%n %i %", "%n webweb %i %"},
    {"web", "%%%n", "%web"},
    {"web@2", "%n %% is expanded before", "%n %% is expanded before"},
};

START_TEST(log_prefix_has_the_name)
{
    struct spec *spec = spec_new(prefixes[_i].name);

    must_set(spec, "log-prefix", prefixes[_i].prefix);
    struct log_stream stream = spec_log_stream(spec, false);
    ck_assert_str_eq(stream.prefix, prefixes[_i].want);
    ck_assert_str_eq(spec->logs->logging.prefix, prefixes[_i].prefix);
    log_stream_clear(&stream);
    spec_free(spec);
}
END_TEST

START_TEST(exit_set_reads_back)
{
    struct spec *a = spec_new("x");
    struct spec *b = spec_new("x");
    const struct spec_key *key = spec_key_find("success-exit");
    bool is_list;
    char err[256];

    for (int code = 0; code <= 255; code++)
        exit_set_add_code(&spec_own_life(a)->success_exit, code);
    for (int signo = 1; signo <= 64; signo++)
        exit_set_add_signal(&spec_own_life(a)->success_exit, signo);
    char **values = spec_get(a, key, &is_list);
    ck_assert_msg(spec_set(b, key, values, strv_len(values), is_list, err, sizeof(err)), "%s", err);
    ck_assert(spec_key_equal(a, b, key));
    strv_free(values);
    spec_free(a);
    spec_free(b);
}
END_TEST

START_TEST(resolved_ids_count)
{
    struct spec *a = spec_new("x");
    must_set(a, "command", "/bin/x");
    must_set(a, "user", "u");
    spec_own_exec(a)->ids = (struct spec_ids){.set = true, .uid = 5, .gid = 6, .user_name = xstrdup("u")};
    struct spec *b = spec_dup(a);

    ck_assert(spec_key_equal(a, b, spec_key_find("user")));
    spec_own_exec(b)->ids.uid = 7;
    ck_assert(!spec_key_equal(a, b, spec_key_find("user")));
    ck_assert(spec_key_equal(a, b, spec_key_find("group")));
    ck_assert_uint_ne(spec_process_digest(a), spec_process_digest(b));
    spec_own_exec(b)->ids.uid = 5;
    spec_own_exec(b)->ids.groups = xcalloc(1, sizeof(*b->exec->ids.groups));
    spec_own_exec(b)->ids.n_groups = 1;
    ck_assert(!spec_key_equal(a, b, spec_key_find("user")));
    ck_assert_uint_ne(spec_process_digest(a), spec_process_digest(b));
    spec_free(a);
    spec_free(b);
}
END_TEST

/* The digest is stored with running processes: a change of it makes them all stale at the next upgrade. */
START_TEST(digest_is_stable)
{
    struct spec *spec = spec_new("x");

    ck_assert_uint_eq(spec_process_digest(spec), UINT64_C(0xcbf29ce484222325));
    must_set(spec, "command", "/bin/echo hello");
    must_set(spec, "environment", "A=1");
    ck_assert_uint_eq(spec_process_digest(spec), UINT64_C(0x8d4d29ffabd3b4a4));
    spec_free(spec);
}
END_TEST

/* That of a service which used every key of the first version. */
START_TEST(digest_of_old_keys_is_stable)
{
    static const char *const old[] = {
        "directory", "/srv", "umask", "0027",      "environment-file", "-/etc/x", "user", "u",         "group",
        "g",         "log",  "/l",    "log-error", "inherit",          "restart", "no",   "kill-mode", "mixed",
    };
    char *command[] = {"/bin/a", "b c", "", NULL};
    char *environment[] = {"A=1", "B=", NULL};
    struct spec *spec = spec_new("x");

    must_set_list(spec, "command", command);
    must_set_list(spec, "environment", environment);
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i += 2)
        must_set(spec, old[i], old[i + 1]);
    spec_own_exec(spec)->ids =
        (struct spec_ids){.set = true, .uid = 7, .gid = 8, .n_groups = 2, .user_name = xstrdup("u")};
    spec_own_exec(spec)->ids.groups = xcalloc(2, sizeof(*spec->exec->ids.groups));
    spec->exec->ids.groups[1] = 9;
    ck_assert_uint_eq(spec_process_digest(spec), UINT64_C(0x2041b770556b7dce));
    spec_free(spec);
}
END_TEST

START_TEST(list_of_specs)
{
    struct spec_list list = {0};
    char name[16];

    ck_assert_ptr_null(spec_list_find(&list, "a"));
    spec_list_sort(&list);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "s%d", i * 7 % 1000);
        spec_list_push(&list, spec_new(name));
    }
    spec_list_sort(&list);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        ck_assert_str_eq(spec_list_find(&list, name)->name, name);
    }
    ck_assert_ptr_null(spec_list_find(&list, "s1000"));
    spec_list_free(&list);
    ck_assert_uint_eq(list.n, 0);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("spec");
    TCase *tc = tcase_create("spec");

    tcase_add_test(tc, defaults);
    tcase_add_loop_test(tc, single_values, 0, sizeof(singles) / sizeof(singles[0]));
    tcase_add_test(tc, lists);
    tcase_add_test(tc, exit_sets);
    tcase_add_test(tc, words);
    tcase_add_test(tc, names);
    tcase_add_test(tc, validate);
    tcase_add_test(tc, cgroup_settings);
    tcase_add_test(tc, every_key);
    tcase_add_test(tc, what_is_common_is_not_changed);
    tcase_add_test(tc, what_is_said_twice_is_there_once);
    tcase_add_test(tc, ids_and_files_are_looked_at_too);
    tcase_add_test(tc, logs_by_fifo);
    tcase_add_loop_test(tc, log_prefix_has_the_name, 0, sizeof(prefixes) / sizeof(prefixes[0]));
    tcase_add_test(tc, exit_set_reads_back);
    tcase_add_test(tc, resolved_ids_count);
    tcase_add_test(tc, digest_is_stable);
    tcase_add_test(tc, digest_of_old_keys_is_stable);
    tcase_add_test(tc, list_of_specs);
    suite_add_tcase(suite, tc);
    return suite;
}
