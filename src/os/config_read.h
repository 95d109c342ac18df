/* SPDX-License-Identifier: MIT */
/*
 * From the text of one configuration file to sections with named values, by
 * libconfuse.  What the values mean is not looked at here.
 */
#ifndef SUPD_OS_CONFIG_READ_H
#define SUPD_OS_CONFIG_READ_H

#include <stdbool.h>
#include <stddef.h>

enum config_entry_kind {
    CONFIG_VALUE = 'V',   /* key = value */
    CONFIG_LIST = 'L',    /* key = { ... } */
    CONFIG_SECTION = 'S', /* key { ... } */
};

/* A key with what it was given. */
struct config_entry {
    const char *key; /* static */
    unsigned line;
    enum config_entry_kind kind;
    char **values; /* n of them, and a NULL */
    size_t n;
};

enum config_section_type { CONFIG_TOP, CONFIG_CONTROL, CONFIG_DEFAULTS, CONFIG_SERVICE, CONFIG_ON_EVENT };

struct config_section {
    enum config_section_type type;
    char *title; /* "" where there is none */
    unsigned line;
    bool whole;                   /* false: an error ended the file within it */
    struct config_entry *entries; /* a key that is given twice stands there twice, one behind the other */
    size_t n_entries;
};

void config_section_free(struct config_section *section);

/* The first entry of KEY; NULL: it was not given. */
const struct config_entry *config_section_find(const struct config_section *section, const char *key);

/*
 * Keys that only a dump may use: what was resolved, so that reading it back
 * looks up nothing.  Lists ended by NULL.
 */
extern const char *const config_service_internals[];
extern const char *const config_control_internals[];

/* Keys that stand at the top and in control { }; lists ended by NULL. */
extern const char *const config_top_keys[];
extern const char *const config_control_keys[];

struct config_read_handlers {
    /* The section is the handler's. */
    void (*section)(void *ctx, struct config_section *section);
    void (*include)(void *ctx, const char *pattern, unsigned line);
    void (*error)(void *ctx, unsigned line, const char *message);
};

/* INTERNAL: the keys of a dump are known.  Not reentrant: libconfuse is not. */
void config_read(const char *text, size_t len, bool internal, const struct config_read_handlers *handlers, void *ctx);

#endif
