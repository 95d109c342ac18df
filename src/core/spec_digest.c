/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/spec.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t add_bytes(uint64_t digest, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        digest = (digest ^ p[i]) * FNV_PRIME;
    return digest;
}

/* With a mark before it, so that NULL and "" differ, and with its NUL, so that "ab","c" and "a","bc" do. */
static uint64_t add_string(uint64_t digest, const char *s)
{
    digest = add_bytes(digest, s != NULL ? "S" : "N", 1);
    return s != NULL ? add_bytes(digest, s, strlen(s) + 1) : digest;
}

/* Byte by byte: the digest is the same on every machine. */
static uint64_t add_number(uint64_t digest, uint32_t number)
{
    uint8_t bytes[] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};

    return add_bytes(digest, bytes, sizeof(bytes));
}

static uint64_t add_ids(uint64_t digest, const struct spec_ids *ids)
{
    digest = add_string(digest, "ids");
    digest = add_number(digest, ids->uid);
    digest = add_number(digest, ids->gid);
    digest = add_number(digest, (uint32_t)ids->n_groups);
    for (size_t i = 0; i < ids->n_groups; i++)
        digest = add_number(digest, ids->groups[i]);
    digest = add_string(digest, ids->user_name);
    digest = add_string(digest, ids->home);
    return add_string(digest, ids->shell);
}

/* What the process of a service has of a log that goes through a FIFO is the FIFO, wherever that leads. */
static bool is_piped_log(const struct spec *spec, const struct spec_key *key)
{
    return key->type == KEY_LOG && spec_log_is_piped(spec, key->offset == offsetof(struct spec_logs, log_error));
}

static uint64_t add_key(uint64_t digest, const struct spec *spec, const struct spec_key *key)
{
    bool is_list;
    char **values = is_piped_log(spec, key) ? strv_push(NULL, xstrdup("|")) : spec_get(spec, key, &is_list);

    digest = add_string(digest, key->name);
    digest = add_number(digest, (uint32_t)strv_len(values));
    for (size_t i = 0; values != NULL && values[i] != NULL; i++)
        digest = add_string(digest, values[i]);
    strv_free(values);
    return digest;
}

/*
 * A key at its default adds nothing: a later version of supd that knows one
 * more key gives the services that do not use it the digests they had.
 */
uint64_t spec_process_digest(const struct spec *spec)
{
    const struct spec *dflt = spec_default();
    uint64_t digest = FNV_OFFSET;

    for (size_t i = 0; i < spec_n_keys; i++) {
        const struct spec_key *key = &spec_keys[i];
        if ((key->flags & KEY_F_PROCESS) != 0 && (is_piped_log(spec, key) || !spec_key_equal(spec, dflt, key)))
            digest = add_key(digest, spec, key);
    }
    if (spec->exec->ids.set)
        digest = add_ids(digest, &spec->exec->ids);
    return digest;
}
