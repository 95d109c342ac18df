/* SPDX-License-Identifier: MIT */
/* What a health check asks by HTTP, and what it makes of the answer, however that is cut into pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "check_main.h"
#include "core/http.h"

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *url, *host, *line;
} requests[] = {
    {"http://127.0.0.1:8080/healthz?x=1", "127.0.0.1:8080", "GET /healthz?x=1 HTTP/1.1\r\n"},
    {"http://127.0.0.1", "127.0.0.1", "GET / HTTP/1.1\r\n"},
    {"http://localhost:81/", "localhost:81", "GET / HTTP/1.1\r\n"},
    {"http://[::1]/a", "[::1]", "GET /a HTTP/1.1\r\n"},
    {"http://[::1]:82/a", "[::1]:82", "GET /a HTTP/1.1\r\n"},
    {"http://unix:/run/x.sock", "localhost", "GET / HTTP/1.1\r\n"},
    {"http://unix:/run/x.sock:/a:/b", "localhost", "GET /a:/b HTTP/1.1\r\n"},
};

START_TEST(request)
{
    struct check_http http;
    char err[256];
    char host[256];

    ck_assert(check_http_parse(requests[_i].url, &http, err, sizeof(err)));
    char *text = http_request(&http);
    ck_assert_msg(strncmp(text, requests[_i].line, strlen(requests[_i].line)) == 0, "%s", text);
    snprintf(host, sizeof(host), "\r\nHost: %s\r\n", requests[_i].host);
    ck_assert_msg(strstr(text, host) != NULL, "%s", text);
    ck_assert(strlen(text) > 4 && strcmp(text + strlen(text) - 4, "\r\n\r\n") == 0);
    free(text);
}
END_TEST

START_TEST(addresses)
{
    struct check_http http;
    char err[256];

    ck_assert(check_http_parse("http://localhost/", &http, err, sizeof(err)));
    ck_assert(http.address.kind == SOCKET_TCP && http.address.port == 80 && http.address.addr[0] == 127);
    ck_assert(check_http_parse("http://[::1]:82", &http, err, sizeof(err)));
    ck_assert(http.address.ipv6 && http.address.port == 82 && http.address.addr[15] == 1);
    ck_assert(check_http_parse("http://unix:/run/x.sock:/a", &http, err, sizeof(err)));
    ck_assert(http.address.kind == SOCKET_UNIX);
    ck_assert_str_eq(http.address.path, "/run/x.sock");
}
END_TEST

/* BODY NULL: it is no HTTP, or not all of it is there where the end comes. */
static const struct {
    const char *text;
    int status;
    const char *body;
} answers[] = {
    {OK "Content-Length: 4\r\n\r\nfineand more", 200, "fine"},
    {OK "content-LENGTH:4 \r\n\r\nfine", 200, "fine"},
    {OK "\r\nto the end", 200, "to the end"},
    {"HTTP/1.0 503 Service Unavailable\nX: y\n\n", 503, ""},
    {"HTTP/1.1 204\r\nContent-Length: 9\r\n\r\n", 204, ""},
    {OK "Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\nA;x=y\r\n and so on\r\n0\r\n\r\n", 200, "fine and so on"},
    {OK "Transfer-Encoding: chunked\r\n\r\n4\r\nfi", 200, "fi"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 2\r\n\r\nok", 200,
     "ok"},
    {OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, NULL},
    {OK "Content-Length: 4\r\n", 0, NULL},
    {"SSH-2.0-OpenSSH\r\n", 0, NULL},
    {"HTTP/1.1 2x0 OK\r\n\r\n", 0, NULL},
    {"HTTP/1.1", 0, NULL},
    {"", 0, NULL},
};

/* Exactly as long as it says: a read beyond it is seen by the sanitizers. */
static enum http_progress look(const char *text, size_t len, bool at_end, int *status, struct buf *body)
{
    char *copy = xmalloc(len + 1);

    memcpy(copy, text, len);
    copy = xreallocarray(copy, len > 0 ? len : 1, 1);
    enum http_progress progress = http_read(copy, len, at_end, status, body);
    free(copy);
    return progress;
}

START_TEST(answer)
{
    const char *text = answers[_i].text;
    struct buf body = {0};
    int status = 0;

    /* As it comes, a byte more each time: never anything else than in the end. */
    for (size_t len = 0; len < strlen(text); len++) {
        enum http_progress progress = look(text, len, false, &status, &body);
        if (progress == HTTP_BAD) {
            ck_assert_ptr_eq(answers[_i].body, NULL);
            break;
        }
        if (answers[_i].body != NULL && (progress == HTTP_HEAD || progress == HTTP_WHOLE)) {
            ck_assert_int_eq(status, answers[_i].status);
            ck_assert(body.len <= strlen(answers[_i].body));
            ck_assert(body.len == 0 || memcmp(body.data, answers[_i].body, body.len) == 0);
        }
    }
    enum http_progress progress = look(text, strlen(text), true, &status, &body);
    if (answers[_i].body == NULL) {
        ck_assert_int_eq(progress, HTTP_BAD);
    } else {
        ck_assert_int_eq(progress, HTTP_WHOLE);
        ck_assert_int_eq(status, answers[_i].status);
        ck_assert_uint_eq(body.len, strlen(answers[_i].body));
        ck_assert(body.len == 0 || memcmp(body.data, answers[_i].body, body.len) == 0);
    }
    buf_free(&body);
}
END_TEST

/* Whatever comes, it is read within its bounds. */
START_TEST(noise)
{
    static const char *const pieces[] = {OK,
                                         "HTTP/1.1 ",
                                         "Transfer-Encoding: chunked\r\n",
                                         "Content-Length: ",
                                         "-1",
                                         "ffffffffffffffff",
                                         "7fffffffffffffff",
                                         "\r\n",
                                         "\r\n\r\n",
                                         "0",
                                         "5",
                                         "x"};
    unsigned seed = 1;

    for (int i = 0; i < 20000; i++) {
        struct buf text = {0};
        struct buf body = {0};
        int status = 0;
        for (int n = 0; n < 12; n++) {
            seed = seed * 1103515245U + 12345U;
            buf_add_string(&text, pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        enum http_progress progress = look(text.data, text.len, i % 2 == 0, &status, &body);
        ck_assert(progress == HTTP_BAD || progress == HTTP_MORE || (status >= 100 && body.len <= text.len));
        buf_free(&text);
        buf_free(&body);
    }
}
END_TEST

#define LEN(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *check_suite(void)
{
    Suite *suite = suite_create("http");
    TCase *tc = tcase_create("http");

    tcase_add_loop_test(tc, request, 0, LEN(requests));
    tcase_add_test(tc, addresses);
    tcase_add_loop_test(tc, answer, 0, LEN(answers));
    tcase_add_test(tc, noise);
    suite_add_tcase(suite, tc);
    return suite;
}
