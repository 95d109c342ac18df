/* SPDX-License-Identifier: MIT */
/*
 * What config_build.c and config_settings.c share while the sections of all files are put together.  For them alone.
 */
#ifndef SUPD_OS_CONFIG_PLACE_H
#define SUPD_OS_CONFIG_PLACE_H

#include "os/config_build.h"

/* A section and where it stands. */
struct placed {
    struct config_section *section;
    unsigned file;
};

struct config_build {
    bool internal;
    struct config *config;
    char **files;
    unsigned n_files;
    struct placed *services;
    size_t n_services;
    size_t services_room;
    struct placed *on_events;
    size_t n_on_events;
    struct placed defaults; /* of these there is one at most */
    struct placed control;
    struct {
        unsigned file;
        unsigned line; /* 0: not given so far */
    } tops[8];         /* by index in config_top_keys */
    struct found_error *errors;
    size_t n_errors;
    struct config_ids *ids;
    bool defaults_told; /* that something in them cannot be expanded for instances */
};

/* An error in line of ENTRY that names the section and the key; FMT goes on behind the key's name. */
void config_build_entry_error(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                              const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Is it the second time that this section gives the key of its entry I?  Then that is told. */
bool config_build_given_before(struct config_build *b, const struct placed *p, size_t i);

/* Gives SPEC what ENTRY says; false, and told, where that is wrong. */
bool config_set_service_key(struct config_build *b, const struct placed *p, const struct config_entry *entry,
                            struct spec *spec);

/* Looks up the users and groups that the section names; false, and told, where one is not known. */
bool config_build_resolve_ids(struct config_build *b, const struct placed *p, struct spec *spec);

/* A copy of VALUE in place of the string at TO. */
void config_build_replace(char **to, const char *value);

/* The entry of KEY in SECTION; NULL: it says nothing of it. */
const struct config_entry *config_section_find(const struct config_section *section, const char *key);

/* ---- config_event.c ---- */

/* Keeps a section on-event, which it takes over; makes specs of all; frees them. */
void config_event_add(struct config_build *b, const struct placed *p);
void config_event_build(struct config_build *b);
void config_event_free(struct config_build *b);

/* ---- config_graph.c ---- */

/* Tells what is wrong with the dependencies of the services, which are all built. */
void config_build_graph(struct config_build *b);

/* ---- config_settings.c ---- */

/* The settings of a file; each may stand in any file, but in one. */
void config_build_top(struct config_build *b, const struct placed *p);

/* What control { } says, if it is there. */
void config_build_control(struct config_build *b);

/* ---- config_template.c ---- */

/* Keeps what the section of FIRST, one of the COUNT instances, says; false, and told, where other instances could not be made. */
bool config_template_keep(struct config_build *b, const struct placed *p, const struct spec *first, int count,
                          const struct spec *defaults);

/* The same from a dump. */
void config_template_restore(struct config_build *b, const struct placed *p, const struct spec *defaults);

#endif
