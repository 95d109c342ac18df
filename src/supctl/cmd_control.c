/* SPDX-License-Identifier: MIT */
/* start, stop, restart, reload, signal, reset, pause, resume, enable, disable: a command to services, and what became of each */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/signames.h"
#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/log_settle.h"
#include "supctl/outcomes.h"
#include "supctl/params.h"
#include "supctl/text.h"

/* BEGAN: as of outcome_tell(). */
static int finish(struct client *client, const struct options *options, const struct answer *answer, double began)
{
    const json_t *outcomes = answer->result;
    bool good;

    if (answer->code == PROTO_E_TIMED_OUT)
        outcomes = answer->data;
    if (!outcomes)
        return client_tell_error(client, answer);

    if (json_array_size(outcomes) == 0 && !(options->given & OPTION_JSON))
        puts(strcmp(options->command, "rotate") == 0 ? "Nothing to do: suplog writes no log files."
                                                     : "Nothing to do: they are so many already.");
    if (options->given & OPTION_JSON) {
        text_print_json(outcomes);
        good = outcomes_good(outcomes);
    } else {
        json_t *failed = outcomes_failed(outcomes);
        if (began > 0)
            log_settle(client, failed);
        json_decref(failed);
        good = outcomes_tell(outcomes, began);
    }
    if (!answer->result)
        return client_tell_error(client, answer);
    return good ? SUPCTL_DONE : SUPCTL_FAILED;
}

static int send_command(const struct options *options, const char *method, json_t *params, int64_t limit)
{
    bool starts = strcmp(method, "service.start") == 0 || strcmp(method, "service.restart") == 0;
    double began = starts ? text_now() : 0;
    struct answer answer;
    int status;
    struct client *client = client_open(options, limit, &status);

    if (!client) {
        json_decref(params);
        return status;
    }
    status = client_call(client, method, params, &answer);
    if (status == SUPCTL_DONE)
        status = finish(client, options, &answer, began);
    answer_clear(&answer);
    client_close(client);
    return status;
}

/* supd minds --timeout and tells how far each service has come; we only see to it that it does.  PARAMS is stolen. */
static int send_and_wait(const struct options *options, const char *method, json_t *params)
{
    if (options->given & OPTION_NO_WAIT)
        return send_command(options, method, params, client_limit(options, CLIENT_USUAL_LIMIT, 0));
    json_object_set_new(params, "wait", json_true());
    params_add_timeout(params, options);
    return send_command(options, method, params, client_limit(options, CLIENT_NO_LIMIT, CLIENT_GRACE));
}

int cmd_start(const struct options *options)
{
    return send_and_wait(options, "service.start", params_of_names(options->args, options->n_args));
}

int cmd_stop(const struct options *options)
{
    return send_and_wait(options, "service.stop", params_of_names(options->args, options->n_args));
}

int cmd_restart(const struct options *options)
{
    if ((options->given & OPTION_ROLLING) && (options->given & OPTION_NO_WAIT)) {
        complain("restart: --rolling waits for each before the next, so --no-wait does not go with it");
        return SUPCTL_USAGE;
    }
    if (options->given & OPTION_ROLLING)
        return rolling_restart(options);
    return send_and_wait(options, "service.restart", params_of_names(options->args, options->n_args));
}

int cmd_reload(const struct options *options)
{
    return send_and_wait(options, "service.reload", params_of_names(options->args, options->n_args));
}

int cmd_scale(const struct options *options)
{
    const char *name = options->args[0];
    const char *number = options->args[1];
    size_t digits = strspn(number, "0123456789");

    if (digits == 0 || digits > 9 || number[digits]) {
        complain("scale: '%s' is no number of instances; 'supctl scale NAME 4' makes them four", number);
        return SUPCTL_USAGE;
    }
    return send_and_wait(options, "service.scale",
                         json_pack("{s:o, s:i}", "name", proto_string(name), "instances", atoi(number)));
}

int cmd_signal(const struct options *options)
{
    const char *word = options->args[0];

    if (signal_from_name(word) < 0) {
        const char *near = signal_suggest(word);
        if (near)
            complain("signal: '%s' is no signal; did you mean '%s'?", word, near);
        else
            complain("signal: '%s' is no signal; 'supctl signal HUP NAME' sends SIGHUP, 'kill -l' lists all", word);
        return SUPCTL_USAGE;
    }
    json_t *params = params_of_names(options->args + 1, options->n_args - 1);
    json_object_set_new(params, "signal", json_string(word));
    return send_command(options, "service.signal", params, client_limit(options, CLIENT_USUAL_LIMIT, 0));
}

/* A command that is done once supd answers. */
static int send_quick(const struct options *options, const char *method)
{
    json_t *params = params_of_names(options->args, options->n_args);

    return send_command(options, method, params, client_limit(options, CLIENT_USUAL_LIMIT, 0));
}

int cmd_reset(const struct options *options)
{
    return send_quick(options, "service.reset");
}

int cmd_rotate(const struct options *options)
{
    json_t *params = options->n_args > 0 ? params_of_names(options->args, options->n_args) : json_object();

    return send_command(options, "log.rotate", params, client_limit(options, CLIENT_USUAL_LIMIT, 0));
}

int cmd_pause(const struct options *options)
{
    return send_quick(options, "service.pause");
}

int cmd_resume(const struct options *options)
{
    return send_quick(options, "service.resume");
}

/* With --now what it says of the next start of supd is done now, too. */
static int send_and_do(const struct options *options, const char *method, const char *now)
{
    int status = send_quick(options, method);

    return status == SUPCTL_DONE && options->given & OPTION_NOW
               ? send_and_wait(options, now, params_of_names(options->args, options->n_args))
               : status;
}

int cmd_enable(const struct options *options)
{
    return send_and_do(options, "service.enable", "service.start");
}

int cmd_disable(const struct options *options)
{
    return send_and_do(options, "service.disable", "service.stop");
}
