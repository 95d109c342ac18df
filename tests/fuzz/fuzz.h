/* SPDX-License-Identifier: MIT */
/*
 * What reads bytes that somebody else wrote, each as a function that takes any
 * bytes: besides not crashing, what it makes of them must hold together, which
 * FUZZ_CHECK() looks at.  replay.c runs the inputs of corpus/ through them with any
 * compiler, libfuzzer.c lets libFuzzer look for new ones.
 */
#ifndef SUPD_TESTS_FUZZ_H
#define SUPD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Tells the condition that does not hold, and dies so that libFuzzer keeps the input. */
#define FUZZ_CHECK(condition)                                                             \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* The SIZE bytes at DATA as a string, to be freed: up to the first NUL where there is one. */
char *fuzz_string(const uint8_t *data, size_t size);

/* A configuration file, and the copy that is made of it. */
void fuzz_config(const uint8_t *data, size_t size);
/* RUNTIME/config.good. */
void fuzz_dump(const uint8_t *data, size_t size);
/* The state file; its checksums are made right first, or hardly an input would get past them. */
void fuzz_state(const uint8_t *data, size_t size);
/* Lines from a client. */
void fuzz_requests(const uint8_t *data, size_t size);
/* An answer of supd, as supctl shows it. */
void fuzz_answer(const uint8_t *data, size_t size);
/* A message of a service on its NOTIFY_SOCKET. */
void fuzz_notify(const uint8_t *data, size_t size);
/* An environment file. */
void fuzz_envfile(const uint8_t *data, size_t size);
/* An entry of `listen`. */
void fuzz_listen(const uint8_t *data, size_t size);
/* The entries of `schedule`, a line each, behind a line that says when and where. */
void fuzz_schedule(const uint8_t *data, size_t size);
/* Words of the command line and of keys: durations, sizes, signals, quoted words. */
void fuzz_words(const uint8_t *data, size_t size);

struct fuzz_target {
    const char *name; /* and that of its folder in corpus/ */
    void (*run)(const uint8_t *data, size_t size);
};

extern const struct fuzz_target fuzz_targets[];
extern const size_t fuzz_n_targets;

/* NULL: there is none of this name. */
const struct fuzz_target *fuzz_target_find(const char *name);

#endif
