/* SPDX-License-Identifier: MIT */
/*
 * The types of keys: how a value is read, written, copied, freed and compared.
 * For the spec_*.c files alone; everybody else goes by spec_set() and its like.
 *
 * A new type is a name in enum key_type, a struct key_type_ops with its functions
 * in the file of its family (spec_types_*.c), and one line of the table in
 * spec_types.c.  Nothing else knows the types apart.
 *
 * The digest of a spec is made of the strings that `get` gives, so what `get` says
 * about a value must not change from one version of supd to the next.
 */
#ifndef SUPD_CORE_SPEC_TYPE_H
#define SUPD_CORE_SPEC_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spec.h"

/* What spec_set() was given, taken along to whoever finds a fault. */
struct key_input {
    const struct spec_key *key;
    char *const *values; /* n of them; exactly one unless is_list */
    size_t n;
    bool is_list;
    char *err;
    size_t err_size;
};

/* All pointers to values point to the member that is at key->offset of key->group. */
struct key_type_ops {
    bool takes_list;
    bool is_command; /* its list is one command, no element of it means anything by itself */
    size_t size;     /* of the value, which is compared byte by byte where there is no `equal` */
    /* Takes the input over, in place of the value that is there or, with KEY_F_ADDS, on top of it.
     * False with key_fail() said, and the value as it was. */
    bool (*set)(const struct key_input *in, void *to);
    /* Strings that `set` reads back to the same value, to be freed; NULL: unset. */
    char **(*get)(const struct spec_key *key, const void *from);
    /* VALUE is a plain copy of another: makes what it points to its own.  None where it points to nothing. */
    void (*dup)(void *value);
    void (*free)(void *value);
    bool (*equal)(const void *a, const void *b);
    /* In place of `equal` where more than the value itself counts, as what a user's name meant when it was looked up. */
    bool (*equal_in)(const struct spec *a, const struct spec *b);
};

const struct key_type_ops *key_type_ops(enum key_type type);

/* spec_types_plain.c: one string, one number */
extern const struct key_type_ops key_type_path;
extern const struct key_type_ops key_type_bool;
extern const struct key_type_ops key_type_uint;
extern const struct key_type_ops key_type_octal;
extern const struct key_type_ops key_type_duration;
extern const struct key_type_ops key_type_signal;

/* spec_types_list.c */
extern const struct key_type_ops key_type_argv;
extern const struct key_type_ops key_type_hook;
extern const struct key_type_ops key_type_strv;
extern const struct key_type_ops key_type_exit_set;
extern const struct key_type_ops key_type_listen;
extern const struct key_type_ops key_type_schedule;

/* spec_types_names.c: other services */
extern const struct key_type_ops key_type_names;

/* spec_types_words.c: one of some words */
extern const struct key_type_ops key_type_restart;
extern const struct key_type_ops key_type_start;
extern const struct key_type_ops key_type_kill_mode;
extern const struct key_type_ops key_type_service_type;

/* spec_types_log.c */
extern const struct key_type_ops key_type_log;
extern const struct key_type_ops key_type_input;
extern const struct key_type_ops key_type_log_format;
extern const struct key_type_ops key_type_log_when_full;
extern const struct key_type_ops key_type_log_prefix;
extern const struct key_type_ops key_type_log_timestamp;
extern const struct key_type_ops key_type_log_rate;
extern const struct key_type_ops key_type_size;
extern const struct key_type_ops key_type_owner;

/* spec_types_ready.c */
extern const struct key_type_ops key_type_ready;
extern const struct key_type_ops key_type_notify_access;
extern const struct key_type_ops key_type_watchdog;

/* spec_types_check.c */
extern const struct key_type_ops key_type_check_tcp;
extern const struct key_type_ops key_type_check_http;
extern const struct key_type_ops key_type_text;
extern const struct key_type_ops key_type_statuses;
extern const struct key_type_ops key_type_percent;
extern const struct key_type_ops key_type_on_failure;

/* spec_types_sched.c: beside other processes */
extern const struct key_type_ops key_type_nice;
extern const struct key_type_ops key_type_oom_score_adj;
extern const struct key_type_ops key_type_io;
extern const struct key_type_ops key_type_cpus;
extern const struct key_type_ops key_type_instances;

/* spec_types_limit.c */
extern const struct key_type_ops key_type_limit;

/* spec_types_cgroup.c */
extern const struct key_type_ops key_type_size_limit;
extern const struct key_type_ops key_type_count_limit;
extern const struct key_type_ops key_type_cpu_max;
extern const struct key_type_ops key_type_weight;

/* spec_types_ids.c: names that were looked up */
extern const struct key_type_ops key_type_user;
extern const struct key_type_ops key_type_group;
extern const struct key_type_ops key_type_groups;

/* spec_types_rights.c: what a process may do */
extern const struct key_type_ops key_type_capabilities;
extern const struct key_type_ops key_type_capability_bounds;
extern const struct key_type_ops key_type_death_signal;

/* ---- what the types share ---- */

/* Writes what is wrong and what would be right; returns false. */
bool key_fail(const struct key_input *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* key_fail(): VALUE is TEXT, "not a signal"; with the nearest name of a signal where one is near. */
bool key_fail_signal(const struct key_input *in, const char *value, const char *text);

/* The index of WORD in NAMES, or -1 with the error written. */
int key_parse_word(const struct key_input *in, const char *word, const char *const *names, size_t n);

/* Digits of BASE only, up to MAX. */
bool key_parse_uint(const char *text, unsigned base, uint32_t max, uint32_t *number);

/* False with the error written when PATH is not absolute. */
bool key_check_path(const struct key_input *in, const char *path);

/* The words of a command, given as a list or as one string, to be freed; NULL with the error written. */
char **key_command_words(const struct key_input *in);

/* A vector of one copy; NULL for NULL. */
char **key_one_value(const char *value);

/* `set`, `get`, `dup`, `free`, `equal` of a char *, for types that are one with more to it. */
bool key_string_set(const struct key_input *in, void *to);
char **key_string_get(const struct spec_key *key, const void *from);
void key_string_dup(void *value);
void key_string_free(void *value);
bool key_string_equal(const void *a, const void *b);

/* The same of a char **, which is one list of strings. */
bool key_vector_set(const struct key_input *in, void *to);
char **key_vector_get(const struct spec_key *key, const void *from);
void key_vector_dup(void *value);
void key_vector_free(void *value);
bool key_vector_equal(const void *a, const void *b);

/* The same for two strings; NULL equals NULL only. */
bool key_same_string(const char *a, const char *b);

#endif
