/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "base/json_in.h"
#include "core/proto.h"
#include "supctl/rows.h"
#include "supctl/table.h"
#include "supctl/text.h"
#include "supctl/top.h"
#include "supctl/view.h"
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

/* What is printed of FILL. */
static void check_printed(void (*fill)(FILE *out, void *ctx), void *ctx)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    FUZZ_CHECK(out);
    fill(out, ctx);
    fclose(out);
    FUZZ_CHECK(strlen(text) == len);
    check_harmless(text, true);
    free(text);
}

static void fill_view(FILE *out, void *ctx)
{
    view_print(ctx, 1795286400, &(struct table_style){0}, out);
}

static void fill_table(FILE *out, void *ctx)
{
    table_print(ctx, &(struct table_style){.width = 80}, out);
}

static void check_words(json_t *service)
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

static void check_top(json_t *services)
{
    struct top *top = top_new();

    top_look(top, services, 1);
    top_look(top, services, 2.5);
    for (enum top_order order = TOP_BY_CPU; order <= TOP_BY_NAME; order++) {
        struct table *table = top_table(top, order, 5, 1795286400);
        check_printed(fill_table, table);
        table_free(table);
    }
    free(top_summary(top));
    top_free(top);
}

/* What is read without a tree is taken for JSON where jansson takes it, but for its nesting and large numbers, and the NUL that
 * jansson takes behind a number. */
static void check_text(const char *text, size_t size)
{
    struct json_in in = {.at = text, .end = text + size};
    json_error_t error;
    json_t *tree = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    struct json_piece piece;
    bool taken = json_in_value(&in, &piece) && json_in_ended(&in);
    size_t opened = 0;

    for (size_t i = 0; i < size; i++)
        opened += text[i] == '[' || text[i] == '{';
    if (tree)
        FUZZ_CHECK(taken || opened > JSON_IN_DEPTH || memchr(text, '\0', size));
    else
        FUZZ_CHECK(!taken || json_error_code(&error) == json_error_numeric_overflow);
    json_decref(tree);
}

static void check_rows(const char *text, size_t size)
{
    struct table *table = rows_table();
    size_t n;
    bool all_run;

    rows_add(table, text, size, 1795286400, &n, &all_run);
    check_printed(fill_table, table);
    table_free(table);
}

void fuzz_answer(const uint8_t *data, size_t size)
{
    json_t *answer = json_loadb((const char *)data, size, 0, NULL);
    json_t *service;
    size_t i;

    check_text((const char *)data, size);
    check_rows((const char *)data, size);

    json_array_foreach(answer, i, service)
    {
        check_words(service);
        check_printed(fill_view, service);
    }
    check_top(answer);
    json_decref(answer);

    char *text = fuzz_string(data, size);
    char *clean = text_clean(text);
    check_harmless(clean, false);
    free(clean);
    free(text);
}
