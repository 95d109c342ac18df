/* SPDX-License-Identifier: MIT */
/*
 * The rules of core/event.h: their keys, and what they are about.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "base/units.h"
#include "core/event.h"
#include "core/proto.h"
#include "core/spec_type.h"

#define RATE_COUNT 10
#define RATE_PERIOD (60 * USEC_PER_SEC)
#define RATE_MAX 9999
#define TIMEOUT (30 * USEC_PER_SEC)

const char *const event_rule_keys[] = {"events", "services", "rate-limit", "timeout", NULL};

const char *const event_process_keys[] = {
    "command",
    "user",
    "group",
    "supplementary-groups",
    "directory",
    "umask",
    "environment",
    "environment-file",
    "clear-environment",
    "no-new-privileges",
    "nice",
    "stop-timeout",
    "log",
    "log-error",
    NULL,
};

const char *event_kind_name(enum event_kind kind)
{
    static const char *const names[] = {
        [EVENT_OOM] = "oom",         [EVENT_WATCHDOG] = "watchdog",
        [EVENT_FAILED] = "failed",   [EVENT_RESTARTED] = "restarted",
        [EVENT_EXITED] = "exited",   [EVENT_STOPPED] = "stopped",
        [EVENT_STARTED] = "started", [EVENT_UNHEALTHY] = "unhealthy",
        [EVENT_HEALTHY] = "healthy", [EVENT_LEFT_OUT] = "left-out",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == EVENT_N_KINDS, "a kind has no name");

    return names[kind];
}

struct event_rule *event_rule_new(void)
{
    struct event_rule *rule = xcalloc(1, sizeof(*rule));

    rule->rate_count = RATE_COUNT;
    rule->rate_period = RATE_PERIOD;
    return rule;
}

struct event_rule *event_rule_dup(const struct event_rule *rule)
{
    if (rule == NULL)
        return NULL;

    struct event_rule *copy = xmalloc(sizeof(*copy));
    *copy = *rule;
    copy->services = rule->services != NULL ? strv_dup(rule->services) : NULL;
    return copy;
}

void event_rule_free(struct event_rule *rule)
{
    if (rule == NULL)
        return;
    strv_free(rule->services);
    free(rule);
}

void event_spec_prepare(struct spec *spec, const char *title)
{
    free(spec->name);
    spec->name = xasprintf(EVENT_NAME_PREFIX "%s", title);
    event_rule_free(spec->on_event);
    spec->on_event = event_rule_new();
    spec->type = TYPE_ONESHOT;
    spec_own_life(spec)->restart = RESTART_NO;
    spec->enabled = false;
    spec_own_life(spec)->start_timeout = TIMEOUT;
}

static bool fail(char *err, size_t err_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static bool fail(char *err, size_t err_size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err, err_size, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- reading ---- */

