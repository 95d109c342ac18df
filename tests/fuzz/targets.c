/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/mem.h"

const struct fuzz_target fuzz_targets[] = {
    {"answer", fuzz_answer}, {"config", fuzz_config}, {"dump", fuzz_dump},         {"envfile", fuzz_envfile},
    {"listen", fuzz_listen}, {"notify", fuzz_notify}, {"requests", fuzz_requests}, {"schedule", fuzz_schedule},
    {"state", fuzz_state},   {"words", fuzz_words},
};
const size_t fuzz_n_targets = sizeof fuzz_targets / sizeof *fuzz_targets;

const struct fuzz_target *fuzz_target_find(const char *name)
{
    for (size_t i = 0; i < fuzz_n_targets; i++) {
        if (strcmp(fuzz_targets[i].name, name) == 0)
            return &fuzz_targets[i];
    }
    return NULL;
}

char *fuzz_string(const uint8_t *data, size_t size)
{
    return xstrndup(size > 0 ? (const char *)data : "", size);
}
