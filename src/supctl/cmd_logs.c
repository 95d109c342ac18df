/* SPDX-License-Identifier: MIT */
/* logs */
#include "supctl/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/grep.h"
#include "base/mem.h"
#include "base/units.h"
#include "supctl/client.h"
#include "supctl/log_settle.h"
#include "supctl/log_time.h"
#include "supctl/log_view.h"
#include "supctl/params.h"
#include "supctl/table.h"
#include "supctl/text.h"

#define USUAL_LINES 10

/* ---- what is asked for ---- */

static bool read_lines(const struct options *options, struct log_filter *filter)
{
    const char *text = options->lines;

    if (!text) {
        /* A search that does not say where to begin is one of all that there is. */
        bool searched = log_filter_asks_time(filter) || (filter->grep && !(options->given & OPTION_FOLLOW));
        filter->lines = searched ? LOG_LINES_ALL : USUAL_LINES;
        return true;
    }
    size_t digits = strspn(text, "0123456789");
    filter->lines = strcmp(text, "all") == 0 ? LOG_LINES_ALL : strtoul(text, NULL, 10);
    if (filter->lines == LOG_LINES_ALL || (digits > 0 && digits < 19 && !text[digits]))
        return true;
    complain("logs: '%s' is no number of lines; '-n 50' shows the last 50, '-n all' shows all", text);
    return false;
}

static bool read_time(const char *option, const char *text, int64_t *when)
{
    int64_t now = (int64_t)(text_now() * (double)USEC_PER_SEC);

    if (!text || log_time_parse(text, now, when))
        return true;
    complain("logs: %s: '%s' is no time; write it as 10m, 05:00, today, '2026-11-22 05:00' or 2026-11-22T05:00:00Z",
             option, text);
    return false;
}

/* *GREP is to be freed with regfree(3) where filter->grep is set. */
static bool read_filter(const struct options *options, struct log_filter *filter, regex_t *grep)
{
    *filter = (struct log_filter){.since = INT64_MIN, .until = INT64_MAX};
    filter->errors_only = options->given & OPTION_STDERR;
    if (options->until && (options->given & OPTION_FOLLOW)) {
        complain("logs: what is followed has no end, so --until does not go with -f");
        return false;
    }
    if (!read_time("--since", options->since, &filter->since) || !read_time("--until", options->until, &filter->until))
        return false;
    if (filter->since > filter->until) {
        complain("logs: there is no time between --since %s and --until %s, which is before it", options->since,
                 options->until);
        return false;
    }
    char *error = options->grep ? grep_compile(options->grep, grep) : NULL;
    if (error) {
        complain("logs: --grep: %s", error);
        free(error);
        return false;
    }
    filter->grep = options->grep ? grep : NULL;
    return read_lines(options, filter);
}

/* ---- carrying it out ---- */

/* What was printed is whole but for the last line; as tail(1) would, without a word. */
static void end_quietly(int sig)
{
    (void)sig;
    _exit(SUPCTL_DONE);
}

/* A file for each service, and some for what it was rotated to. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void tell_note(const char *note)
{
    complain_plainly("%s", note);
}

/* Which logs there are.  A follower subscribes first, so that no change falls in between. */
static int ask(struct log_view *view, struct client *client, json_t **services)
{
    const struct options *options = view->options;
    json_t *result = NULL;
    int status = SUPCTL_DONE;

    if (options->given & OPTION_FOLLOW)
        status = client_ask(client, "events.subscribe", params_of_names(options->args, options->n_args), &result);
    json_decref(result);
    if (status == SUPCTL_DONE)
        status = client_ask(client, "service.list", params_of_names(options->args, options->n_args), services);
    return status;
}

static int begin(struct log_view *view)
{
    struct table_style style = table_style_of_stdout();

    view->printer.json = view->options->given & OPTION_JSON;
    view->printer.terminal = isatty(STDOUT_FILENO);
    view->printer.colour = style.colour && !(view->options->given & OPTION_NO_COLOR);
    view->streams = view->options->given & OPTION_STDERR ? LOG_STREAMS_ERR : LOG_STREAMS_ALL;
    view->inotify = -1;
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    if (!(view->options->given & OPTION_FOLLOW))
        return SUPCTL_DONE;
    signal(SIGINT, end_quietly);
    view->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (view->inotify >= 0)
        return SUPCTL_DONE;
    complain("logs: inotify: %s; fs.inotify.max_user_instances bounds how many may follow", strerror(errno));
    return SUPCTL_FAILED;
}

static int show_all(struct log_view *view)
{
    enum log_pass pass;

    do
        pass = log_view_pass(view, true);
    while (pass == LOG_PASS_MORE);
    return log_view_flush();
}

static int worse(int a, int b)
{
    return a > b ? a : b;
}

/* CLIENT is closed. */
static int show(struct log_view *view, struct client *client)
{
    json_t *services = NULL;
    int status = ask(view, client, &services);

    if (status == SUPCTL_DONE) {
        log_settle(client, services);
        log_list_fill(&view->list, services, view->streams, (int)client_peer_pid(client), tell_note);
        status = log_view_open(view, 0);
        if (view->list.n == 0)
            status = worse(status, SUPCTL_FAILED);
    }
    json_decref(services);
    if (view->list.n > 0 && view->inotify >= 0)
        return worse(status, log_follow(view, client));
    client_close(client);
    return view->list.n > 0 ? worse(status, show_all(view)) : status;
}

int cmd_logs(const struct options *options)
{
    struct log_view view = {.options = options};
    regex_t grep;
    struct client *client = NULL;

    if (!read_filter(options, &view.filter, &grep))
        return SUPCTL_USAGE;
    int status = begin(&view);
    if (status == SUPCTL_DONE)
        client = client_open(options, CLIENT_USUAL_LIMIT, &status);
    if (client)
        status = show(&view, client);
    log_list_clear(&view.list);
    log_printer_clear(&view.printer);
    if (view.filter.grep)
        regfree(&grep);
    if (view.inotify >= 0)
        close(view.inotify);
    return status;
}
