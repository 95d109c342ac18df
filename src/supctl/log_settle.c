/* SPDX-License-Identifier: MIT */
#include "supctl/log_settle.h"

#include <time.h>

#define LOOKS 8
#define FIRST_PAUSE_NS 1000000L /* doubled each time: a quarter of a second in all */

static bool has_file(const json_t *service)
{
    const json_t *log = json_object_get(service, "log");

    return json_is_string(json_object_get(log, "out")) || json_is_string(json_object_get(log, "err"));
}

static json_t *names_of(const json_t *services)
{
    json_t *names = json_array();
    const json_t *service;
    size_t i;

    json_array_foreach(services, i, service)
    {
        if (has_file(service))
            json_array_append(names, json_object_get(service, "name"));
    }
    return names;
}

/* A supd that does not know is an older one, or they are gone. */
static bool is_on_its_way(struct client *client, json_t *names)
{
    struct answer answer;
    json_t *params = json_pack("{s:O}", "names", names);

    bool is =
        client_call(client, "log.pending", params, &answer) == SUPCTL_DONE && json_integer_value(answer.result) > 0;
    answer_clear(&answer);
    return is;
}

void log_settle(struct client *client, const json_t *services)
{
    json_t *names = names_of(services);
    struct timespec pause = {.tv_nsec = FIRST_PAUSE_NS};

    for (int look = 0; look < LOOKS && json_array_size(names) > 0 && is_on_its_way(client, names); look++) {
        nanosleep(&pause, NULL);
        pause.tv_nsec *= 2;
    }
    json_decref(names);
}
