/* SPDX-License-Identifier: MIT */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/units.h"
#include "check_main.h"
#include "core/instance.h"
#include "core/instance_template.h"
#include "os/config.h"

static char dir[] = "/tmp/test_config.XXXXXX";
static struct config_errors errors;
static struct config *config;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
}

static void teardown(void)
{
    char *command = xasprintf("rm -rf %s", dir);

    config_free(config);
    config = NULL;
    config_errors_clear(&errors);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

static void write_bytes(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void load(const char *name)
{
    config_free(config);
    config_errors_clear(&errors);
    config = config_load(name, &errors);
}

static void load_text(const char *text)
{
    write_text("x.conf", text);
    load("x.conf");
}

static void load_good(const char *text)
{
    load_text(text);
    if (errors.n > 0)
        ck_abort_msg("%s:%u: %s", errors.items[0].file, errors.items[0].line, errors.items[0].message);
}

static const struct spec *service(const char *name)
{
    const struct spec *spec = spec_list_find(&config->services, name);

    ck_assert_msg(spec != NULL, "no service %s", name);
    return spec;
}

static void expect_error(size_t i, const char *file, unsigned line, const char *words)
{
    ck_assert_msg(i < errors.n, "no error %zu: %s", i, words);
    const struct config_error *e = &errors.items[i];
    ck_assert_msg(strcmp(e->file, file) == 0 && e->line == line && strstr(e->message, words) != NULL,
                  "%s:%u: %s where %s:%u: %s should be", e->file, e->line, e->message, file, line, words);
}

#define A "service a { command = x\n"

START_TEST(quoting)
{
    static const char *const want[] = {"/a b", "l'\\x#", "\001A\"\\\n\t", "${X}", "$Y", "un${Z}q+*x", "", "d\ne", NULL};

    load_good("service \"s\" {\n"
              "  command = {\"/a b\", 'l\\'\\\\x#', \"\\x01\\101\\\"\\\\\\n\\t\", \"${X}\", '$Y', un${Z}q+*x,\n"
              "    \"\", \"d\ne\",}\n"
              "}\n");
    ck_assert(strv_equal(service("s")->command, (char *const *)want));
    ck_assert_str_eq(service("s")->source->file, "x.conf");
    ck_assert_uint_eq(service("s")->line, 1);
}
END_TEST

START_TEST(list_or_value)
{
    load_good("service one { command = {\"a b\"} }\nservice two { command = \"a b\"\n environment = 'K=1' }\n");
    ck_assert_uint_eq(strv_len(service("one")->command), 1);
    ck_assert_uint_eq(strv_len(service("two")->command), 2);
    ck_assert_str_eq(service("two")->place->environment[0], "K=1");
    load_text("service one { command = x\n restart = {no} }");
    expect_error(0, "x.conf", 2, "not a list");
}
END_TEST

START_TEST(defaults_taken_back)
{
    load_good("defaults { user = nobody pre-start = {'/bin/x'} stop-command = '/bin/y' restart = no log-prefix = p\n"
              "  schedule = '@daily' reload-signal = USR1 nice = 3 }\n"
              "service a { command = x type = oneshot\n}\n"
              "service b { command = x user = '' pre-start = {} stop-command = '' restart = '' log-prefix = ''\n"
              "  schedule = {} reload-signal = '' nice = ''\n}\n");
    const struct spec *a = service("a");
    const struct spec *b = service("b");
    ck_assert(a->exec->user && a->around->pre_start && a->around->stop_command && a->around->schedule &&
              a->logs->logging.prefix);
    ck_assert(!b->exec->user && !b->exec->ids.set && !b->around->pre_start && !b->around->stop_command &&
              !b->around->schedule && !b->logs->logging.prefix);
    ck_assert_int_ne(b->life->restart, a->life->restart);
    load_text("service a { command = '' }");
    expect_error(0, "x.conf", 1, "names no program");
}
END_TEST

START_TEST(sections_within_a_section)
{
    load_good("defaults { cgroup { pids-max = 5 # each\n memory-max = 1G } }\n"
              "service one { command = x cgroup { memory-max = 2G }\n umask = 7 cgroup { swap-max = 0 } }\n"
              "service two { command = x cgroup { } }\n");
    const struct spec_cgroup *one = service("one")->cgroup;
    const struct spec_cgroup *two = service("two")->cgroup;
    ck_assert(one->memory_max.value == UINT64_C(2) << 30 && one->pids_max.value == 5 && one->swap_max.set);
    ck_assert(two->memory_max.value == UINT64_C(1) << 30 && two->pids_max.value == 5 && !two->swap_max.set);
    ck_assert_uint_eq(service("one")->exec->umask, 7);
}
END_TEST

START_TEST(comments_and_lines)
{
    load_text("\xef\xbb\xbf# one \" ' {\r\n// two\n/* three\n * \" */ service a { # x\n"
              "  command = {x, # }\n    y /* z */, // w\n   \"# // /*\"}\n  umask /*\n*/ = 8 # nine\n}\n\n\n"
              "service b { command = http://x//y\n umask = 9 }");
    expect_error(0, "x.conf", 8, "'8'");
    expect_error(1, "x.conf", 14, "'9'");
    ck_assert_uint_eq(errors.n, 2);
}
END_TEST

START_TEST(settings)
{
    load_good("log-level = debug\nwatch = pidfd\nruntime-dir = /run/x\n"
              "control { socket = '/run/x/s'\n admin-group = 0\n read-group = \"root\" }\n");
    const struct settings *s = &config->settings;
    ck_assert_int_eq(s->log_level, LOG_LEVEL_DEBUG);
    ck_assert_str_eq(s->watch, "pidfd");
    ck_assert_str_eq(s->runtime_dir, "/run/x");
    ck_assert_str_eq(s->socket, "/run/x/s");
    ck_assert_str_eq(s->admin_group, "0");
    ck_assert_uint_eq(s->admin_gid, 0);
    ck_assert_uint_eq(s->read_gid, 0);

    struct config *other = config_new();
    const char *names[8];
    ck_assert_uint_eq(config_settings_diff(s, s, names, 8), 0);
    ck_assert_uint_eq(config_settings_diff(s, &other->settings, names, 8), 6);
    ck_assert_str_eq(names[0], "runtime-dir");
    ck_assert_uint_eq(config_settings_diff(s, &other->settings, names, 2), 2);
    config_free(other);
}
END_TEST

/* What is good of the settings is there whatever else is wrong: the runtime directory must be found. */
START_TEST(settings_survive_errors)
{
    load_text("watch = foo\nlog-level = debug\nruntime-dir = /run/x\nservice a { }\nnonsense\n");
    ck_assert_uint_eq(errors.n, 3);
    ck_assert_str_eq(config->settings.runtime_dir, "/run/x");
    ck_assert_str_eq(config->settings.watch, "auto");
    ck_assert_int_eq(config->settings.log_level, LOG_LEVEL_DEBUG);
    ck_assert_uint_eq(config->services.n, 0);
}
END_TEST

START_TEST(defaults_anywhere)
{
    write_text("inc.conf", "defaults { restart = no environment = {'A=1', 'B=1'} success-exit = {1, 2} command = d }");
    load_good("service a { command = x environment = {'B=2', 'C=2'} success-exit = 3 }\n"
              "service b { }\ninclude(inc.conf)\n");
    ck_assert_int_eq(service("a")->life->restart, RESTART_NO);
    ck_assert_uint_eq(strv_len(service("a")->place->environment), 3);
    ck_assert_str_eq(strv_env_get(service("a")->place->environment, "B"), "2");
    ck_assert(!exit_set_has_code(&service("a")->life->success_exit, 1));
    ck_assert_str_eq(service("b")->command[0], "d");
    ck_assert_uint_eq(strv_len(service("b")->place->environment), 2);
}
END_TEST

/* What is kept of each section makes the same services again. */
static void templates_make_the_same(const struct config *c)
{
    char err[256];

    for (size_t i = 0; i < c->services.n; i++) {
        const struct spec *spec = c->services.items[i];
        if (!instance_is(spec->name))
            continue;
        char *section = xstrndup(spec->name, instance_base_len(spec->name));
        const struct instance_template *template = config_template(c, section);
        ck_assert_ptr_nonnull(template);
        struct spec *made = instance_template_make(template, instance_of(spec->name, section), err, sizeof(err));
        ck_assert_msg(made != NULL, "%s: %s", spec->name, err);
        ck_assert_str_eq(made->name, spec->name);
        ck_assert_str_eq(made->source->file, spec->source->file);
        for (size_t k = 0; k < spec_n_keys; k++)
            ck_assert_msg(spec_key_equal(made, spec, &spec_keys[k]), "%s: %s", spec->name, spec_keys[k].name);
        ck_assert(spec_process_digest(made) == spec_process_digest(spec));
        spec_free(made);
        free(section);
    }
    ck_assert_uint_eq(c->n_templates, 3);
    ck_assert_int_eq(config_template(c, "none")->base->around->instances.value, 0);
    ck_assert_int_eq(config_template(c, "web")->base->around->instances.value, 11);
    ck_assert_ptr_null(config_template(c, "plain"));
    ck_assert_ptr_null(config_template(c, "web@1"));
}

START_TEST(instances)
{
    load_good("defaults { environment = 'ALL=%n' log = '/log/%n' }\n"
              "service web { command = 'x %i \"a %n\"' instances = 11 environment = 'P=%%%i' user = root\n"
              " listen = {'tcp:*:90%i', 'unix:/%i,user=root,name=a%%'} restart = on-failure nice = 3 }\n"
              "service plain { command = 'date +%s' }\nservice none { command = x instances = 0 }\n"
              "service one { command = {y, %i} instances = 1 }\n");
    ck_assert_uint_eq(config->services.n, 13);
    ck_assert_ptr_null(spec_list_find(&config->services, "web"));
    ck_assert_str_eq(config->services.items[0]->name, "one@1");
    ck_assert_str_eq(config->services.items[1]->name, "plain");
    ck_assert_str_eq(config->services.items[3]->name, "web@2");
    ck_assert_str_eq(config->services.items[12]->name, "web@11");
    ck_assert_str_eq(service("plain")->command[1], "+%s");
    ck_assert_str_eq(service("plain")->logs->log.path, "/log/%n");

    const struct spec *spec = service("web@11");
    ck_assert_uint_eq(strv_len(spec->command), 3);
    ck_assert_str_eq(spec->command[1], "11");
    ck_assert_str_eq(spec->command[2], "a web@11");
    ck_assert_uint_eq(strv_len(spec->place->environment), 2);
    ck_assert_str_eq(spec->place->environment[0], "ALL=web@11");
    ck_assert_str_eq(spec->place->environment[1], "P=%11");
    ck_assert_str_eq(spec->around->listen[0], "tcp:*:9011");
    ck_assert_str_eq(spec->around->listen[1], "unix:/11,user=0,name=a%");
    ck_assert_str_eq(spec->logs->log.path, "/log/web@11");
    templates_make_the_same(config);
    ck_assert(!spec->around->instances.set);
    ck_assert_uint_eq(spec->line, 2);

    /* The copy has them as they are. */
    char *dump = config_dump(config);
    struct config *again = config_load_dump("dump", dump, strlen(dump), &errors);
    ck_assert_msg(errors.n == 0, "%s", errors.n > 0 ? errors.items[0].message : "");
    ck_assert_uint_eq(again->services.n, config->services.n);
    for (size_t i = 0; i < again->services.n; i++) {
        const struct spec *a = config->services.items[i];
        const struct spec *b = again->services.items[i];
        ck_assert_str_eq(a->name, b->name);
        ck_assert(spec_process_digest(a) == spec_process_digest(b));
    }
    templates_make_the_same(again);
    char *twice = config_dump(again);
    ck_assert_str_eq(twice, dump);
    free(twice);
    config_free(again);
    free(dump);
}
END_TEST

static const struct {
    const char *text;
    unsigned line;
    const char *words;
} bad[] = {
    {A "comand = y }", 2, "unknown key 'comand' in service \"a\"; did you mean 'command'?"},
    {A "zzzzzz = y }", 2, "unknown key 'zzzzzz' in service \"a\""},
    {A "resolved-uid = 0 }", 2, "unknown key 'resolved-uid'"},
    {"defaults {\n restrat = no }", 2, "in defaults; did you mean 'restart'?"},
    {"control {\n sokcet = no }", 2, "in control; did you mean 'socket'?"},
    {"servise a { }", 1, "did you mean 'service'?"},
    {"inclde = a", 1, "did you mean 'include'?"},
    {"inclde(a)", 1, "include"},
    {"\nincludes(\"a\")", 2, "include"},
    {"include()", 1, "include needs"},
    {"include(a b)", 1, "include needs"},
    {"include(\"a", 1, "never closed"},
    {"include(\"nofile.conf\")", 1, "nofile.conf: No such file"},
    {"include(\"/tmp\")", 1, "directory"},
    {A "include(\"x\") }", 2, "no '=' after 'include'"},
    {A "instances = -1 }", 2, "key 'instances': '-1' is not a whole number from 0 to 10000"},
    {A "instances = {2}\ndirectory = '/%i' }", 2, "not a list"},
    {A "\n instances = 3 environment = {'A=%i',\n'B=%x'} }", 3, "service \"a\": key 'environment': '%x' is not known"},
    {A "instances = 0\n log = '/%q' }", 3, "'%q' is not known"},
    {A "instances = 20 listen = 'tcp:127.0.0.1:6551%i' }", 2, "65"},
    {A "instances = 2\n listen = 'unix:/x%i,user=%i' }", 3, "'user=%i': the owner of a socket is the same for all"},
    {A "instances = 2 listen = 'unix:/x' }", 1, "all instances would listen at 'unix:/x': write %i into it"},
    {"defaults {\n log = '/%q' }\nservice a { command = x instances = 2 }\nservice b { command = x instances = 2 }", 1,
     "defaults: for service \"a@1\": '%q' is not known"},
    {"service a@1 { command = x }", 1, "\"a@1\""},
    {A "} service a { command = y instances = 2 }\n", 2, "\"a\" is defined twice, first in x.conf:1"},
    {A "after = {c, b}\n}\nservice c { command = x }", 2, "key 'after': there is no service 'b'"},
    {A "check { command = \"}\" x { y } }\n}", 2, "'x' cannot stand in 'check'"},
    {A "check \"t\" { }\n}", 2, "'check' takes no name: write check { ... }"},
    {A "check { tcp = \"127.0.0.1:1\"\n interval = 0\n } }\n", 3, "'check.interval': it must be longer than 0"},
    {A "check { tcp = \"127.0.0.1:1\"\n\n failures = 0\n } }\n", 4, "'0' is not a whole number from 1 to"},
    {A "check {\n max-memory = 0 } }\n", 3, "key 'check.max-memory': it must be more than 0"},
    {A "ready = check }\n", 1, "give it check { command, tcp or http }"},
    {A "type = oneshot\ncheck { tcp = \"127.0.0.1:1\" } }\n", 1, "leave check { } out"},
    {A "umask { } }", 2, "is no section"},
    {A "cgroup = 1 }", 2, "'cgroup' in service \"a\" is a section: write cgroup { ... }"},
    {A "cgroup \"x\" { } }", 2, "'cgroup' takes no name"},
    {A "cgroup {\n memory-max = 1GB } }", 3, "key 'cgroup.memory-max': '1GB' is not a size"},
    {A "cgroup {\n\n memry-max = 1G } }", 4,
     "unknown key 'cgroup.memry-max' in service \"a\"; did you mean 'cgroup.memory"},
    {A "cgroup { memory-max = {1G} } }", 2, "not a list"},
    {A "cgroup { pids-max = 1 }\n cgroup { pids-max = 2 } }", 3, "given twice, first in line 2"},
    {A "cgroup { check { } } }", 2, "'check' cannot stand in 'cgroup'"},
    {A "cgroup { user = x } }", 2, "unknown key 'cgroup.user'"},
    {A "cgroup {\n pids-max = 1\n", 2, "never closed"},
    {"cgroup { }", 1, "is no section"},
    {"control { cgroup { pids-max = 1 } }", 1, "unknown key 'cgroup.pids-max' in control"},
    {"cgroup = maybe", 1, "'maybe' is none of auto, optional, no"},
    {A "umask = 022\numask = 022 }", 3, "given twice, first in line 2"},
    {A "restart no }", 2, "no '=' after 'restart'"},
    {A "restart = no; }", 2, "';'"},
    {A "; }", 2, "';'"},
    {A "environment += { } }", 2, "'+='"},
    {A "environment = A=1 }", 2, "quotes"},
    {A "environment = A\"1\" }", 2, "quotes"},
    {A "environment = 'A=1'2 }", 2, "quotes"},
    {A "directory = /a#b\n}", 2, "quotes"},
    {A "directory = /a/*.d */\n}", 2, "quotes"},
    {A "directory = /${X\n}", 2, "}"},
    {A "directory = }", 2, "'}' where a value"},
    {A "directory = \n", 3, "the file ends where a value"},
    {A "environment = {'A=1' 'B=1'} }", 2, "no ','"},
    {A "environment = {,} }", 2, "','"},
    {A "environment = {{}} }", 2, "'{'"},
    {A "environment = {'A=1',\n\n", 2, "never closed"},
    {A "check {\n", 2, "never closed"},
    {A "\n\n", 1, "never closed"},
    {A "user = \"x\n\n", 2, "never closed"},
    {A "user = 'x\\'\n\n", 2, "never closed"},
    {A "/* user\n\n", 2, "never closed"},
    {A "user = \"\\8\" }", 2, "octal"},
    {A "user = \"\\1234\" }", 2, "octal"},
    {A "user = \"\\400\" }", 2, "377"},
    {A "user = \"\\0\" }", 2, "377"},
    {A "user = \"\\x00\" }", 2, "NUL"},
    {A "user = \"\\xg\" }", 2, "hexadecimal"},
    {A "\001 }", 2, "control character"},
    {A "service b { }\n}", 2, "is a '}' missing"},
    {A "}\n}", 3, "closes nothing"},
    {"(\n", 1, "'(' where"},
    {"a|b = c", 1, "'a|b' where"},
    {"\"log-level\" = info", 1, "name of a key"},
    {"service = 4", 1, "is a section"},
    {"log-level { }", 1, "is no section"},
    {"log-level = info\n\nlog-level = info", 3, "given twice, first in x.conf:1"},
    {"log-level = {info}", 1, "not a list"},
    {"log-level = loud", 1, "'loud' is none of"},
    {"watch = kqueue", 1, "'kqueue' is none of auto, pidfd, netlink, poll, ptrace"},
    {"watch = pidfs", 1, "did you mean 'pidfd'?"},
    {"runtime-dir = run", 1, "absolute"},
    {"control { socket = /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "123456789012345678 }",
     1, "at most 107 bytes"},
    {"control {\n admin-group = no-such-group }", 2, "no-such-group"},
    {"control { }\ncontrol { }", 2, "given twice, first in x.conf:1"},
    {"defaults { }\ndefaults { }", 2, "given twice, first in x.conf:1"},
    {"defaults x { }", 1, "takes no name"},
    {"\nservice { command = x }", 2, "needs a name"},
    {"service \"\" { command = x }", 1, "needs a name"},
    {"service \"a b\" { command = x }", 1, "\"a b\""},
    {"service a {\n}", 1, "'command' is missing"},
    {A "}\nservice b { command = x }\n" A "}\n", 4, "\"a\" is defined twice, first in x.conf:1"},
    {A "} service a { command = y }\n", 2, "\"a\" is defined twice, first in x.conf:1"},
    {A "restart-delay = 1h }", 1, "restart-delay-max"},
    {A "user = no-such-user }", 2, "no-such-user"},
    {A "\n group = no-such-group }", 3, "no-such-group"},
    {A "user = 4000000000 }", 2, "give a group"},
    {A "user = 99999999999 }", 2, "99999999999"},
    {A "user = {root} }", 2, "not a list"},
};

START_TEST(one_error)
{
    load_text(bad[_i].text);
    expect_error(0, "x.conf", bad[_i].line, bad[_i].words);
    ck_assert_msg(errors.n == 1, "%s; %s", bad[_i].words, errors.n > 1 ? errors.items[1].message : "");
    ck_assert_uint_eq(config->services.n, 0);
}
END_TEST

START_TEST(many_errors)
{
    ck_assert_int_eq(mkdir("d", 0700), 0);
    write_text("d/2.conf", "service c { command = x umask = 8\n restart = x\n umask = 9 }\n");
    write_text("d/1.conf", "service a { command = x\n kill-mode = x }\nfoo = 1\nservice d { command = x umask = 8 }");
    load_text("include('d/*.conf')\nservice a { command = x\n stop-signal = x\n user = nosuch group = nosuch }\n"
              "service b { command = {}\n log = x");
    expect_error(0, "x.conf", 3, "stop-signal");
    expect_error(1, "x.conf", 4, "user 'nosuch'");
    expect_error(2, "x.conf", 4, "group 'nosuch'");
    expect_error(3, "x.conf", 5, "never closed");
    expect_error(4, "x.conf", 5, "command");
    expect_error(5, "x.conf", 6, "log");
    expect_error(6, "d/1.conf", 1, "\"a\" is defined twice, first in x.conf:2");
    expect_error(7, "d/1.conf", 2, "kill-mode");
    expect_error(8, "d/1.conf", 3, "foo");
    expect_error(9, "d/2.conf", 1, "umask");
    expect_error(10, "d/2.conf", 2, "restart");
    expect_error(11, "d/2.conf", 3, "given twice, first in line 1");
    ck_assert_uint_eq(errors.n, 12);
}
END_TEST

START_TEST(includes)
{
    ck_assert_int_eq(mkdir("d", 0700), 0);
    ck_assert_int_eq(mkdir("d/e", 0700), 0);
    write_text("d/b.conf", "include(\"e/[x]*\")\nservice b { command = x }");
    write_text("d/a.conf", "service a { command = x }");
    write_text("d/e/x", "service c { command = x }");
    load_good("include(\"d/*.conf\")\ninclude('none/*')\ninclude(\"d/?none\")\n");
    ck_assert_uint_eq(config->services.n, 3);
    ck_assert_str_eq(service("c")->source->file, "d/e/x");

    /* Reached by two ways that do not lie within each other, a file is no loop, but its services are there twice. */
    load_text("include(d/a.conf)\ninclude(d/a.conf)");
    expect_error(0, "d/a.conf", 1, "defined twice");

    write_text("d/loop", "include(../x.conf)");
    load_text("\ninclude(d/loop)");
    expect_error(0, "d/loop", 1, "includes itself");
    ck_assert_uint_eq(errors.n, 1);

    char name[16];
    char text[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        snprintf(text, sizeof(text), "include(n%d)", i + 1);
        write_text(name, text);
    }
    load("n0");
    expect_error(0, "n16", 1, "nested");
}
END_TEST

START_TEST(files)
{
    load("nothing.conf");
    expect_error(0, "nothing.conf", 0, "No such file or directory");
    load("/tmp");
    expect_error(0, "/tmp", 0, "directory");
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    load("fifo");
    expect_error(0, "fifo", 0, "not a regular file");
    write_text("big", "");
    ck_assert_int_eq(truncate("big", 17 * 1024 * 1024), 0);
    load("big");
    expect_error(0, "big", 0, "16 MiB");
    write_bytes("zero", "# x\nservice a { command = \"x\0y\" }", 33);
    load("zero");
    expect_error(0, "zero", 2, "NUL");
    load_good("");
    load_good("# nothing");
    load_good("include(\"*.none\")");
}
END_TEST

START_TEST(variables_reach_the_program)
{
    setenv("X", "expanded", 1);
    load_good("service a { command = {\"${X}\", ${X}, '${X}', \"\\${X}\", \"a${X:-b}\", \"$X\", \"$\", x$, \"${\"} }");
    static const char *const want[] = {"${X}", "${X}", "${X}", "${X}", "a${X:-b}", "$X", "$", "x$", "${", NULL};
    ck_assert(strv_equal(service("a")->command, (char *const *)want));
}
END_TEST

START_TEST(resolved_ids)
{
    if (geteuid() != 0)
        return;
    load_good("defaults { user = nobody }\nservice a { command = x }\nservice b { command = x user = root }\n"
              "service c { command = x group = 12345 }\nservice d { command = x user = 54321 group = 1 }\n");
    const struct passwd *nobody = getpwnam("nobody");
    const struct spec_ids *ids = &service("a")->exec->ids;
    ck_assert(ids->set && ids->uid == nobody->pw_uid && ids->gid == nobody->pw_gid);
    ck_assert_str_eq(ids->user_name, "nobody");
    ck_assert_str_eq(ids->home, nobody->pw_dir);
    ck_assert_uint_ge(ids->n_groups, 1);
    ck_assert(service("b")->exec->ids.set && service("b")->exec->ids.uid == 0);
    ck_assert_uint_eq(service("c")->exec->ids.uid, nobody->pw_uid);
    ck_assert_uint_eq(service("c")->exec->ids.gid, 12345);
    ids = &service("d")->exec->ids;
    ck_assert(ids->set && ids->uid == 54321 && ids->gid == 1 && ids->user_name == NULL && ids->n_groups == 0);
}
END_TEST

static char *random_string(bool may_be_empty)
{
    static const char often[] = "\"\\'${}#/*=,+ \n\tx;()";
    size_t len = (size_t)(random() % 12) + !may_be_empty;
    char *s = xmalloc(len + 1);

    for (size_t i = 0; i < len; i++) {
        int c = random() % 2 == 0 ? often[(size_t)random() % (sizeof(often) - 1)] : (int)(random() % 255) + 1;
        s[i] = (char)c;
    }
    s[len] = '\0';
    return s;
}

static void set_random(struct spec *spec, const struct spec_key *key)
{
    static const char *const words[] = {"no",      "yes",  "always",  "on-failure", "mixed", "7",    "0",      "TERM",
                                        "RTMIN+5", "none", "inherit", "1h30m",      "99",    "idle", "net_raw"};
    char *values[4] = {NULL};
    char err[256];
    size_t n = (size_t)(random() % 3) + 1;

    bool command = key->type == KEY_ARGV || key->type == KEY_HOOK;
    for (size_t i = 0; i < n; i++) {
        char *raw = random_string(!command || i > 0);
        if ((key->flags & KEY_F_ENVIRONMENT) != 0)
            values[i] = xasprintf("K%ld=%s", random() % 3, raw);
        else if (key->type == KEY_PATH || key->type == KEY_LOG || key->type == KEY_INPUT ||
                 (key->flags & KEY_F_PATHS) != 0)
            values[i] = xasprintf("/%s", raw);
        else if (key->type == KEY_READY)
            values[i] = xasprintf("log:%s", raw);
        else if (command || key->type == KEY_USER || key->type == KEY_GROUP || key->type == KEY_GROUPS)
            values[i] = xstrdup(raw);
        else
            values[i] = xstrdup(words[(size_t)random() % (sizeof(words) / sizeof(words[0]))]);
        free(raw);
    }
    bool list = command || key->type == KEY_STRV || key->type == KEY_EXIT_SET || key->type == KEY_GROUPS;
    /* Words that do not fit the key are refused and leave it as it was, which is a value too. */
    (void)spec_set(spec, key, values, list ? n : 1, list, err, sizeof(err));
    for (size_t i = 0; i < n; i++)
        free(values[i]);
}

/* A dump has ids where there is a user or a group, as root writes it. */
static void set_random_ids(struct spec *spec)
{
    struct spec_ids *ids = &spec_own_exec(spec)->ids;

    if (geteuid() != 0 ||
        (spec->exec->user == NULL && spec->exec->group == NULL && spec->exec->supplementary_groups == NULL))
        return;
    ids->set = true;
    ids->uid = (uint32_t)random() * 2U + 1;
    ids->gid = (uint32_t)random();
    ids->n_groups = (size_t)random() % 4;
    ids->groups = xcalloc(ids->n_groups, sizeof(*ids->groups));
    for (size_t i = 0; i < ids->n_groups; i++)
        ids->groups[i] = (uint32_t)random();
    ids->user_name = random() % 2 == 0 ? NULL : random_string(true);
    ids->home = random() % 2 == 0 ? NULL : random_string(true);
    ids->shell = random() % 2 == 0 ? NULL : random_string(true);
}

/* What excludes what, spec_check_validate(): any way to look, but one at most. */
static void settle_check(struct spec *spec)
{
    struct spec_check *check = spec_own_check(spec);

    if (spec->type == TYPE_ONESHOT) {
        strv_free(check->command);
        check->command = NULL;
        check->max_memory = (struct cgroup_limit){0};
        check->max_cpu = 0;
    }
    if (check->max_memory.set && !check->max_memory.infinite)
        check->max_memory.value |= 1;
    free(check->http_body);
    check->http_body = NULL;
    check->interval |= 1;
    check->timeout |= 1;
    check->failures |= 1;
    check->successes |= 1;
}

static struct config *random_config(void)
{
    struct config *c = config_new();
    size_t n = (size_t)random() % 50;

    for (size_t i = 0; i < n; i++) {
        char *name = xasprintf("s%03zu", i);
        char *empty[] = {NULL};
        struct spec *spec = spec_new(name);
        free(name);
        char *command[] = {(char *)"x", NULL};
        char err[256];
        ck_assert(spec_set(spec, spec_key_find("command"), command, 1, true, err, sizeof(err)));
        for (size_t k = 0; k < spec_n_keys; k++) {
            /* What is built has no `instances` any more. */
            if (random() % 2 == 0 && spec_keys[k].type != KEY_INSTANCES)
                set_random(spec, &spec_keys[k]);
        }
        if (random() % 4 == 0)
            ck_assert(spec_set(spec, spec_key_find("success-exit"), empty, 0, true, err, sizeof(err)));
        spec_own_life(spec)->restart_delay_max = spec->life->restart_delay + random() % 1000000;
        /* What excludes what, spec_validate(). */
        char *null[] = {(char *)"null", NULL};
        if (spec->place->tty != NULL)
            ck_assert(spec_set(spec, spec_key_find("stdin"), null, 1, false, err, sizeof(err)));
        char *none[] = {(char *)"none", NULL};
        char *exec[] = {(char *)"exec", NULL};
        if (spec->type == TYPE_ONESHOT || spec->around->persistent || !spec_log_validate(spec, err, sizeof(err)))
            ck_assert(spec_set(spec, spec_key_find("ready"), exec, 1, false, err, sizeof(err)));
        if (!spec_log_validate(spec, err, sizeof(err)))
            ck_assert(spec_set(spec, spec_key_find("log"), none, 1, false, err, sizeof(err)) &&
                      spec_set(spec, spec_key_find("log-error"), none, 1, false, err, sizeof(err)));
        if (spec->exec->capability_bounding_set.set)
            spec_own_exec(spec)->capability_bounding_set.mask |= spec->exec->capabilities.mask;
        spec->remain_after_exit = spec->remain_after_exit && spec->type == TYPE_ONESHOT;
        if (spec->type != TYPE_FORKING) {
            free(spec->place->pid_file);
            spec_own_place(spec)->pid_file = NULL;
        }
        if (spec->around->persistent) {
            spec_own_around(spec)->schedule = strv_push(strv_push(NULL, xstrdup("@daily")), xstrdup("*/5 * * * mon"));
            spec->type = TYPE_ONESHOT;
            spec_own_life(spec)->restart = RESTART_ON_FAILURE;
            spec->remain_after_exit = false;
            spec->essential = false;
            spec_own_life(spec)->watchdog = 0;
            spec_own_around(spec)->start = START_AUTO;
            free(spec->place->pid_file);
            spec_own_place(spec)->pid_file = NULL;
        }
        if (spec->around->reload_command != NULL)
            spec_own_life(spec)->reload_signal = 0;
        if (spec->cgroup->memory_max.set && !spec->cgroup->memory_max.infinite)
            spec_own_cgroup(spec)->memory_max.value |= 1; /* 0 is refused */
        if ((spec->life->watchdog > 0 || spec->life->fd_store > 0) && spec->life->notify_access == NOTIFY_NONE)
            spec_own_life(spec)->notify_access = NOTIFY_UNSET;
        settle_check(spec);
        set_random_ids(spec);
        spec_own_source(spec)->file = random_string(true);
        spec->line = (uint32_t)random();
        spec_list_push(&c->services, spec);
    }
    if (random() % 2 == 0) {
        free(c->settings.watch);
        c->settings.watch = xstrdup("pidfd");
        c->settings.log_level = LOG_LEVEL_ERROR;
        c->settings.runtime_dir = xstrdup("/run/\"x\"");
        c->settings.state_dir = xstrdup("/var/'x'");
        c->settings.admin_group = random_string(false);
        c->settings.admin_gid = (gid_t)random();
        c->settings.read_group = random_string(false);
        c->settings.read_gid = (gid_t)random();
    }
    return c;
}

static bool same_string(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void expect_same_ids(const struct spec_ids *a, const struct spec_ids *b)
{
    ck_assert_int_eq(a->set, b->set);
    ck_assert_uint_eq(a->uid, b->uid);
    ck_assert_uint_eq(a->gid, b->gid);
    ck_assert_uint_eq(a->n_groups, b->n_groups);
    for (size_t i = 0; i < a->n_groups; i++)
        ck_assert_uint_eq(a->groups[i], b->groups[i]);
    ck_assert(same_string(a->user_name, b->user_name));
    ck_assert(same_string(a->home, b->home));
    ck_assert(same_string(a->shell, b->shell));
}

static void expect_same(const struct config *a, const struct config *b)
{
    const char *names[8];

    ck_assert_uint_eq(config_settings_diff(&a->settings, &b->settings, names, 8), 0);
    ck_assert_uint_eq(a->services.n, b->services.n);
    for (size_t i = 0; i < a->services.n; i++) {
        const struct spec *x = a->services.items[i];
        const struct spec *y = b->services.items[i];
        ck_assert_str_eq(x->name, y->name);
        for (size_t k = 0; k < spec_n_keys; k++)
            ck_assert_msg(spec_key_equal(x, y, &spec_keys[k]), "%s: %s", x->name, spec_keys[k].name);
        expect_same_ids(&x->exec->ids, &y->exec->ids);
        ck_assert_uint_eq(spec_process_digest(x), spec_process_digest(y));
        ck_assert_str_eq(x->source->file, y->source->file);
        ck_assert_uint_eq(x->line, y->line);
    }
}

/* Whatever bytes a value holds, a dump gives back the same configuration. */
START_TEST(dump_reads_back)
{
    srandom((unsigned)_i + 1);
    struct config *before = random_config();
    char *text = config_dump(before);

    config = config_load_dump("dump", text, strlen(text), &errors);
    if (errors.n > 0)
        ck_abort_msg("%u: %s\n%.2000s", errors.items[0].line, errors.items[0].message, text);
    expect_same(before, config);
    char *again = config_dump(config);
    ck_assert_str_eq(text, again);
    free(again);
    free(text);
    config_free(before);
}
END_TEST

/* The service NAME in TEXT, from its first line to before the next section; to be freed. */
static char *section_of(const char *text, const char *name)
{
    char *head = xasprintf("service \"%s\" {\n", name);
    const char *begin = strstr(text, head);

    ck_assert_ptr_nonnull(begin);
    free(head);
    return xstrndup(begin, (size_t)(strstr(begin, "\n}\n") + 3 - begin));
}

/* A service says what is not as by default, and that is said once, for whoever has other defaults. */
START_TEST(dump_says_what_differs)
{
    load_good("service a { command = /x restart = always }\n"
              "service b { command = /x type = oneshot }\n"
              "service c { command = /x type = oneshot restart = always start-timeout = 90s }\n");
    char *text = config_dump(config);
    char *plain = section_of(text, "a");
    char *oneshot = section_of(text, "b");

    ck_assert_str_eq(plain,
                     "service \"a\" {\n    command = {\"/x\"}\n    origin-file = \"x.conf\"\n    origin-line = 1\n}\n");
    ck_assert_ptr_nonnull(strstr(oneshot, "restart = \"no\""));
    ck_assert_ptr_nonnull(strstr(text, "defaults {\n    type = \"simple\"\n"));
    struct config *again = config_load_dump("dump", text, strlen(text), &errors);
    ck_assert_uint_eq(errors.n, 0);
    expect_same(config, again);
    ck_assert_int_eq(again->services.items[2]->life->restart, RESTART_ALWAYS);
    ck_assert_int_eq(again->services.items[2]->life->start_timeout, 90 * USEC_PER_SEC);
    config_free(again);
    free(oneshot);
    free(plain);
    free(text);
}
END_TEST

START_TEST(bad_dumps)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"service a { command = x resolved-uid = x }", "makes no sense"},
        {"service a { command = x resolved-uid = 4294967296 }", "makes no sense"},
        {"service a { command = x resolved-groups = 5 }", "makes no sense"},
        {"service a { command = x resolved-groups = {5, x} }", "makes no sense"},
        {"service a { command = x resolved-home = {5} }", "makes no sense"},
        {"control { resolved-read-gid = x }", "not a number"},
        {"control { resolved-read-gid = 5 }", "belong together"},
        {"control { admin-group = x }", "belong together"},
        {"service a { command = x resolved-uid = 5 }", "do not belong together"},
        {"include(x)", "dump"},
        {"service a {", "never closed"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config = config_load_dump("dump", cases[i].text, strlen(cases[i].text), &errors);
        expect_error(0, "dump", 1, cases[i].words);
        config_free(config);
        config_errors_clear(&errors);
    }
    config = NULL;
}
END_TEST

