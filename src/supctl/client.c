/* SPDX-License-Identifier: MIT */
#include "supctl/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bytebuf.h"
#include "base/json_in.h"
#include "base/mem.h"
#include "base/units.h"
#include "core/proto.h"
#include "supctl/text.h"

#define READ_SIZE (64 * 1024)
#define SYSTEM_SOCKET "/run/supd/control.sock"

struct client {
    int fd;
    int64_t limit;    /* us, for messages */
    int64_t deadline; /* us of CLOCK_MONOTONIC, or CLIENT_NO_LIMIT */
    struct bytebuf in;
    size_t scanned; /* bytes of `in` known to hold no newline */
    size_t lent;    /* bytes of `in`, a line that the caller still looks at */
    char *text;     /* a result that had to be written anew, for the caller to look at */
    int last_id;
    pid_t peer_pid;
};

static int64_t clock_mono(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* What is left of the time, us; CLIENT_NO_LIMIT. */
static int64_t time_left(const struct client *client)
{
    if (client->deadline == CLIENT_NO_LIMIT)
        return CLIENT_NO_LIMIT;
    int64_t left = client->deadline - clock_mono();
    return left > 0 ? left : 0;
}

static int tell_timed_out(const struct client *client)
{
    char buf[32];

    complain("supd did not answer within %s; 'supctl --timeout D' waits longer",
             duration_format(client->limit, buf, sizeof buf));
    return SUPCTL_TIMED_OUT;
}

static int tell_ended(void)
{
    complain("supd closed the connection before it answered; its log may say why");
    return SUPCTL_UNREACHABLE;
}

/* The path; *OWNED is to be freed. */
static const char *socket_path(const struct options *options, char **owned)
{
    const char *env = getenv("SUPD_SOCKET");
    const char *dir = getenv("XDG_RUNTIME_DIR");

    *owned = NULL;
    if (options->socket)
        return options->socket;
    if (env && *env)
        return env;
    if (geteuid() == 0 || !dir || !*dir)
        return SYSTEM_SOCKET;
    *owned = xasprintf("%s/supd/control.sock", dir);
    return access(*owned, F_OK) == 0 ? *owned : SYSTEM_SOCKET;
}

static int tell_no_connection(const char *path, int error)
{
    struct stat st;

    if (error == ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        complain("supd cannot be reached: %s is no socket; name that of supd with -s", path);
        return SUPCTL_UNREACHABLE;
    }
    switch (error) {
    case ENOENT:
        complain("supd cannot be reached: %s does not exist; start supd, or name its socket with -s", path);
        return SUPCTL_UNREACHABLE;
    case ECONNREFUSED:
        complain("supd cannot be reached: nobody listens on %s; start supd, or name its socket with -s", path);
        return SUPCTL_UNREACHABLE;
    case EACCES:
    case EPERM:
        complain("%s may not be opened by this user; be root, the user of supd, or a member of its admin-group or "
                 "read-group",
                 path);
        return SUPCTL_NOT_PERMITTED;
    default:
        complain("supd cannot be reached: %s: %s", path, strerror(error));
        return SUPCTL_UNREACHABLE;
    }
}

/* A full queue makes connect(2) wait, for a stuck supd without end: SO_SNDTIMEO bounds that. */
static int connect_within(struct client *client, const struct sockaddr_un *addr)
{
    int64_t left = time_left(client);

    if (left != CLIENT_NO_LIMIT) {
        /* All zero would mean no bound. */
        struct timeval tv = {.tv_sec = left / USEC_PER_SEC, .tv_usec = left % USEC_PER_SEC + 1};
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    }
    int rc;
    do
        rc = connect(client->fd, (const struct sockaddr *)addr, sizeof *addr);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int connect_to(struct client *client, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof addr.sun_path) {
        complain("the socket path %s is too long; the most is %zu bytes", path, sizeof addr.sun_path - 1);
        return SUPCTL_USAGE;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        complain("socket: %s", strerror(errno));
        return SUPCTL_FAILED;
    }
    int error = connect_within(client, &addr);
    if (error == EAGAIN)
        return tell_timed_out(client);
    if (error != 0)
        return tell_no_connection(path, error);

    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
        client->peer_pid = cred.pid;
    return SUPCTL_DONE;
}

int64_t client_limit(const struct options *options, int64_t otherwise, int64_t grace)
{
    return options->given & OPTION_TIMEOUT ? options->timeout + grace : otherwise;
}

struct client *client_open(const struct options *options, int64_t limit, int *status)
{
    struct client *client = xcalloc(1, sizeof *client);
    char *owned;

    client->fd = -1;
    client->limit = limit;
    client_renew(client);
    *status = connect_to(client, socket_path(options, &owned));
    free(owned);
    if (*status == SUPCTL_DONE)
        return client;
    client_close(client);
    return NULL;
}

void client_renew(struct client *client)
{
    client->deadline = client->limit == CLIENT_NO_LIMIT ? CLIENT_NO_LIMIT : clock_mono() + client->limit;
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    bytebuf_free(&client->in);
    free(client->text);
    free(client);
}

pid_t client_peer_pid(const struct client *client)
{
    return client->peer_pid;
}

/* Waits until FD is ready for EVENTS.  That the time is over is not told. */
static int wait_for(const struct client *client, int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = time_left(client);
        struct timespec ts = {.tv_sec = left / USEC_PER_SEC, .tv_nsec = left % USEC_PER_SEC * 1000};
        int n = ppoll(&pfd, 1, left == CLIENT_NO_LIMIT ? NULL : &ts, NULL);
        if (n > 0)
            return SUPCTL_DONE;
        if (n == 0)
            return SUPCTL_TIMED_OUT;
        if (errno != EINTR) {
            complain("poll: %s", strerror(errno));
            return SUPCTL_FAILED;
        }
    }
}

