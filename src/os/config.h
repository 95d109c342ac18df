/* SPDX-License-Identifier: MIT */
/*
 * The configuration files, supd.conf(5): the only user of libconfuse.
 *
 * A configuration is taken whole or not at all.  Every bad value is reported,
 * with the file and the true line; a syntax error or an unknown key ends the list
 * of that file.
 */
#ifndef SUPD_OS_CONFIG_H
#define SUPD_OS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/log.h"
#include "core/spec.h"

#define CHECK_SLOTS_DEFAULT 16

struct settings {
    char *runtime_dir; /* NULL: not given */
    char *state_dir;   /* NULL: not given */
    enum log_level log_level;
    char *watch;          /* auto, pidfd, netlink, poll or ptrace: loop/watch.h */
    char *cgroup;         /* auto, optional or no */
    unsigned start_slots; /* services that may be `starting` at once; 0: any number */
    unsigned check_slots; /* checks that may be under way at once; 0: any number */
    char *socket;         /* NULL: RUNTIME/control.sock */
    char *admin_group;    /* NULL: none */
    char *read_group;     /* NULL: none */
    gid_t admin_gid;      /* valid where admin_group is set */
    gid_t read_gid;
};

struct config {
    struct settings settings;
    struct spec_list services;            /* sorted; ids resolved */
    struct instance_template **templates; /* of the sections with `instances`, also where that is 0 */
    size_t n_templates;
};

struct instance_template;

struct config_error {
    char *file;
    unsigned line; /* 0: the file as a whole (it cannot be read); shown as FILE: message */
    char *message;
};

struct config_errors {
    struct config_error *items; /* in order of files read, then of lines */
    size_t n;
};

/*
 * Reads PATH and what it includes.  ERRORS is set up by the call.  Always
 * returns a config; where errors->n > 0 only what was good of its `settings` may
 * be used (to find the runtime directory).  Looks up users and groups, so it may
 * block: call it at start, or in a helper process.
 */
struct config *config_load(const char *path, struct config_errors *errors);

/* A config without services and with every setting at its default. */
struct config *config_new(void);
void config_free(struct config *config);
void config_errors_clear(struct config_errors *errors);

/*
 * The configuration written out whole: includes, defaults and ids expanded, so
 * that reading it again looks up nothing.  A string to be freed.
 */
char *config_dump(const struct config *config);

/* Reads what config_dump() wrote.  NAME stands for the file in errors. */
struct config *config_load_dump(const char *name, const char *text, size_t len, struct config_errors *errors);

/* What the section NAME says where it has `instances`, else NULL; owned by CONFIG. */
const struct instance_template *config_template(const struct config *config, const char *name);

/* Same meaning in everything but the services?  Else names (static strings, at most MAX) of settings that differ. */
size_t config_settings_diff(const struct settings *a, const struct settings *b, const char **names, size_t max);

#endif
