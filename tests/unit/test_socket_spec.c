/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "core/socket_spec.h"

/* What is written, and how it is written out again. */
static const struct {
    const char *text;
    const char *want; /* NULL: the same */
} good[] = {
    {"tcp:127.0.0.1:80", NULL},
    {"tcp:*:65535", NULL},
    {"udp:0.0.0.0:53", NULL},
    {"tcp:[::1]:80", NULL},
    {"udp:[0:0::0]:53,ipv6-only=yes", "udp:[::]:53,ipv6-only"},
    {"tcp:[::ffff:192.0.2.1]:8080", NULL},
    {"tcp:[fe80::1%eth0]:80", NULL},
    {"tcp:127.0.0.1:080,reuse-port", "tcp:127.0.0.1:80,reuse-port"},
    {"tcp:127.0.0.1:80,reuse-port=no,nonblocking=off", "tcp:127.0.0.1:80"},
    {"tcp:127.0.0.1:80,backlog=1,nonblocking,name=a/b=c", NULL},
    {"unix:/run/x.sock", NULL},
    {"unix:/run/a:b=c", NULL},
    {"unix:@x", NULL},
    {"unix-dgram:/x", NULL},
    {"unix-seqpacket:@a b", NULL},
    {"unix:/x,mode=600", "unix:/x,mode=0600"},
    {"unix:/x,mode=0666,backlog=4096", "unix:/x"},
    {"unix:/run/x.sock,name=web,mode=0660,group=adm,user=www-data,backlog=512",
     "unix:/run/x.sock,mode=0660,user=www-data,group=adm,backlog=512,name=web"},
};

