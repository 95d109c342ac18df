/* SPDX-License-Identifier: MIT */
#include "core/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "core/instance.h"

void proto_init(void)
{
    json_set_alloc_funcs(xmalloc, free);
}

static bool parse_params(json_t *params, struct proto_request *req, enum proto_error *code, char *err, size_t err_size)
{
    if (!params || (json_is_array(params) && json_array_size(params) == 0)) {
        req->params = json_object();
        return true;
    }
    if (json_is_object(params)) {
        req->params = json_incref(params);
        return true;
    }
    *code = json_is_array(params) ? PROTO_E_INVALID_PARAMS : PROTO_E_INVALID_REQUEST;
    snprintf(err, err_size, "params must be an object with named members");
    return false;
}

bool proto_request_parse(json_t *message, struct proto_request *req, enum proto_error *code, char *err, size_t err_size)
{
    *req = (struct proto_request){0};
    *code = PROTO_E_INVALID_REQUEST;
    if (!json_is_object(message)) {
        snprintf(err, err_size, "a request must be an object");
        return false;
    }

    json_t *id = json_object_get(message, "id");
    if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id)) {
        snprintf(err, err_size, "id must be a string, a number or null");
        return false;
    }
    req->id = json_incref(id);

    const char *version = json_string_value(json_object_get(message, "jsonrpc"));
    if (!version || strcmp(version, "2.0") != 0) {
        snprintf(err, err_size, "jsonrpc must be \"2.0\"");
        return false;
    }

    json_t *method = json_object_get(message, "method");
    if (!json_is_string(method) || json_string_length(method) != strlen(json_string_value(method))) {
        snprintf(err, err_size, "method must be a string");
        return false;
    }
    req->method = xstrdup(json_string_value(method));
    return parse_params(json_object_get(message, "params"), req, code, err, err_size);
}

void proto_request_clear(struct proto_request *req)
{
    json_decref(req->id);
    json_decref(req->params);
    free(req->method);
    *req = (struct proto_request){0};
}

static json_t *message_new(void)
{
    json_t *message = json_object();

    json_object_set_new_nocheck(message, "jsonrpc", json_string_nocheck("2.0"));
    return message;
}

static void set_id(json_t *message, json_t *id)
{
    json_object_set_new_nocheck(message, "id", id ? json_incref(id) : json_null());
}

json_t *proto_result(json_t *id, json_t *result)
{
    json_t *message = message_new();

    set_id(message, id);
    json_object_set_new_nocheck(message, "result", result);
    return message;
}

json_t *proto_error(json_t *id, enum proto_error code, json_t *data, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);

    json_t *error = json_object();
    json_object_set_new_nocheck(error, "code", json_integer(code));
    json_object_set_new_nocheck(error, "message", proto_string(text));
    if (data)
        json_object_set_new_nocheck(error, "data", data);
    free(text);

    json_t *message = message_new();
    set_id(message, id);
    json_object_set_new_nocheck(message, "error", error);
    return message;
}

json_t *proto_request(int id, const char *method, json_t *params)
{
    json_t *message = message_new();

    json_object_set_new_nocheck(message, "id", json_integer(id));
    json_object_set_new_nocheck(message, "method", proto_string(method));
    if (params)
        json_object_set_new_nocheck(message, "params", params);
    return message;
}

json_t *proto_notification(const char *method, json_t *params)
{
    json_t *message = message_new();

    json_object_set_new_nocheck(message, "method", proto_string(method));
    if (params)
        json_object_set_new_nocheck(message, "params", params);
    return message;
}

json_t *proto_text(const char *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    json_t *string = json_stringn(text, len);

    if (string)
        return string;

    struct buf clean = {0};
    for (const char *end = text + len; text < end;) {
        size_t n = utf8_length(text, (size_t)(end - text));
        buf_add_string(&clean, n > 0 ? "" : replacement);
        buf_add(&clean, text, n);
        text += n > 0 ? n : 1;
    }
    string = json_stringn(clean.data, clean.len);
    buf_free(&clean);
    return string;
}

json_t *proto_string(const char *text)
{
    return text ? proto_text(text, strlen(text)) : json_null();
}

char *proto_encode(const json_t *message, size_t *len)
{
    struct json_out out = {0};

    json_out_tree(&out, message);
    buf_add_char(&out.text, '\n');
    *len = out.text.len;
    return buf_steal(&out.text);
}

json_t *proto_seconds(int64_t usec)
{
    return json_real((double)usec / 1e6);
}

/*
 * Does C match the bracket expression that begins after the '[' at SET?  *END is
 * set behind its ']'; without one false is returned and *END is NULL: then '[' stands for itself.
 */
static bool match_bracket(const char *set, char c, const char **end)
{
    bool negated = *set == '!' || *set == '^';
    bool found = false;
    const char *first = set + (negated ? 1 : 0);
    const char *p = first;

    *end = NULL;
    for (; *p && (*p != ']' || p == first); p++) {
        char low = *p, high = *p;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = p[2];
            p += 2;
        }
        if (c >= low && c <= high)
            found = true;
    }
    if (*p != ']')
        return false;
    *end = p + 1;
    return found != negated;
}

/* Matches one element of the pattern that is no '*' against C; *NEXT is set behind it. */
static bool match_one(const char *pattern, char c, const char **next)
{
    const char *end;

    if (*pattern == '[') {
        bool matched = match_bracket(pattern + 1, c, &end);
        if (end) {
            *next = end;
            return matched;
        }
    }
    *next = pattern + 1;
    return *pattern == '?' || *pattern == c;
}

/* Going back to the last '*' only is enough, and keeps it from taking exponential time. */
static bool glob_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *star_name = NULL;

    while (*name) {
        const char *next;
        if (*pattern == '*') {
            star = ++pattern;
            star_name = name;
        } else if (*pattern && match_one(pattern, *name, &next)) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool proto_is_glob(const char *pattern)
{
    return strpbrk(pattern, "*?[") != NULL;
}

const char *proto_reason_beside(const char *state, const char *reason)
{
    const char *stopped = svc_state_name(SVC_STOPPED);
    size_t len = strlen(stopped);
    bool says_it = strcmp(state, stopped) == 0 || strcmp(state, svc_state_name(SVC_STOPPING)) == 0;

    if (!says_it || strncmp(reason, stopped, len) != 0 || (reason[len] != ' ' && reason[len] != ':'))
        return reason;
    return reason + len + strspn(reason + len, ": ");
}

static bool matches(const char *pattern, const char *name)
{
    return proto_is_glob(pattern) ? glob_matches(pattern, name) : strcmp(pattern, name) == 0;
}

bool proto_name_matches(const char *pattern, const char *name)
{
    if (strnlen(pattern, PROTO_MAX_PATTERN + 1) > PROTO_MAX_PATTERN)
        return false;
    if (matches(pattern, name))
        return true;
    if (!instance_is(name) || instance_base_len(name) > SPEC_NAME_MAX)
        return false;

    /* The name of a section means all its instances. */
    char base[SPEC_NAME_MAX + 1];
    snprintf(base, sizeof base, "%.*s", (int)instance_base_len(name), name);
    return matches(pattern, base);
}
