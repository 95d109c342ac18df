/* SPDX-License-Identifier: MIT */
/*
 * What the command of a rule is given: the note as JSON and as variables.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/event.h"
#include "core/proto.h"
#include "os/memfile.h"
#include "supd/events.h"
#include "supd/process.h"

static json_t *note_json(const struct service *service, const struct event_note *note)
{
    bool is_news = note->kind != EVENT_LEFT_OUT;
    json_t *json = json_pack("{s:s, s:s, s:I, s:o}", "event", event_kind_name(note->kind), "on-event",
                             service->spec->name + strlen(EVENT_NAME_PREFIX), "number", (json_int_t)note->number, "at",
                             proto_seconds(note->at));

    json_object_set_new(json, "name", proto_string(is_news ? note->service : NULL));
    json_object_set_new(json, "from", proto_string(is_news ? svc_state_name(note->from) : NULL));
    json_object_set_new(json, "state", proto_string(is_news ? svc_state_name(note->state) : NULL));
    json_object_set_new(json, "reason", proto_string(note->reason[0] ? note->reason : NULL));
    json_object_set_new(json, "exit", proto_exit_tree(&note->exit, &note->usage));
    json_object_set_new(json, "restarts", json_integer((json_int_t)note->restarts));
    json_object_set_new(json, "left-out", json_integer((json_int_t)note->left_out));
    return json;
}

bool events_prepare(struct service *service, int *stdin_fd, char *err, size_t err_size)
{
    const struct event_note *note = events_head(service);

    if (!service->parts->handler)
        return true;
    if (!note) {
        snprintf(err, err_size, "there is no event to be told");
        return false;
    }
    json_t *json = note_json(service, note);
    size_t len;
    char *line = proto_encode(json, &len);
    /* In memory: a command that does not read it holds up nobody. */
    int fd = memfile_new("supd-event", line, len);

    free(line);
    json_decref(json);
    if (fd < 0) {
        snprintf(err, err_size, "the event cannot be written into memory: %s", strerror(-fd));
        return false;
    }
    *stdin_fd = fd;
    return true;
}

static char **add_number(char **env, const char *key, uint64_t number)
{
    return strv_push(env, xasprintf("%s=%llu", key, (unsigned long long)number));
}

static char **add_text(char **env, const char *key, const char *text)
{
    return strv_push(env, xasprintf("%s=%s", key, text));
}

char **events_variables(const struct service *service)
{
    const struct event_note *note = events_head(service);
    char **env = NULL;
    char status[16];

    if (!note)
        return NULL;
    env = add_text(env, "SUPD_HOOK", "on-event");
    env = add_text(env, "SUPD_EVENT", event_kind_name(note->kind));
    env = add_number(env, "SUPD_EVENT_NUMBER", note->number);
    env = add_number(env, "SUPD_LEFT_OUT", note->left_out);
    if (note->kind == EVENT_LEFT_OUT)
        return env;
    env = add_text(env, "SUPD_EVENT_SERVICE", note->service);
    env = add_text(env, "SUPD_FROM", svc_state_name(note->from));
    env = add_text(env, "SUPD_STATE", svc_state_name(note->state));
    env = add_text(env, "SUPD_REASON", note->reason);
    env = add_number(env, "SUPD_RESTARTS", note->restarts);
    env = add_text(env, "SUPD_EXIT_HOW", exit_how_name(note->exit.how));
    return add_text(env, "SUPD_EXIT_STATUS", process_exit_status(&note->exit, status));
}
