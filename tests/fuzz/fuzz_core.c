/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

#include "base/signames.h"
#include "base/strv.h"
#include "base/units.h"
#include "core/envfile.h"
#include "core/notify_msg.h"
#include "core/socket_spec.h"
#include "core/spec.h"

void fuzz_envfile(const uint8_t *data, size_t size)
{
    char err[256] = "";
    unsigned line;
    char **env = envfile_parse(NULL, (const char *)data, size, &line, err, sizeof err);

    FUZZ_CHECK((line == 0) == (err[0] == '\0'));
    for (size_t i = 0; env && env[i]; i++)
        FUZZ_CHECK(strchr(env[i], '=') > env[i]);
    strv_free(env);
}

void fuzz_notify(const uint8_t *data, size_t size)
{
    struct notify_msg msg;

    if (!notify_msg_parse((const char *)data, size, &msg))
        return;
    FUZZ_CHECK(msg.main_pid >= 0 && msg.extend >= 0);
    FUZZ_CHECK(memchr(msg.status, '\0', sizeof msg.status) && (msg.has_status || msg.status[0] == '\0'));
    for (const unsigned char *p = (const unsigned char *)msg.status; *p; p++)
        FUZZ_CHECK(*p >= ' ' && *p != 0x7f && !(p[0] == 0xc2 && p[1] < 0xa0));
    /* What is shown must be text for JSON too. */
    json_t *text = json_string(msg.status);
    FUZZ_CHECK(text);
    json_decref(text);
}

void fuzz_listen(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    struct socket_spec spec, again;
    char err[512] = "", address[SOCKET_ADDRESS_MAX];

    if (socket_spec_parse(text, &spec, err, sizeof err)) {
        char *written = socket_spec_format(&spec);
        FUZZ_CHECK(socket_spec_parse(written, &again, err, sizeof err));
        FUZZ_CHECK(socket_spec_same(&spec, &again));
        char *written_again = socket_spec_format(&again);
        FUZZ_CHECK(strcmp(written, written_again) == 0);
        FUZZ_CHECK(socket_spec_address(&spec, address)[0] != '\0');
        free(written_again);
        free(written);
    } else {
        FUZZ_CHECK(err[0] != '\0');
    }
    free(text);
}

static void check_units(const char *text)
{
    int64_t usec, usec_again;
    uint64_t bytes, bytes_again;
    char buf[64];

    if (duration_parse(text, &usec)) {
        FUZZ_CHECK(usec >= 0);
        FUZZ_CHECK(duration_parse(duration_format(usec, buf, sizeof buf), &usec_again) && usec_again == usec);
        duration_human(usec, buf, sizeof buf);
    }
    if (size_parse(text, &bytes))
        FUZZ_CHECK(size_parse(size_format(bytes, buf, sizeof buf), &bytes_again) && bytes_again == bytes);
}

static void check_signal(const char *text)
{
    char buf[16];
    int signo = signal_from_name(text);

    FUZZ_CHECK(signo >= -1);
    if (signo > 0)
        FUZZ_CHECK(signal_from_name(signal_to_name(signo, buf)) == signo);
    signal_suggest(text);
}

/* Every key that takes one word must read back what it writes. */
static void check_keys(char *text)
{
    struct spec *spec = spec_new("fuzz");
    char err[512];

    for (size_t i = 0; i < spec_n_keys; i++) {
        err[0] = '\0';
        if (!spec_set(spec, &spec_keys[i], &text, 1, false, err, sizeof err)) {
            FUZZ_CHECK(err[0] != '\0');
            continue;
        }
        struct spec *again = spec_new("fuzz");
        bool is_list;
        char **values = spec_get(spec, &spec_keys[i], &is_list);
        if (values && !spec_set(again, &spec_keys[i], values, strv_len(values), is_list, err, sizeof err)) {
            fprintf(stderr, "%s = %s: %s\n", spec_keys[i].name, values[0], err);
            abort();
        }
        FUZZ_CHECK(!values || spec_key_equal(spec, again, &spec_keys[i]));
        strv_free(values);
        spec_free(again);
    }
    spec_free(spec);
}

void fuzz_words(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    char err[256] = "";

    check_units(text);
    check_signal(text);
    check_keys(text);
    char **words = spec_split_words(text, err, sizeof err);
    FUZZ_CHECK(words || err[0] != '\0' || text[strspn(text, " \t\n")] == '\0');
    strv_free(words);
    spec_name_valid(text);
    free(text);
}
