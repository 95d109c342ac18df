/* SPDX-License-Identifier: MIT */
/* One program for all targets: $FUZZ_TARGET names the one that libFuzzer drives. */
#include <stdint.h>
#include <stdlib.h>

#include "core/proto.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("FUZZ_TARGET");

    (void)argc;
    (void)argv;
    target = name ? fuzz_target_find(name) : NULL;
    if (!target) {
        fputs("FUZZ_TARGET must be one of", stderr);
        for (size_t i = 0; i < fuzz_n_targets; i++)
            fprintf(stderr, " %s", fuzz_targets[i].name);
        fputc('\n', stderr);
        exit(2);
    }
    proto_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->run(data, size);
    return 0;
}
