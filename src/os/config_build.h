/* SPDX-License-Identifier: MIT */
/*
 * From the sections of all files to one struct config: checks every value,
 * applies `defaults`, resolves users, and gathers what is wrong.
 */
#ifndef SUPD_OS_CONFIG_BUILD_H
#define SUPD_OS_CONFIG_BUILD_H

#include <stdbool.h>

#include "os/config.h"
#include "os/config_read.h"

struct config_build;

/* INTERNAL: it is a dump that is read, with its ids in it. */
struct config_build *config_build_new(bool internal);

/* Takes note of a file that is about to be read and returns its number. */
unsigned config_build_add_file(struct config_build *build, const char *path);

/* Takes the section over. */
void config_build_add_section(struct config_build *build, unsigned file, struct config_section *section);

void config_build_error(struct config_build *build, unsigned file, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts all together and frees BUILD.  As config_load(). */
struct config *config_build_finish(struct config_build *build, struct config_errors *errors);

#endif
