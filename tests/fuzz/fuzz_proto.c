/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "core/proto.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/words.h"

static void check_request(json_t *message)
{
    struct proto_request request;
    enum proto_error code;
    char err[256] = "";
    const json_t *name;
    size_t i;

    if (proto_request_parse(message, &request, &code, err, sizeof err)) {
        FUZZ_CHECK(request.method && json_is_object(request.params));
        json_array_foreach(json_object_get(request.params, "names"), i, name)
        {
            const char *pattern = json_string_value(name);
            if (pattern && !proto_is_glob(pattern))
                FUZZ_CHECK(proto_name_matches(pattern, pattern) == (strlen(pattern) <= PROTO_MAX_PATTERN));
            else if (pattern)
                proto_name_matches(pattern, "web-worker@17");
        }
    } else {
        FUZZ_CHECK(code != 0 && err[0] != '\0');
    }
    json_t *answer = proto_error(request.id, PROTO_E_INVALID_REQUEST, NULL, "%s: %s", request.method, err);
    size_t len;
    char *line = proto_encode(answer, &len);
    FUZZ_CHECK(len > 0 && memchr(line, '\n', len) == line + len - 1);
    free(line);
    json_decref(answer);
    proto_request_clear(&request);
}

/* A line, as supd takes it. */
static void take_line(const char *line, size_t len)
{
    json_t *message = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    json_t *one;
    size_t i;

    json_array_foreach(message, i, one)
    {
        check_request(one);
    }
    if (message && !json_is_array(message))
        check_request(message);
    json_decref(message);
}

void fuzz_requests(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;

    while (size > 0) {
        const char *end = memchr(at, '\n', size);
        size_t len = end ? (size_t)(end - at) : size;

        take_line(at, len);
        at += len + (end != NULL);
        size -= len + (end != NULL);
    }
}

/* Nothing may reach a terminal but text and, where WITH_LINES, ends of lines. */
static void check_harmless(const char *text, bool with_lines)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        FUZZ_CHECK((*p >= 0x20 && *p != 0x7f) || (with_lines && *p == '\n'));
        FUZZ_CHECK(!(p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f));
    }
}

static void check_words(const json_t *service)
{
    char *words = words_of_service(service, 1795286400);

    check_harmless(words, false);
    for (size_t width = 0; width < 6; width++) {
        char *cut = text_cut(words, width, "..");
        FUZZ_CHECK(text_width(cut) <= width);
        free(cut);
    }
    free(words);
}

void fuzz_answer(const uint8_t *data, size_t size)
{
    json_t *answer = json_loadb((const char *)data, size, 0, NULL);
    const json_t *service;
    size_t i;

    json_array_foreach(answer, i, service)
    {
        check_words(service);
    }
    json_decref(answer);

    char *text = fuzz_string(data, size);
    char *clean = text_clean(text);
    check_harmless(clean, false);
    free(clean);
    free(text);
}
