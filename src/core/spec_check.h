/* SPDX-License-Identifier: MIT */
/*
 * The section check { } of a service: how it is looked at while it runs, and what follows where it is not healthy.
 */
#ifndef SUPD_CORE_SPEC_CHECK_H
#define SUPD_CORE_SPEC_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/socket_spec.h"
#include "core/spec_cgroup.h"

struct spec;

/* mark: it is said, and that is all.  command: the same, and a command is run. */
enum on_failure { ON_FAILURE_RESTART, ON_FAILURE_STOP, ON_FAILURE_MARK, ON_FAILURE_COMMAND };

struct spec_on_failure {
    enum on_failure kind;
    char **command; /* ON_FAILURE_COMMAND: argv; else NULL */
};

/* Those of HTTP that mean success. */
struct spec_statuses {
    uint32_t first;
    uint32_t last;
};

struct spec_check {
    char **command; /* argv; NULL: none, as with the next two, of which one at most is given */
    char *tcp;      /* ADDR:PORT, or unix:PATH */
    char *http;     /* a URL, check_http_parse() */
    struct spec_statuses http_status;
    char *http_body;                /* what the answer must have in it; NULL: anything */
    struct cgroup_limit max_memory; /* bytes of all its processes */
    uint32_t max_cpu;               /* percent of one CPU, since the check before; 0: unset */
    int64_t interval;               /* us from the end of one to the next */
    int64_t timeout;                /* us */
    int64_t start_period;           /* us from its start in which failures do not count */
    uint32_t failures;              /* in a row, to be unhealthy */
    uint32_t successes;             /* in a row, to be healthy again */
    struct spec_on_failure on_failure;
};

/* Is there anything to look at? */
bool spec_has_check(const struct spec_check *check);

/* As spec_validate(), for what has to do with the section. */
bool spec_check_validate(const struct spec *spec, char *err, size_t err_size);

/* Where to ask by HTTP. */
struct check_http {
    struct socket_spec address;
    char host[SOCKET_ADDRESS_MAX]; /* of the header Host */
    const char *path;              /* into the URL; "" stands for "/" */
};

/*
 * Reads http://ADDR[:PORT][/PATH] (ADDR a number, or localhost) or http://unix:FILE[:/PATH].  False with ERR written.
 */
bool check_http_parse(const char *url, struct check_http *http, char *err, size_t err_size);

/* Reads what check.tcp has.  False with ERR written. */
bool check_tcp_parse(const char *text, struct socket_spec *address, char *err, size_t err_size);

#endif