static const char good_file[] =
    "# comment\ninclude(\"d/*.conf\") /* more\n */ runtime-dir = \"/run/x\"\n"
    "control {\n    socket = /run/s // x\n}\n"
    "defaults { restart = on-failure\n environment = {\"A=1\", 'B=${X}'} }\n"
    "service \"one\" {\n    command = {\"/bin/x\", 'y z', \"\\x41\\101\\n\"}\n"
    "    umask = 022\n    success-exit = {0, TERM}\n}\n"
    "service two {\n    command = \"a b\"\n    log = /x\n    check { x = {y} }\n    cgroup { memory-max = 1G\n }\n}\n";

static size_t mutate(char *text, size_t len, size_t room)
{
    static const char often[] = "\"\\'${}#/*=,+ \n\t;()|.\r";
    size_t at = len > 0 ? (size_t)random() % len : 0;
    size_t n = (size_t)random() % 8 + 1;

    switch (random() % 4) {
    case 0: /* another byte */
        if (len > 0)
            text[at] = (char)random();
        return len;
    case 1: /* cut out */
        n = n < len - at ? n : len - at;
        memmove(text + at, text + at + n, len - at - n);
        return len - n;
    case 2: /* put in */
        if (len == room)
            return len;
        memmove(text + at + 1, text + at, len - at);
        text[at] = often[(size_t)random() % (sizeof(often) - 1)];
        return len + 1;
    default: /* end it early, now and then */
        return random() % 8 == 0 ? at : len;
    }
}

