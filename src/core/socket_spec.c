/* SPDX-License-Identifier: MIT */
#include "core/socket_spec.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/suggest.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

static const char *const kind_names[] = {
    [SOCKET_TCP] = "tcp",
    [SOCKET_UDP] = "udp",
    [SOCKET_UNIX] = "unix",
    [SOCKET_UNIX_DGRAM] = "unix-dgram",
    [SOCKET_UNIX_SEQPACKET] = "unix-seqpacket",
};

/* What socket_spec_parse() was given, taken along to whoever finds a fault. */
struct input {
    const char *text;
    struct socket_spec *spec;
    char *err;
    size_t err_size;
};

static bool fail(const struct input *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(const struct input *in, const char *fmt, ...)
{
    char why[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    snprintf(in->err, in->err_size, "'%s': %s", in->text, why);
    return false;
}

static bool is_unix(enum socket_kind kind)
{
    return kind != SOCKET_TCP && kind != SOCKET_UDP;
}

bool socket_spec_has_path(const struct socket_spec *spec)
{
    return is_unix(spec->kind) && !spec->abstract;
}

bool socket_spec_is_stream(const struct socket_spec *spec)
{
    return spec->kind != SOCKET_UDP && spec->kind != SOCKET_UNIX_DGRAM;
}

/* ---- values ---- */

/* Digits of BASE only, from MIN to MAX. */
static bool parse_number(const char *text, unsigned base, uint32_t min, uint32_t max, uint32_t *number)
{
    uint64_t n = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text >= (char)('0' + base))
            return false;
        n = n * base + (unsigned)(*text - '0');
        if (n > max)
            return false;
    }
    *number = (uint32_t)n;
    return n >= min;
}

static bool set_truth(const struct input *in, const char *option, const char *value, bool *to)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

    if (value == NULL) {
        *to = true;
        return true;
    }
    for (size_t i = 0; i < LEN(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *to = i % 2 != 0;
            return true;
        }
    }
    return fail(in, "%s=%s is neither yes nor no", option, value);
}

static bool set_mode(const struct input *in, const char *value)
{
    if (parse_number(value, 8, 0, 0777, &in->spec->mode))
        return true;
    return fail(in, "mode=%s is not an octal number from 0 to 0777, as 0660", value);
}

static bool set_backlog(const struct input *in, const char *value)
{
    if (parse_number(value, 10, 1, INT32_MAX, &in->spec->backlog))
        return true;
    return fail(in, "backlog=%s is not a number from 1 to 2147483647", value);
}

static bool set_word(const struct input *in, const char *option, const char *value, char to[SOCKET_WORD_MAX])
{
    size_t len = strlen(value);

    if (len == 0 || len >= SOCKET_WORD_MAX)
        return fail(in, "%s needs a value of 1 to %d bytes: write %s=WORD", option, SOCKET_WORD_MAX - 1, option);
    memcpy(to, value, len + 1);
    return true;
}

/* As systemd's FileDescriptorName=: the names travel in one string, with ':' between them. */
static bool set_name(const struct input *in, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p < '!' || *p > '~' || *p == ':')
            return fail(in, "name=%s: a name is of printable ASCII, without blanks and ':'", value);
    }
    return set_word(in, "name", value, in->spec->name);
}

/* ---- options ---- */

enum option { OPT_BACKLOG, OPT_GROUP, OPT_IPV6_ONLY, OPT_MODE, OPT_NAME, OPT_NONBLOCKING, OPT_REUSE_PORT, OPT_USER };

static const char *const option_names[] = {
    [OPT_BACKLOG] = "backlog",
    [OPT_GROUP] = "group",
    [OPT_IPV6_ONLY] = "ipv6-only",
    [OPT_MODE] = "mode",
    [OPT_NAME] = "name",
    [OPT_NONBLOCKING] = "nonblocking",
    [OPT_REUSE_PORT] = "reuse-port",
    [OPT_USER] = "user",
};

/* Is it one for this kind of socket? */
static bool option_fits(const struct input *in, enum option option)
{
    const struct socket_spec *spec = in->spec;

    switch (option) {
    case OPT_MODE:
    case OPT_USER:
    case OPT_GROUP:
        if (socket_spec_has_path(spec))
            return true;
        return fail(in, "%s is for a unix socket with a path: leave it out", option_names[option]);
    case OPT_BACKLOG:
        if (socket_spec_is_stream(spec))
            return true;
        return fail(in, "backlog is for sockets that take connections: leave it out");
    case OPT_REUSE_PORT:
        if (!is_unix(spec->kind))
            return true;
        return fail(in, "reuse-port is for tcp and udp: leave it out");
    case OPT_IPV6_ONLY:
        if (!is_unix(spec->kind) && spec->ipv6)
            return true;
        return fail(in, "ipv6-only is for an IPv6 address, as [::]: write one, or leave it out");
    case OPT_NAME:
    case OPT_NONBLOCKING:
        return true;
    }
    return true;
}

