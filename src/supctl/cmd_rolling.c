/* SPDX-License-Identifier: MIT */
/*
 * restart --rolling: one service after another, each up before the next is touched.
 *
 * The order of events is kept here and not by supd: each step is a command of its own that supd has recorded before it
 * does it, so wherever this program is interrupted, the one that is being restarted goes on and the others are untouched.
 */
#include <stdio.h>

#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/commands.h"
#include "supctl/log_settle.h"
#include "supctl/outcomes.h"
#include "supctl/params.h"
#include "supctl/text.h"

/* What has been done so far. */
struct rolling {
    const struct options *options;
    json_t *outcomes;    /* for --json */
    const char *culprit; /* the one that failed; NULL: none has */
    double began;        /* the one that is at work, seconds since 1970 */
    int status;
};

static json_t *ask_for_services(const struct options *options, int *status)
{
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), status);
    json_t *services = NULL;

    if (!client)
        return NULL;
    *status = client_ask(client, "service.list", params_of_names(options->args, options->n_args), &services);
    client_close(client);
    return services;
}

/* Takes note of an outcome, which is stolen, and tells it. */
static bool take(struct rolling *rolling, json_t *outcome)
{
    bool good = json_is_true(json_object_get(outcome, "ok"));

    json_array_append_new(rolling->outcomes, outcome);
    if (rolling->options->given & OPTION_JSON)
        return good;
    outcome_tell(outcome, rolling->began);
    fflush(stdout);
    return good;
}

/* supd's answer: the outcome of one, or an error. */
static int take_answer(struct rolling *rolling, struct client *client, const struct answer *answer)
{
    json_t *outcomes = answer->code == PROTO_E_TIMED_OUT ? answer->data : answer->result;
    json_t *outcome = json_array_get(outcomes, 0);
    json_t *failed = outcomes_failed(outcomes);

    log_settle(client, failed);
    json_decref(failed);
    bool good = outcome && take(rolling, json_incref(outcome));

    if (!answer->result)
        return client_tell_error(client, answer);
    return good ? SUPCTL_DONE : SUPCTL_FAILED;
}

/* A connection of its own for each: --timeout is meant for each. */
static int restart_one(struct rolling *rolling, char *name)
{
    const struct options *options = rolling->options;
    json_t *params = params_of_names(&name, 1);
    struct answer answer;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_NO_LIMIT, CLIENT_GRACE), &status);

    if (!client) {
        json_decref(params);
        return status;
    }
    rolling->began = text_now();
    json_object_set_new(params, "wait", json_true());
    params_add_timeout(params, options);
    status = client_call(client, "service.restart", params, &answer);
    if (status == SUPCTL_DONE)
        status = take_answer(rolling, client, &answer);
    answer_clear(&answer);
    client_close(client);
    return status;
}

static void leave_as_it_is(struct rolling *rolling, const json_t *service)
{
    rolling->began = 0;
    const char *what = rolling->status == SUPCTL_TIMED_OUT ? "took too long" : "failed";
    json_t *message = json_sprintf("not restarted, because %s %s", rolling->culprit, what);

    take(rolling, json_pack("{s:O, s:b, s:o, s:O}", "name", json_object_get(service, "name"), "ok", 0, "message",
                            message, "service", service));
}

int rolling_restart(const struct options *options)
{
    struct rolling rolling = {.options = options, .status = SUPCTL_DONE};
    json_t *services = ask_for_services(options, &rolling.status);
    const json_t *service;
    size_t i;

    if (rolling.status != SUPCTL_DONE)
        return rolling.status;
    rolling.outcomes = json_array();
    json_array_foreach(services, i, service)
    {
        const char *name = json_string_value(json_object_get(service, "name"));

        if (rolling.culprit) {
            leave_as_it_is(&rolling, service);
            continue;
        }
        rolling.status = restart_one(&rolling, (char *)name);
        if (rolling.status != SUPCTL_DONE)
            rolling.culprit = name;
    }
    if (options->given & OPTION_JSON)
        text_print_json(rolling.outcomes);
    json_decref(rolling.outcomes);
    json_decref(services);
    return rolling.status;
}