/* A word that the message must name. */
static const struct {
    const char *text;
    const char *word;
} bad[] = {
    {"", "no kind"},
    {"80", "no kind"},
    {"tcp", "no kind"},
    {"tcp,name=a:b", "no kind"},
    {"tpc:127.0.0.1:80", "did you mean 'tcp'?"},
    {"unix-stream:/x", "unix-seqpacket"},
    {"TCP:127.0.0.1:80", "none of"},
    {"tcp:80", "no address"},
    {"tcp:", "no address"},
    {"tcp:127.0.0.1:", "port"},
    {"tcp:127.0.0.1:0", "'0' is not a port"},
    {"tcp:127.0.0.1:65536", "'65536' is not a port"},
    {"tcp:127.0.0.1:http", "'http' is not a port"},
    {"tcp:127.0.0.1:-1", "port"},
    {"tcp:127.0.0.1:99999999999999999999", "port"},
    {"tcp:localhost:80", "'localhost' is not an address"},
    {"tcp:127.1:80", "'127.1' is not an address"},
    {"tcp::80", "'' is not an address"},
    {"tcp:::1:80", "brackets"},
    {"tcp:[::1]80", "[ADDRESS]:PORT"},
    {"tcp:[::1", "[ADDRESS]:PORT"},
    {"tcp:[127.0.0.1]:80", "IPv6"},
    {"tcp:[fe80::1%]:80", "interface"},
    {"tcp:[fe80::1%abcdefghijklmnop]:80", "interface"},
    {"unix:x.sock", "absolute"},
    {"unix:", "absolute"},
    {"unix:@", "needs a name"},
    {"unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "107 bytes"},
    {"unix:/x,", "'' is none of the options"},
    {"unix:/x,mod=0600", "did you mean 'mode'?"},
    {"unix:/x,zzzzzz=1", "'zzzzzz' is none"},
    {"unix:/x,mode", "no value"},
    {"unix:/x,mode=", "mode="},
    {"unix:/x,mode=0888", "mode=0888"},
    {"unix:/x,mode=1777", "mode=1777"},
    {"unix:/x,mode=0600,mode=0600", "twice"},
    {"unix:/x,user=", "user"},
    {"unix:/x,backlog=0", "backlog=0"},
    {"unix:/x,backlog=2147483648", "backlog=2147483648"},
    {"unix:/x,name=a:b", "name=a:b"},
    {"unix:/x,name=a b", "name=a b"},
    {"unix:/x,name=", "name"},
    {"unix:/x,nonblocking=maybe", "neither yes nor no"},
    {"unix:/x,reuse-port", "tcp and udp"},
    {"unix:/x,ipv6-only", "IPv6"},
    {"unix:@x,mode=0600", "path"},
    {"unix:@x,user=root", "path"},
    {"tcp:127.0.0.1:80,mode=0600", "path"},
    {"tcp:127.0.0.1:80,ipv6-only", "[::]"},
    {"tcp:*:80,ipv6-only", "[::]"},
    {"udp:127.0.0.1:80,backlog=5", "backlog"},
    {"unix-dgram:/x,backlog=5", "backlog"},
};

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(reads_and_writes)
{
    const char *want = good[_i].want != NULL ? good[_i].want : good[_i].text;
    struct socket_spec spec;
    char err[600] = "";

    ck_assert_msg(socket_spec_parse(good[_i].text, &spec, err, sizeof(err)), "%s", err);
    char *text = socket_spec_format(&spec);
    ck_assert_str_eq(text, want);

    struct socket_spec again;
    ck_assert(socket_spec_parse(text, &again, err, sizeof(err)));
    ck_assert_mem_eq(&spec, &again, sizeof(spec));
    free(text);
}
END_TEST

START_TEST(refuses)
{
    struct socket_spec spec;
    char err[600] = "";

    ck_assert(!socket_spec_parse(bad[_i].text, &spec, err, sizeof(err)));
    ck_assert_msg(strstr(err, bad[_i].word) != NULL, "%s", err);
    ck_assert_msg(strstr(err, bad[_i].text) != NULL, "%s", err);
}
END_TEST

START_TEST(fields)
{
    struct socket_spec spec;
    char err[600];
    char address[SOCKET_ADDRESS_MAX];

    ck_assert(socket_spec_parse("tcp:192.0.2.7:8080,backlog=9,reuse-port,name=n", &spec, err, sizeof(err)));
    ck_assert_int_eq(spec.kind, SOCKET_TCP);
    ck_assert(!spec.any && !spec.ipv6 && spec.reuse_port && !spec.nonblocking);
    ck_assert_mem_eq(spec.addr, "\xc0\0\2\7", 4);
    ck_assert_uint_eq(spec.port, 8080);
    ck_assert_uint_eq(spec.backlog, 9);
    ck_assert_str_eq(spec.name, "n");
    ck_assert_str_eq(socket_spec_address(&spec, address), "tcp:192.0.2.7:8080");
    ck_assert(socket_spec_is_stream(&spec) && !socket_spec_has_path(&spec));

    ck_assert(socket_spec_parse("unix-dgram:/a,mode=0,user=u,group=g", &spec, err, sizeof(err)));
    ck_assert_uint_eq(spec.mode, 0);
    ck_assert_str_eq(spec.path, "/a");
    ck_assert_str_eq(spec.user, "u");
    ck_assert_str_eq(spec.group, "g");
    ck_assert(!socket_spec_is_stream(&spec) && socket_spec_has_path(&spec));

    ck_assert(socket_spec_parse("unix:@n", &spec, err, sizeof(err)));
    ck_assert(spec.abstract && !socket_spec_has_path(&spec));
    ck_assert_str_eq(spec.path, "n");
    ck_assert_uint_eq(spec.mode, SOCKET_MODE_DEFAULT);
}
END_TEST

/* Which changes an open socket can take, and which need another one. */
static const struct {
    const char *a;
    const char *b;
    bool same;
} pairs[] = {
    {"tcp:127.0.0.1:80", "tcp:127.0.0.1:80,backlog=7,name=x,nonblocking", true},
    {"unix:/x,mode=0600", "unix:/x,user=1,group=2", true},
    {"tcp:[::1]:80", "tcp:[0::1]:80", true},
    {"tcp:127.0.0.1:80", "udp:127.0.0.1:80", false},
    {"tcp:127.0.0.1:80", "tcp:127.0.0.1:81", false},
    {"tcp:127.0.0.1:80", "tcp:127.0.0.2:80", false},
    {"tcp:*:80", "tcp:0.0.0.0:80", false},
    {"tcp:127.0.0.1:80", "tcp:127.0.0.1:80,reuse-port", false},
    {"tcp:[::]:80", "tcp:[::]:80,ipv6-only", false},
    {"unix:/x", "unix-dgram:/x", false},
    {"unix:/x", "unix:@/x", false},
};

START_TEST(same)
{
    struct socket_spec a;
    struct socket_spec b;
    char err[600];

    ck_assert(socket_spec_parse(pairs[_i].a, &a, err, sizeof(err)));
    ck_assert(socket_spec_parse(pairs[_i].b, &b, err, sizeof(err)));
    ck_assert_int_eq(socket_spec_same(&a, &b), pairs[_i].same);
}
END_TEST

/* Every stretch of every good text, and each with a byte changed, is read to its end or refused with a reason. */
START_TEST(damaged)
{
    size_t len = strlen(good[_i].text);
    struct socket_spec spec;
    char text[256];

    for (size_t cut = 0; cut < len; cut++) {
        for (int c = 1; c < 256; c += 7) {
            char err[64] = "";
            snprintf(text, sizeof(text), "%s", good[_i].text);
            text[cut] = (char)c;
            ck_assert(socket_spec_parse(text, &spec, err, sizeof(err)) || err[0] != '\0');
            text[cut] = '\0';
            ck_assert(socket_spec_parse(text, &spec, err, sizeof(err)) || err[0] != '\0');
        }
    }
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("socket_spec");
    TCase *tc = tcase_create("socket_spec");

    tcase_add_loop_test(tc, reads_and_writes, 0, N(good));
    tcase_add_loop_test(tc, refuses, 0, N(bad));
    tcase_add_test(tc, fields);
    tcase_add_loop_test(tc, same, 0, N(pairs));
    tcase_add_loop_test(tc, damaged, 0, N(good));
    suite_add_tcase(suite, tc);
    return suite;
}