static int wait_for_supd(const struct client *client, short events)
{
    int status = wait_for(client, client->fd, events);

    return status == SUPCTL_TIMED_OUT ? tell_timed_out(client) : status;
}

int client_wait_for_end(const struct client *client, int pidfd)
{
    int status = wait_for(client, pidfd, POLLIN);
    char buf[32];

    if (status == SUPCTL_TIMED_OUT)
        complain("supd has not ended within %s; it goes on with it", duration_format(client->limit, buf, sizeof buf));
    return status;
}

/* One that is refused is answered and closed before it was read: then what counts is the answer, so go on to it. */
static int send_all(const struct client *client, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return SUPCTL_DONE;
        if (errno != EAGAIN && errno != EINTR) {
            complain("writing to supd: %s", strerror(errno));
            return SUPCTL_UNREACHABLE;
        }
        int status = errno == EINTR ? SUPCTL_DONE : wait_for_supd(client, POLLOUT);
        if (status != SUPCTL_DONE)
            return status;
    }
    return SUPCTL_DONE;
}

/* Reads until `in` begins with a whole line, of *LEN bytes with its newline; 0 at the end of the connection. */
static int read_line(struct client *client, size_t *len)
{
    *len = 0;
    for (;;) {
        if (client->in.len > client->scanned) {
            const char *data = bytebuf_data(&client->in);
            const char *end = memchr(data + client->scanned, '\n', client->in.len - client->scanned);
            if (end) {
                *len = (size_t)(end - data) + 1;
                return SUPCTL_DONE;
            }
            client->scanned = client->in.len;
        }
        ssize_t n = recv(client->fd, bytebuf_reserve(&client->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
        if (n > 0) {
            bytebuf_commit(&client->in, (size_t)n);
            continue;
        }
        if (n == 0 || errno == ECONNRESET)
            return SUPCTL_DONE;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            complain("reading from supd: %s", strerror(errno));
            return SUPCTL_UNREACHABLE;
        }
        int status = wait_for_supd(client, POLLIN);
        if (status != SUPCTL_DONE)
            return status;
    }
}

/* The next message; *MESSAGE is NULL at the end of the connection. */
static int read_message(struct client *client, json_t **message)
{
    size_t len;
    int status = read_line(client, &len);

    *message = NULL;
    if (status != SUPCTL_DONE || len == 0)
        return status;
    *message = json_loadb(bytebuf_data(&client->in), len, 0, NULL);
    bytebuf_consume(&client->in, len);
    client->scanned = 0;
    if (json_is_object(*message))
        return SUPCTL_DONE;
    json_decref(*message);
    *message = NULL;
    complain("what listens there does not speak supd's protocol; is -s or SUPD_SOCKET right?");
    return SUPCTL_FAILED;
}

static bool is_answer_to(const json_t *message, int id)
{
    const json_t *its = json_object_get(message, "id");

    /* An error about a request that could not be read has the id null. */
    return (json_is_integer(its) && json_integer_value(its) == id) ||
           (json_is_null(its) && json_object_get(message, "error"));
}

static int read_answer(struct client *client, int id, json_t **message)
{
    for (;;) {
        int status = read_message(client, message);
        if (status != SUPCTL_DONE)
            return status;
        if (!*message)
            return tell_ended();
        if (is_answer_to(*message, id))
            return SUPCTL_DONE;
        json_decref(*message);
    }
}

/* What was lent to the caller is looked at no more. */
static void take_back(struct client *client)
{
    bytebuf_consume(&client->in, client->lent);
    client->lent = 0;
    free(client->text);
    client->text = NULL;
}

/* The new request has the number client->last_id. */
static int send_request(struct client *client, const char *method, json_t *params)
{
    json_t *request = proto_request(++client->last_id, method, params);
    size_t len;
    char *line = proto_encode(request, &len);

    take_back(client);
    json_decref(request);
    int status = send_all(client, line, len);
    free(line);
    return status;
}

static int receive_answer(struct client *client, struct answer *answer)
{
    int status = read_answer(client, client->last_id, &answer->whole);

    if (status != SUPCTL_DONE)
        return status;
    answer->result = json_object_get(answer->whole, "result");
    if (answer->result)
        return SUPCTL_DONE;
    const json_t *error = json_object_get(answer->whole, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    answer->code = (int)json_integer_value(json_object_get(error, "code"));
    answer->message = message ? message : "supd gave an error without a word";
    answer->data = json_object_get(error, "data");
    return SUPCTL_DONE;
}

int client_call(struct client *client, const char *method, json_t *params, struct answer *answer)
{
    int status = send_request(client, method, params);

    *answer = (struct answer){0};
    return status == SUPCTL_DONE ? receive_answer(client, answer) : status;
}

void answer_clear(struct answer *answer)
{
    json_decref(answer->whole);
    *answer = (struct answer){0};
}

int client_ask(struct client *client, const char *method, json_t *params, json_t **result)
{
    struct answer answer;
    int status = client_call(client, method, params, &answer);

    *result = NULL;
    if (status == SUPCTL_DONE && !answer.result)
        status = client_tell_error(client, &answer);
    if (status == SUPCTL_DONE)
        *result = json_incref(answer.result);
    answer_clear(&answer);
    return status;
}

/* The line at the front of `in`, LEN bytes, where it is the answer that is waited for as supd writes it, and has a result. */
static bool lend_result(struct client *client, size_t len, const char **result, size_t *result_len)
{
    struct json_in in = {.at = bytebuf_data(&client->in)};
    struct json_piece piece;
    char before[64];
    size_t n = (size_t)snprintf(before, sizeof before, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":", client->last_id);

    if (len <= n || memcmp(in.at, before, n) != 0)
        return false;
    in.end = in.at + len - 2;
    in.at += n;
    if (memcmp(in.end, "}\n", 2) != 0 || !json_in_value(&in, &piece) || !json_in_ended(&in))
        return false;
    *result = piece.text;
    *result_len = piece.len;
    client->lent = len;
    client->scanned = 0;
    return true;
}

/* The answer in whatever way it is written. */
static int write_anew(struct client *client, bool *refused, const char **result, size_t *len)
{
    struct answer answer = {0};
    int status = receive_answer(client, &answer);

    if (status == SUPCTL_DONE && !answer.result) {
        if (refused && answer.code == PROTO_E_INVALID_PARAMS)
            *refused = true;
        else
            status = client_tell_error(client, &answer);
    }
    if (status == SUPCTL_DONE && answer.result) {
        client->text = proto_encode(answer.result, len);
        *result = client->text;
        *len -= 1; /* the newline */
    }
    answer_clear(&answer);
    return status;
}

int client_ask_text(struct client *client, const char *method, json_t *params, bool *refused, const char **result,
                    size_t *len)
{
    size_t line;
    int status = send_request(client, method, params);

    if (refused)
        *refused = false;
    if (status == SUPCTL_DONE)
        status = read_line(client, &line);
    if (status != SUPCTL_DONE)
        return status;
    if (line > 0 && lend_result(client, line, result, len))
        return SUPCTL_DONE;
    return write_anew(client, refused, result, len);
}

int client_fd(const struct client *client)
{
    return client->fd;
}

/* Has something come that was not looked at? */
static bool has_come(const struct client *client)
{
    struct pollfd pfd = {.fd = client->fd, .events = POLLIN};

    return client->in.len > client->scanned || poll(&pfd, 1, 0) > 0;
}

int client_poll_event(struct client *client, json_t **params)
{
    *params = NULL;
    if (!has_come(client))
        return SUPCTL_DONE;
    client_renew(client);
    return client_next_event(client, false, params);
}

int client_next_event(struct client *client, bool tell_end, json_t **params)
{
    json_t *message;

    *params = NULL;
    for (;;) {
        int status = read_message(client, &message);
        if (status != SUPCTL_DONE)
            return status;
        if (!message && tell_end)
            complain("the connection to supd has ended");
        if (!message)
            return SUPCTL_UNREACHABLE;
        *params = json_incref(json_object_get(message, "params"));
        json_decref(message);
        if (*params)
            return SUPCTL_DONE;
    }
}