/* No text, however damaged, does harm; and what is wrong is said with a line that the file has. */
START_TEST(damaged_files)
{
    char text[2 * sizeof(good_file)];

    srandom((unsigned)_i + 1);
    for (int round = 0; round < 200; round++) {
        size_t len = sizeof(good_file) - 1;
        unsigned lines = 1;
        memcpy(text, good_file, len);
        for (long i = random() % 10; i >= 0; i--)
            len = mutate(text, len, sizeof(text));
        for (size_t i = 0; i < len; i++)
            lines += text[i] == '\n';

        write_bytes("x.conf", text, len);
        load("x.conf");
        for (size_t i = 0; i < errors.n; i++) {
            const struct config_error *e = &errors.items[i];
            ck_assert_msg(e->line >= 1 && e->line <= lines, "line %u of %u: %s", e->line, lines, e->message);
            ck_assert_str_ne(e->message, "");
            ck_assert_msg(strpbrk(e->message, "\n\r\033") == NULL, "%s", e->message);
        }
        config_errors_clear(&errors);
        config_free(config);
        config = config_load_dump("dump", text, len, &errors);
    }
}
END_TEST

/* After any error the next file is read as if nothing had been: libconfuse keeps state of its own. */
START_TEST(errors_leave_nothing_behind)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        load_text(bad[i].text);
        load_good("service a {\n command = \"x y\"\n }\n");
        ck_assert_uint_eq(strv_len(service("a")->command), 2);
    }
}
END_TEST