/* VALUE NULL: there was no '='. */
static bool set_option(const struct input *in, enum option option, const char *value)
{
    struct socket_spec *spec = in->spec;
    bool is_truth = option == OPT_IPV6_ONLY || option == OPT_NONBLOCKING || option == OPT_REUSE_PORT;

    if (!option_fits(in, option))
        return false;
    if (value == NULL && !is_truth)
        return fail(in, "%s has no value: write %s=VALUE", option_names[option], option_names[option]);
    switch (option) {
    case OPT_MODE:
        return set_mode(in, value);
    case OPT_USER:
        return set_word(in, "user", value, spec->user);
    case OPT_GROUP:
        return set_word(in, "group", value, spec->group);
    case OPT_BACKLOG:
        return set_backlog(in, value);
    case OPT_NAME:
        return set_name(in, value);
    case OPT_REUSE_PORT:
        return set_truth(in, "reuse-port", value, &spec->reuse_port);
    case OPT_IPV6_ONLY:
        return set_truth(in, "ipv6-only", value, &spec->ipv6_only);
    case OPT_NONBLOCKING:
        return set_truth(in, "nonblocking", value, &spec->nonblocking);
    }
    return false;
}

static bool fail_option(const struct input *in, const char *word)
{
    const char *near = suggest_nearest(word, option_names, LEN(option_names));

    if (near != NULL)
        return fail(in, "'%s' is no option; did you mean '%s'?", word, near);
    return fail(in, "'%s' is none of the options mode, user, group, backlog, reuse-port, ipv6-only, nonblocking, name",
                word);
}

/* WORD is changed. */
static bool parse_option(const struct input *in, char *word, bool seen[LEN(option_names)])
{
    char *value = strchr(word, '=');
    size_t i = 0;

    if (value != NULL)
        *value++ = '\0';
    while (i < LEN(option_names) && strcmp(word, option_names[i]) != 0)
        i++;
    if (i == LEN(option_names))
        return fail_option(in, word);
    if (seen[i])
        return fail(in, "%s is given twice: give it once", word);
    seen[i] = true;
    return set_option(in, (enum option)i, value);
}

/* ---- addresses ---- */

static bool parse_port(const struct input *in, const char *text)
{
    uint32_t port;

    if (!parse_number(text, 10, 1, UINT16_MAX, &port))
        return fail(in, "'%s' is not a port from 1 to 65535", text);
    in->spec->port = (uint16_t)port;
    return true;
}

/* "fe80::1%eth0" */
static bool parse_ipv6(const struct input *in, char *text)
{
    struct socket_spec *spec = in->spec;
    char *scope = strchr(text, '%');

    if (scope != NULL) {
        *scope++ = '\0';
        size_t len = strlen(scope);
        if (len == 0 || len >= sizeof(spec->scope))
            return fail(in, "'%s' is no name of an interface", scope);
        memcpy(spec->scope, scope, len + 1);
    }
    spec->ipv6 = true;
    if (inet_pton(AF_INET6, text, spec->addr) == 1)
        return true;
    return fail(in, "'%s' is not an IPv6 address", text);
}

/* TEXT is changed: "ADDRESS:PORT" */
static bool parse_inet(const struct input *in, char *text)
{
    struct socket_spec *spec = in->spec;
    char *colon = strrchr(text, ':');

    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || end[1] != ':')
            return fail(in, "after '[' come an IPv6 address, ']' and a port: write %s:[ADDRESS]:PORT",
                        kind_names[spec->kind]);
        *end = '\0';
        return parse_ipv6(in, text + 1) && parse_port(in, end + 2);
    }
    if (colon == NULL)
        return fail(in, "it has no address: write %s:ADDRESS:PORT, with * for every address", kind_names[spec->kind]);
    *colon = '\0';
    if (strchr(text, ':') != NULL)
        return fail(in, "an IPv6 address stands in brackets: write %s:[ADDRESS]:PORT", kind_names[spec->kind]);
    if (strcmp(text, "*") == 0)
        spec->any = true;
    else if (inet_pton(AF_INET, text, spec->addr) != 1)
        return fail(in, "'%s' is not an address: write one as 127.0.0.1 or [::1], or * for every address", text);
    return parse_port(in, colon + 1);
}

