/* SPDX-License-Identifier: MIT */
/*
 * The params of requests, from the command line.
 */
#ifndef SUPD_SUPCTL_PARAMS_H
#define SUPD_SUPCTL_PARAMS_H

#include <jansson.h>

#include "supctl/options.h"

/* {"names": [...]} of N words; {} where there are none, which means every service. */
json_t *params_of_names(char *const *names, size_t n);

/* Adds "timeout" where --timeout was given. */
void params_add_timeout(json_t *params, const struct options *options);

#endif