static bool parse_kind(const char *word, unsigned *kinds, char *err, size_t err_size)
{
    const char *names[EVENT_LEFT_OUT];

    for (unsigned i = 0; i < EVENT_LEFT_OUT; i++) {
        names[i] = event_kind_name((enum event_kind)i);
        if (strcmp(word, names[i]) == 0) {
            *kinds |= 1U << i;
            return true;
        }
    }
    const char *near = suggest_nearest(word, names, EVENT_LEFT_OUT);
    return fail(err, err_size,
                "'%s' is no event: there are oom, watchdog, failed, restarted, exited, stopped, started, unhealthy, "
                "healthy%s%s%s",
                word, near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
}

static bool set_kinds(struct event_rule *rule, char *const *values, size_t n, char *err, size_t err_size)
{
    unsigned kinds = 0;

    for (size_t i = 0; i < n; i++) {
        if (!parse_kind(values[i], &kinds, err, err_size))
            return false;
    }
    if (kinds == 0)
        return fail(err, err_size, "the list is empty: name an event, as in {\"failed\", \"oom\"}");
    rule->kinds = kinds;
    return true;
}

/* Of names with wildcards at any place. */
static bool is_pattern(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@*?[]!";

    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

static bool set_services(struct event_rule *rule, char *const *values, size_t n, char *err, size_t err_size)
{
    char **services = NULL;

    if (n == 0)
        return fail(err, err_size, "the list is empty: name services, or leave the key out for all");
    for (size_t i = 0; i < n; i++) {
        if (!is_pattern(values[i])) {
            strv_free(services);
            return fail(err, err_size, "'%s' is no name or glob of services: write several as {\"web\", \"db-*\"}",
                        values[i]);
        }
        services = strv_push(services, xstrdup(values[i]));
    }
    strv_free(rule->services);
    rule->services = services;
    return true;
}

static bool set_rate(struct event_rule *rule, const char *value, char *err, size_t err_size)
{
    const char *slash = strchr(value, '/');
    uint32_t count = 0;
    int64_t period = 0;

    if (strcmp(value, "none") == 0) {
        rule->rate_count = 0;
        return true;
    }
    char *head = xasprintf("%.*s", slash != NULL ? (int)(slash - value) : 0, value);
    bool ok = slash != NULL && key_parse_uint(head, 10, RATE_MAX, &count) && count > 0 &&
              duration_parse(slash + 1, &period) && period > 0;
    free(head);
    if (!ok)
        return fail(err, err_size, "'%s' is no rate: write 10/1m for ten in a minute (at most %d), or none", value,
                    RATE_MAX);
    rule->rate_count = count;
    rule->rate_period = period;
    return true;
}

static bool set_timeout(struct spec *spec, const char *value, char *err, size_t err_size)
{
    int64_t timeout;

    if (!duration_parse(value, &timeout) || timeout <= 0)
        return fail(err, err_size, "'%s' is not a duration above 0: write 30s", value);
    spec_own_life(spec)->start_timeout = timeout;
    return true;
}

bool event_rule_set(struct spec *spec, const char *key, char *const *values, size_t n, bool is_list, char *err,
                    size_t err_size)
{
    struct event_rule *rule = spec->on_event;

    if (strcmp(key, "events") == 0)
        return set_kinds(rule, values, n, err, err_size);
    if (strcmp(key, "services") == 0)
        return set_services(rule, values, n, err, err_size);
    if (is_list || n != 1)
        return fail(err, err_size, "it takes one value, not a list: leave the braces out");
    return strcmp(key, "timeout") == 0 ? set_timeout(spec, values[0], err, err_size)
                                       : set_rate(rule, values[0], err, err_size);
}

/* ---- writing ---- */

static char **get_kinds(unsigned kinds)
{
    char **values = NULL;

    for (unsigned i = 0; i < EVENT_LEFT_OUT; i++) {
        if (kinds & 1U << i)
            values = strv_push(values, xstrdup(event_kind_name((enum event_kind)i)));
    }
    return values;
}

char **event_rule_get(const struct spec *spec, const char *key, bool *is_list)
{
    const struct event_rule *rule = spec->on_event;
    char buf[64];

    *is_list = strcmp(key, "events") == 0 || strcmp(key, "services") == 0;
    if (rule == NULL)
        return NULL;
    if (strcmp(key, "events") == 0)
        return get_kinds(rule->kinds);
    if (strcmp(key, "services") == 0)
        return rule->services != NULL ? strv_dup(rule->services) : NULL;
    if (strcmp(key, "timeout") == 0)
        return key_one_value(duration_format(spec->life->start_timeout, buf, sizeof(buf)));
    if (rule->rate_count == 0)
        return key_one_value("none");
    char *rate = xasprintf("%u/%s", rule->rate_count, duration_format(rule->rate_period, buf, sizeof(buf)));
    char **values = key_one_value(rate);
    free(rate);
    return values;
}

bool event_rule_key_equal(const struct spec *a, const struct spec *b, const char *key)
{
    bool is_list;
    char **x = event_rule_get(a, key, &is_list);
    char **y = event_rule_get(b, key, &is_list);
    bool equal = key_vector_equal(&x, &y);

    strv_free(x);
    strv_free(y);
    return equal;
}

bool event_rule_validate(const struct spec *spec, char *err, size_t err_size)
{
    if (spec->on_event->kinds == 0)
        return fail(err, err_size, "key 'events' is missing: say what it is for, as in events = {\"failed\"}");
    return spec_validate(spec, err, err_size);
}

/* ---- what has happened ---- */

/* A life was over, and it waits: to be started again, or for the next demand or due time. */
static unsigned kinds_of_waiting(enum svc_state from, const struct svc *now, const struct spec *spec)
{
    if (from != SVC_STARTING && from != SVC_RUNNING && from != SVC_STOPPING)
        return 0;
    if (now->next_is_restart)
        return 1U << EVENT_RESTARTED;
    if (!now->idle)
        return 0;
    return strcmp(svc_result_name(now, spec), "success") == 0 ? 1U << EVENT_EXITED : 1U << EVENT_FAILED;
}

static unsigned kinds_of_state(enum svc_state from, const struct svc *now, const struct spec *spec)
{
    unsigned kinds = 0;

    if (now->state == from)
        return 0;
    switch (now->state) {
    case SVC_RUNNING:
        return 1U << EVENT_STARTED;
    case SVC_FAILED:
        kinds = 1U << EVENT_FAILED;
        break;
    case SVC_EXITED:
        kinds = 1U << EVENT_EXITED;
        break;
    case SVC_STOPPED:
        kinds = now->shutting_down ? 0 : 1U << EVENT_STOPPED;
        break;
    case SVC_BACKOFF:
        kinds = 1U << EVENT_RESTARTED;
        break;
    case SVC_WAITING:
        kinds = kinds_of_waiting(from, now, spec);
        break;
    case SVC_STARTING:
    case SVC_STOPPING:
    case SVC_N_STATES:
        return 0;
    }
    /* Of the life that this is the end of; one that was called off, or given up while it waited, has none. */
    bool ended = kinds != 0 && now->ended && from != SVC_WAITING && from != SVC_BACKOFF;
    if (ended && now->exit.oom)
        kinds |= 1U << EVENT_OOM;
    if (ended && now->result == RESULT_WATCHDOG)
        kinds |= 1U << EVENT_WATCHDOG;
    return kinds;
}

static unsigned kinds_of_health(enum health_state health, const struct svc *now)
{
    enum health_state state = svc_rare(now)->health.state;

    if (state == health)
        return 0;
    if (state == HEALTH_UNHEALTHY)
        return 1U << EVENT_UNHEALTHY;
    return state == HEALTH_HEALTHY ? 1U << EVENT_HEALTHY : 0;
}

unsigned event_kinds_of(enum svc_state from, enum health_state health, const struct svc *now, const struct spec *spec)
{
    return kinds_of_state(from, now, spec) | kinds_of_health(health, now);
}

static bool is_about(const struct event_rule *rule, const char *service)
{
    if (rule->services == NULL)
        return true;
    for (char **pattern = rule->services; *pattern != NULL; pattern++) {
        if (proto_name_matches(*pattern, service))
            return true;
    }
    return false;
}

enum event_kind event_rule_match(const struct event_rule *rule, unsigned kinds, const char *service)
{
    unsigned both = rule->kinds & kinds;

    return both != 0 && is_about(rule, service) ? (enum event_kind)__builtin_ctz(both) : EVENT_N_KINDS;
}