static bool parse_unix(const struct input *in, const char *text)
{
    struct socket_spec *spec = in->spec;
    size_t len;

    spec->abstract = text[0] == '@';
    if (text[0] != '/' && text[0] != '@')
        return fail(in, "'%s' is not an absolute path: write it from '/' on, or @NAME for an abstract one", text);
    text += spec->abstract;
    len = strlen(text);
    if (len == 0)
        return fail(in, "an abstract socket needs a name: write %s:@NAME", kind_names[spec->kind]);
    if (len >= sizeof(spec->path))
        return fail(in, "the path of a socket is at most %zu bytes long: choose a shorter one", sizeof(spec->path) - 1);
    memcpy(spec->path, text, len + 1);
    return true;
}

static bool parse_kind(const struct input *in, char *word)
{
    char known[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < LEN(kind_names); i++) {
        if (strcmp(word, kind_names[i]) == 0) {
            in->spec->kind = (enum socket_kind)i;
            return true;
        }
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", kind_names[i]);
    }
    const char *near = suggest_nearest(word, kind_names, LEN(kind_names));
    if (near != NULL)
        return fail(in, "'%s' is none of %s; did you mean '%s'?", word, known, near);
    return fail(in, "'%s' is none of %s", word, known);
}

/* The parts of COPY, which is changed. */
static bool parse_parts(const struct input *in, char *copy)
{
    bool seen[LEN(option_names)] = {false};
    char *rest = strchr(copy, ',');
    char *address = strchr(copy, ':');

    if (rest != NULL)
        *rest++ = '\0';
    if (address == NULL || (rest != NULL && address > rest))
        return fail(in, "it names no kind of socket: write tcp:ADDRESS:PORT, udp:ADDRESS:PORT or unix:PATH");
    *address++ = '\0';
    if (!parse_kind(in, copy) || !(is_unix(in->spec->kind) ? parse_unix(in, address) : parse_inet(in, address)))
        return false;
    while (rest != NULL) {
        char *option = rest;
        rest = strchr(rest, ',');
        if (rest != NULL)
            *rest++ = '\0';
        if (!parse_option(in, option, seen))
            return false;
    }
    return true;
}

bool socket_spec_parse(const char *text, struct socket_spec *spec, char *err, size_t err_size)
{
    struct input in = {.text = text, .spec = spec, .err = err, .err_size = err_size};
    char *copy = xstrdup(text);

    memset(spec, 0, sizeof(*spec));
    spec->mode = SOCKET_MODE_DEFAULT;
    spec->backlog = SOCKET_BACKLOG_DEFAULT;
    bool ok = parse_parts(&in, copy);
    free(copy);
    return ok;
}

/* ---- writing ---- */

const char *socket_spec_address(const struct socket_spec *spec, char buf[SOCKET_ADDRESS_MAX])
{
    const char *kind = kind_names[spec->kind];
    char addr[INET6_ADDRSTRLEN] = "*";

    if (is_unix(spec->kind)) {
        snprintf(buf, SOCKET_ADDRESS_MAX, "%s:%s%s", kind, spec->abstract ? "@" : "", spec->path);
        return buf;
    }
    if (!spec->any)
        inet_ntop(spec->ipv6 ? AF_INET6 : AF_INET, spec->addr, addr, sizeof(addr));
    if (spec->ipv6)
        snprintf(buf, SOCKET_ADDRESS_MAX, "%s:[%s%s%s]:%u", kind, addr, spec->scope[0] != '\0' ? "%" : "", spec->scope,
                 spec->port);
    else
        snprintf(buf, SOCKET_ADDRESS_MAX, "%s:%s:%u", kind, addr, spec->port);
    return buf;
}

char *socket_spec_format(const struct socket_spec *spec)
{
    char address[SOCKET_ADDRESS_MAX];
    struct buf out = {0};

    buf_add_string(&out, socket_spec_address(spec, address));
    if (spec->mode != SOCKET_MODE_DEFAULT)
        buf_addf(&out, ",mode=%04o", spec->mode);
    if (spec->user[0] != '\0')
        buf_addf(&out, ",user=%s", spec->user);
    if (spec->group[0] != '\0')
        buf_addf(&out, ",group=%s", spec->group);
    if (spec->backlog != SOCKET_BACKLOG_DEFAULT)
        buf_addf(&out, ",backlog=%u", spec->backlog);
    if (spec->reuse_port)
        buf_add_string(&out, ",reuse-port");
    if (spec->ipv6_only)
        buf_add_string(&out, ",ipv6-only");
    if (spec->nonblocking)
        buf_add_string(&out, ",nonblocking");
    if (spec->name[0] != '\0')
        buf_addf(&out, ",name=%s", spec->name);
    return buf_steal(&out);
}

bool socket_spec_same(const struct socket_spec *a, const struct socket_spec *b)
{
    char one[SOCKET_ADDRESS_MAX];
    char two[SOCKET_ADDRESS_MAX];

    return strcmp(socket_spec_address(a, one), socket_spec_address(b, two)) == 0 && a->reuse_port == b->reuse_port &&
           a->ipv6_only == b->ipv6_only;
}
