/* SPDX-License-Identifier: MIT */
/* logs -f: sleeps until inotify(7) tells of a line, or supd of a change. */
#include "supctl/log_view.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "supctl/params.h"
#include "supctl/text.h"

enum { WAIT_FILES, WAIT_SUPD, WAIT_OUTPUT, WAIT_N };

static void take_news(struct log_view *view)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len;

    while ((len = read(view->inotify, events, sizeof events)) > 0) {
        const struct inotify_event *event;
        for (char *p = events; p < events + len; p += sizeof *event + event->len) {
            event = (const struct inotify_event *)p;
            for (size_t i = 0; i < view->list.n; i++)
                log_source_wake(view->list.sources[i], event->wd);
        }
    }
}

static void refresh(struct log_view *view, struct client *client)
{
    const struct options *options = view->options;
    struct answer answer;
    size_t first_new;

    client_renew(client);
    if (client_call(client, "service.list", params_of_names(options->args, options->n_args), &answer) == SUPCTL_DONE &&
        answer.result) {
        log_list_refresh(&view->list, answer.result, view->streams, &first_new);
        log_view_open(view, first_new);
    }
    answer_clear(&answer);
}

/* Does EVENT mean that another file may be the log now?  At a start a directory may be made that was missing. */
static void take_event(struct log_view *view, const json_t *event, bool *stale)
{
    if (strcmp(text_member(event, "type"), "state") != 0)
        *stale = true;
    for (size_t i = 0; i < view->list.n; i++)
        log_source_watch(view->list.sources[i]);
}

/* NULL once supd has gone; the logs are followed without it. */
static struct client *hear(struct log_view *view, struct client *client)
{
    bool stale = false;
    json_t *event;
    int status;

    while ((status = client_poll_event(client, &event)) == SUPCTL_DONE && event) {
        take_event(view, event, &stale);
        json_decref(event);
    }
    if (status == SUPCTL_DONE) {
        if (stale)
            refresh(view, client);
        return client;
    }
    complain("supd has ended; its logs are followed on, but no change of its configuration");
    client_close(client);
    return NULL;
}

/* What has no end yet is shown where nothing could come between it and its end. */
static bool shows_rest(const struct log_view *view)
{
    return !view->printer.marks && !view->printer.json && !view->filter.grep;
}

int log_follow(struct log_view *view, struct client *client)
{
    struct pollfd fds[WAIT_N] = {
        [WAIT_FILES] = {.fd = view->inotify, .events = POLLIN},
        [WAIT_SUPD] = {.events = POLLIN},
        [WAIT_OUTPUT] = {.fd = STDOUT_FILENO}, /* that nobody reads any more is always told */
    };
    int status = SUPCTL_DONE;

    for (;;) {
        enum log_pass pass = log_view_pass(view, shows_rest(view));
        status = log_view_flush();
        if (status != SUPCTL_DONE || pass == LOG_PASS_GONE)
            break;
        fds[WAIT_SUPD].fd = client ? client_fd(client) : -1;
        if (poll(fds, WAIT_N, pass == LOG_PASS_MORE ? 0 : -1) < 0 && errno != EINTR) {
            complain("poll: %s", strerror(errno));
            status = SUPCTL_FAILED;
            break;
        }
        if (fds[WAIT_OUTPUT].revents)
            break;
        if (fds[WAIT_FILES].revents)
            take_news(view);
        if (fds[WAIT_SUPD].revents)
            client = hear(view, client);
    }
    if (client)
        client_close(client);
    return status;
}