/* Stands in for the function of that name by which libconfuse's scanner gets its memory. */
void *cfg_yyalloc(size_t size);

static bool scanner_has_memory = true;

void *cfg_yyalloc(size_t size)
{
    return scanner_has_memory ? malloc(size) : NULL;
}

/* Who watches supd starts it again after a death by a signal, not after an exit, by which the scanner would end it. */
START_TEST(no_memory_for_the_scanner)
{
    char said[256] = "";
    int status;
    FILE *err = tmpfile();

    ck_assert_ptr_nonnull(err);
    write_text("supd.conf", "service a { command = x }\n");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(err), STDERR_FILENO);
        scanner_has_memory = false;
        load("supd.conf");
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    rewind(err);
    said[fread(said, 1, sizeof(said) - 1, err)] = '\0';
    fclose(err);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", (unsigned)status);
    ck_assert_msg(strstr(said, "out of memory\n") != NULL, "%s", said);
}
END_TEST

START_TEST(ten_thousand)
{
    struct buf text = {0};

    for (int i = 0; i < 10000; i++)
        buf_addf(&text, "service \"s%05d\" {\n    command = {\"/bin/x\", \"%d\"}\n    user = %u group = %u\n}\n", i, i,
                 (unsigned)geteuid(), (unsigned)getegid());
    load_good(text.data);
    ck_assert_uint_eq(config->services.n, 10000);
    for (int i = 0; i < 10000; i += 999)
        ck_assert_uint_eq(config->services.items[i]->line, 4 * (unsigned)i + 1);
    buf_add_string(&text, "service s00042 { }\ncomand = x\n");
    load_text(text.data);
    expect_error(0, "x.conf", 40001, "first in x.conf:169");
    expect_error(errors.n - 1, "x.conf", 40002, "unknown key 'comand'");
    buf_free(&text);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, quoting);
    tcase_add_test(tc, list_or_value);
    tcase_add_test(tc, defaults_taken_back);
    tcase_add_test(tc, sections_within_a_section);
    tcase_add_test(tc, comments_and_lines);
    tcase_add_test(tc, settings);
    tcase_add_test(tc, settings_survive_errors);
    tcase_add_test(tc, defaults_anywhere);
    tcase_add_loop_test(tc, one_error, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(tc, many_errors);
    tcase_add_test(tc, includes);
    tcase_add_test(tc, files);
    tcase_add_test(tc, variables_reach_the_program);
    tcase_add_test(tc, resolved_ids);
    tcase_add_loop_test(tc, dump_reads_back, 0, 30);
    tcase_add_test(tc, dump_says_what_differs);
    tcase_add_test(tc, bad_dumps);
    tcase_add_test(tc, instances);
    tcase_add_loop_test(tc, damaged_files, 0, 20);
    tcase_add_test(tc, errors_leave_nothing_behind);
    tcase_add_test(tc, no_memory_for_the_scanner);
    tcase_add_test(tc, ten_thousand);
    suite_add_tcase(suite, tc);
    return suite;
}
