/* SPDX-License-Identifier: MIT */
/* info, shutdown, upgrade, version: about supd itself */
#include "supctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/proto.h"
#include "supctl/client.h"
#include "supctl/pressure.h"
#include "supctl/text.h"

/* us; supd gives the new binary 30 s to prove itself, and children that are being started 10. */
#define UPGRADE_LIMIT INT64_C(60000000)

/* Of each rule on-event what is to be told: "mail 2 waiting, pager". */
static void print_rules(const json_t *rules)
{
    size_t i;
    json_t *rule;

    if (json_array_size(rules) == 0)
        putchar('-');
    json_array_foreach(rules, i, rule)
    {
        long long waiting = json_integer_value(json_object_get(rule, "waiting"));
        long long left_out = json_integer_value(json_object_get(rule, "left-out"));
        const char *name = json_string_value(json_object_get(rule, "name"));
        char *clean = text_clean(name ? name : "");

        printf("%s%s", i > 0 ? ", " : "", clean);
        if (waiting > 0)
            printf(" %lld waiting", waiting);
        if (left_out > 0)
            printf(" %lld left out", left_out);
        free(clean);
    }
    putchar('\n');
}

static void print_value(const char *key, const json_t *value)
{
    char buf[64];

    if (json_is_null(value)) {
        puts("-");
    } else if (json_is_boolean(value)) {
        puts(json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        char *clean = text_clean(json_string_value(value));
        puts(clean);
        free(clean);
    } else if (strcmp(key, "since") == 0 && json_is_number(value)) {
        puts(text_time(json_number_value(value), false, buf, sizeof buf));
    } else if (strcmp(key, "uptime") == 0 && json_is_number(value)) {
        puts(text_duration(json_number_value(value), buf, sizeof buf));
    } else if (strcmp(key, "pressure") == 0) {
        char *words = pressure_words(value);
        puts(words);
        free(words);
    } else if (strcmp(key, "on-event") == 0) {
        print_rules(value);
    } else {
        text_print_json(value);
    }
}

static void print_info(json_t *info)
{
    const char *key;
    json_t *value;
    size_t widest = 0;

    json_object_foreach(info, key, value)
    {
        if (strlen(key) > widest)
            widest = strlen(key);
    }
    json_object_foreach(info, key, value)
    {
        printf("%s:%*s ", key, (int)(widest - strlen(key)), "");
        print_value(key, value);
    }
}

int cmd_info(const struct options *options)
{
    json_t *info;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    if (!client)
        return status;
    status = client_ask(client, "supd.info", NULL, &info);
    if (status == SUPCTL_DONE && options->given & OPTION_JSON)
        text_print_json(info);
    else if (status == SUPCTL_DONE)
        print_info(info);
    json_decref(info);
    client_close(client);
    return status;
}

int cmd_version(const struct options *options)
{
    json_t *info = NULL;
    int status;
    struct client *client = client_open(options, client_limit(options, CLIENT_USUAL_LIMIT, 0), &status);

    if (client) {
        status = client_ask(client, "supd.info", NULL, &info);
        client_close(client);
    }
    const char *version = json_string_value(json_object_get(info, "version"));
    if (options->given & OPTION_JSON) {
        json_t *both = json_object();
        json_object_set_new(both, "supctl", json_string(PACKAGE_VERSION));
        json_object_set_new(both, "supd", proto_string(version));
        text_print_json(both);
        json_decref(both);
    } else {
        puts("supctl " PACKAGE_VERSION);
        if (version)
            printf("supd %s\n", version);
    }
    json_decref(info);
    return status;
}

/*
 * The process is waited for, not the connection: that ends a moment earlier, and only
 * then can the next supd have its lock.  The pidfd was opened while the connection stood,
 * so it is no other process's.  Without one (supd is in a PID namespace that we do not
 * see) the end of the connection has to do.
 */
static int wait_for_end(struct client *client, int pidfd)
{
    json_t *event;
    int status;

    if (pidfd >= 0)
        return client_wait_for_end(client, pidfd);
    while ((status = client_next_event(client, false, &event)) == SUPCTL_DONE)
        json_decref(event);
    return status == SUPCTL_UNREACHABLE ? SUPCTL_DONE : status;
}

int cmd_shutdown(const struct options *options)
{
    bool wait = !(options->given & OPTION_NO_WAIT);
    json_t *params = json_object();
    json_t *result;
    int status;

    struct client *client =
        client_open(options, client_limit(options, wait ? CLIENT_NO_LIMIT : CLIENT_USUAL_LIMIT, 0), &status);
    if (!client) {
        json_decref(params);
        return status;
    }
    pid_t pid = client_peer_pid(client);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (options->given & OPTION_LEAVE_SERVICES)
        json_object_set_new(params, "leave-services", json_true());

    status = client_ask(client, "supd.shutdown", params, &result);
    if (status == SUPCTL_DONE && wait)
        status = wait_for_end(client, pidfd);
    if (status == SUPCTL_DONE && options->given & OPTION_JSON)
        text_print_json(result);
    else if (status == SUPCTL_DONE)
        puts(wait ? "supd has ended" : "supd is shutting down");
    json_decref(result);
    if (pidfd >= 0)
        close(pidfd);
    client_close(client);
    return status;
}

int cmd_upgrade(const struct options *options)
{
    const char *previous = NULL;
    const char *version = NULL;
    int pid = 0;
    json_t *result;
    int status;
    struct client *client = client_open(options, client_limit(options, UPGRADE_LIMIT, 0), &status);

    if (!client)
        return status;
    status = client_ask(client, "supd.upgrade", NULL, &result);
    if (status == SUPCTL_DONE && options->given & OPTION_JSON) {
        text_print_json(result);
    } else if (status == SUPCTL_DONE) {
        json_unpack(result, "{s:s, s:s, s:i}", "previous", &previous, "version", &version, "pid", &pid);
        printf("upgraded from supd %s to %s, pid %d\n", previous ? previous : "?", version ? version : "?", pid);
    }
    json_decref(result);
    client_close(client);
    return status;
}
