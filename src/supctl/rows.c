/* SPDX-License-Identifier: MIT */
#include "supctl/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_in.h"
#include "supctl/text.h"
#include "supctl/words.h"

static const struct table_column columns[] = {
    {.heading = "NAME"},
    {.heading = "STATE", .colour = true},
    {.heading = "PID", .right = true},
    {.heading = "UPTIME", .right = true},
    {.heading = "RESTARTS", .right = true},
    {.heading = "NOTE"},
};

/* What the columns show, and what words_of_service() and words_colour() go by. */
enum field {
    NAME,
    STATE,
    PID,
    UPTIME,
    RESTARTS,
    REASON,
    EXIT,
    STOPPED,
    PAUSED,
    CONFIG_STALE,
    HEALTH,
    STATUS_TEXT,
    SINCE,
    STARTS,
    NEXT_START_IN,
    NEXT_RUN,
    N_FIELDS
};

static const char *const keys[] = {
    [NAME] = "name",
    [STATE] = "state",
    [PID] = "pid",
    [UPTIME] = "uptime",
    [RESTARTS] = "restarts",
    [REASON] = "reason",
    [EXIT] = "exit",
    [STOPPED] = "stopped",
    [PAUSED] = "paused",
    [CONFIG_STALE] = "config-stale",
    [HEALTH] = "health",
    [STATUS_TEXT] = "status-text",
    [SINCE] = "since",
    [STARTS] = "starts",
    [NEXT_START_IN] = "next-start-in",
    [NEXT_RUN] = "next-run",
};
_Static_assert(sizeof keys / sizeof *keys == N_FIELDS, "a field has no key");

json_t *rows_fields(void)
{
    json_t *fields = json_array();

    for (size_t i = 0; i < N_FIELDS; i++)
        json_array_append_new(fields, json_string(keys[i]));
    return fields;
}

struct table *rows_table(void)
{
    return table_new(columns, sizeof columns / sizeof *columns);
}

static const char *uptime_of(const json_t *service, char *buf, size_t size)
{
    const json_t *seconds = json_object_get(service, "uptime");

    return json_is_number(seconds) ? text_duration_short(json_number_value(seconds), buf, size) : "-";
}

void rows_add_object(struct table *table, const json_t *service, double now)
{
    const char *name = text_member(service, "name");
    const char *state = text_member(service, "state");
    char pid[32], uptime[48], restarts[32];
    char *clean_name = text_clean(*name ? name : "?");
    char *clean_state = text_clean(*state ? state : "?");
    char *words = words_of_service(service, now);
    const char *const cells[] = {
        clean_name,
        clean_state,
        text_integer(service, "pid", pid, sizeof pid),
        uptime_of(service, uptime, sizeof uptime),
        text_integer(service, "restarts", restarts, sizeof restarts),
        words,
    };

    table_add(table, words_colour(service), cells);
    free(words);
    free(clean_state);
    free(clean_name);
}

/* ---- from text ---- */

static bool is_null(const struct json_piece *piece)
{
    return json_piece_is(piece, "null");
}

static bool is_false(const struct json_piece *piece)
{
    return json_piece_is(piece, "false");
}

/* Does it run, and is there nothing to say but that? */
static bool is_unremarkable(const struct json_piece values[N_FIELDS])
{
    return json_piece_is(&values[STATE], "\"running\"") && values[NAME].kind == JSON_IN_STRING && values[NAME].plain &&
           values[NAME].len > 2 && values[PID].kind == JSON_IN_NUMBER && values[UPTIME].kind == JSON_IN_NUMBER &&
           json_piece_is(&values[RESTARTS], "0") && is_null(&values[REASON]) && is_false(&values[STOPPED]) &&
           is_false(&values[PAUSED]) && is_false(&values[CONFIG_STALE]) && is_null(&values[STATUS_TEXT]) &&
           (is_null(&values[HEALTH]) || json_piece_is(&values[HEALTH], "\"healthy\""));
}

#define CELL_MAX 256 /* of the text of a cell; a longer name goes the long way */

/* The LEN bytes at TEXT as a string; false where they are too many. */
static bool copy(char cell[CELL_MAX], const char *text, size_t len)
{
    if (len >= CELL_MAX)
        return false;
    memcpy(cell, text, len);
    cell[len] = '\0';
    return true;
}

static bool add_unremarkable(struct table *table, const struct json_piece values[N_FIELDS])
{
    char name[CELL_MAX], pid[CELL_MAX], seconds[CELL_MAX], uptime[48];

    if (!is_unremarkable(values) || !copy(name, values[NAME].text + 1, values[NAME].len - 2) ||
        !copy(pid, values[PID].text, values[PID].len) || !copy(seconds, values[UPTIME].text, values[UPTIME].len) ||
        pid[strspn(pid, "0123456789")] != '\0')
        return false;
    const char *const cells[] = {
        name, "running", pid, text_duration_short(strtod(seconds, NULL), uptime, sizeof uptime), "0", "",
    };
    table_add(table, TABLE_GREEN, cells);
    return true;
}

/* The values under their keys. */
static json_t *object_of(const struct json_piece values[N_FIELDS])
{
    struct buf text = {0};

    for (size_t i = 0; i < N_FIELDS; i++) {
        buf_addf(&text, "%s\"%s\":", i == 0 ? "{" : ",", keys[i]);
        buf_add(&text, values[i].text, values[i].len);
    }
    buf_add_char(&text, '}');
    json_t *object = json_loadb(text.data, text.len, 0, NULL);
    buf_free(&text);
    return object;
}

static bool add_row(struct table *table, const struct json_piece values[N_FIELDS], double now)
{
    if (add_unremarkable(table, values))
        return true;
    json_t *service = object_of(values);
    if (!service)
        return false;
    rows_add_object(table, service, now);
    json_decref(service);
    return true;
}

static bool read_row(struct json_in *in, struct json_piece values[N_FIELDS])
{
    bool more;

    if (!json_in_array(in))
        return false;
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (!json_in_next(in, i == 0, &more) || !more || !json_in_value(in, &values[i]))
            return false;
    }
    return json_in_next(in, false, &more) && !more;
}

bool rows_add(struct table *table, const char *result, size_t len, double now, size_t *n, bool *all_run)
{
    struct json_in in = {.at = result, .end = result + len};
    struct json_piece values[N_FIELDS];
    bool more;

    *n = 0;
    *all_run = true;
    if (!json_in_array(&in))
        return false;
    while (json_in_next(&in, *n == 0, &more) && more) {
        if (!read_row(&in, values) || !add_row(table, values, now))
            return false;
        *all_run = *all_run && json_piece_is(&values[STATE], "\"running\"");
        ++*n;
    }
    return !more && json_in_ended(&in);
}
