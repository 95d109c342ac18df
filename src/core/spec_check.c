/* SPDX-License-Identifier: MIT */
#include "core/spec_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "core/spec.h"

bool spec_has_check(const struct spec_check *check)
{
    return check->command != NULL || check->tcp != NULL || check->http != NULL || check->max_memory.set ||
           check->max_cpu > 0;
}

/* ---- where to look ---- */

/* TEXT as `listen` has it, and no option behind it. */
static bool parse_address(const char *text, struct socket_spec *address)
{
    char why[256];

    return strchr(text, ',') == NULL && socket_spec_parse(text, address, why, sizeof(why)) && !address->any;
}

bool check_tcp_parse(const char *text, struct socket_spec *address, char *err, size_t err_size)
{
    char *full = strncmp(text, "unix:", 5) == 0 ? xstrdup(text) : xasprintf("tcp:%s", text);
    bool ok = parse_address(full, address);

    free(full);
    if (!ok)
        snprintf(err, err_size, "'%s' is no address and port: write 127.0.0.1:80, [::1]:80 or unix:/run/x.sock", text);
    return ok;
}

/* Of http://unix:FILE:/PATH what follows "unix:". */
static bool parse_unix(const char *rest, struct check_http *http)
{
    const char *colon = strstr(rest, ":/");
    int len = colon != NULL ? (int)(colon - rest) : (int)strlen(rest);
    char *full = xasprintf("unix:%.*s", len, rest);
    bool ok = parse_address(full, &http->address);

    free(full);
    http->path = colon != NULL ? colon + 1 : "";
    strcpy(http->host, "localhost");
    return ok;
}

/* Is a port in AUTHORITY, behind the brackets of an IPv6 address? */
static bool has_port(const char *authority)
{
    const char *bracket = strchr(authority, ']');

    return strchr(bracket != NULL ? bracket : authority, ':') != NULL;
}

static bool parse_authority(const char *rest, struct check_http *http)
{
    size_t len = strcspn(rest, "/");

    if (len == 0 || len >= sizeof(http->host))
        return false;
    memcpy(http->host, rest, len);
    http->host[len] = '\0';
    http->path = rest + len;

    bool local = strncmp(http->host, "localhost", 9) == 0 && (http->host[9] == ':' || http->host[9] == '\0');
    char *full = xasprintf("tcp:%s%s%s", local ? "127.0.0.1" : "", local ? http->host + 9 : http->host,
                           has_port(http->host) ? "" : ":80");
    bool ok = parse_address(full, &http->address);
    free(full);
    return ok;
}

/* What would end the line of the request, or break it apart. */
static bool is_plain(const char *url)
{
    for (; *url != '\0'; url++) {
        if (*url <= ' ' || *url == 0x7f || *url == '#')
            return false;
    }
    return true;
}

bool check_http_parse(const char *url, struct check_http *http, char *err, size_t err_size)
{
    bool ok = strncmp(url, "http://", 7) == 0 && is_plain(url);

    if (ok)
        ok = strncmp(url + 7, "unix:", 5) == 0 ? parse_unix(url + 12, http) : parse_authority(url + 7, http);
    if (!ok)
        snprintf(err, err_size,
                 "'%s' is none that can be asked: write http://127.0.0.1:80/PATH, http://[::1]:80/PATH or "
                 "http://unix:/run/x.sock:/PATH",
                 url);
    return ok;
}

/* ---- all together ---- */

static unsigned count_ways(const struct spec_check *check)
{
    return (unsigned)(check->command != NULL) + (unsigned)(check->tcp != NULL) + (unsigned)(check->http != NULL);
}

static const char *find_fault(const struct spec *spec)
{
    const struct spec_check *check = spec->check;

    if (count_ways(check) > 1)
        return "check: command, tcp and http are three ways to look: leave all but one out";
    if (spec->life->ready.kind == READY_CHECK && count_ways(check) == 0)
        return "ready = check waits for a check that succeeds: give it check { command, tcp or http }";
    if (spec_has_check(check) && spec->type == TYPE_ONESHOT)
        return "type = oneshot does its work and ends: leave check { } out";
    if (check->http_body != NULL && check->http == NULL)
        return "check.http-body goes with check.http only: add that, or leave it out";
    return NULL;
}

bool spec_check_validate(const struct spec *spec, char *err, size_t err_size)
{
    const char *fault = find_fault(spec);

    if (fault != NULL)
        snprintf(err, err_size, "%s", fault);
    return fault == NULL;
}
