/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/crc32.h"
#include "base/mem.h"
#include "core/record.h"
#include "core/record_format.h"

static size_t get_le(const uint8_t *at, size_t bytes)
{
    size_t value = 0;

    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

/* Wherever a record seems to begin: the length of one that would end beyond the data, and the checksum. */
static void make_right(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + HEAD_SIZE <= size;) {
        uint8_t *record = data + at;
        size_t len = get_le(record + 4, 2);

        if (get_le(record, 4) != RECORD_MAGIC || len < HEAD_SIZE || len > RECORD_MAX || len > size - at) {
            at++;
            continue;
        }
        memset(record + CRC_OFFSET, 0, 4);
        uint32_t crc = crc32_update(0, record, len);
        for (size_t i = 0; i < 4; i++)
            record[CRC_OFFSET + i] = (uint8_t)(crc >> (8 * i));
        at += len;
    }
}

static void check_images(const struct replay *replay)
{
    for (size_t i = 0; i < replay->n; i++) {
        const struct svc_image *image = replay->images[i];
        const struct svc *svc = &image->svc;

        FUZZ_CHECK(memchr(image->name, '\0', sizeof image->name) && image->name[0] != '\0');
        FUZZ_CHECK(i == 0 || strcmp(replay->images[i - 1]->name, image->name) < 0);
        FUZZ_CHECK(replay_find(replay, image->name) == image);
        FUZZ_CHECK(memchr(svc->rare.reason, '\0', sizeof svc->rare.reason));
        /* A process is never a bare number. */
        FUZZ_CHECK(!image->has_process || (svc->proc.pid > 0 && svc->proc.start_ticks != 0));
        FUZZ_CHECK(image->has_process || svc->proc.pid == 0);
        FUZZ_CHECK(!image->has_control || (svc->rare.control.pid > 0 && svc->rare.control.start_ticks != 0));
    }
}

/* The file that supd writes anew of what it has read; to be freed. */
static uint8_t *rewritten(const struct replay *replay, size_t *len)
{
    uint8_t *file = xmalloc((replay->n + 1) * RECORD_MAX);

    *len = record_encode_header(file, &replay->epoch);
    for (size_t i = 0; i < replay->n; i++)
        *len += record_encode_service(file + *len, replay->images[i]->name, &replay->images[i]->svc);
    return file;
}

void fuzz_state(const uint8_t *data, size_t size)
{
    uint8_t *file = xmalloc(size);
    size_t len, again_len;

    if (size > 0)
        memcpy(file, data, size);
    make_right(file, size);
    struct replay *replay = replay_new(file, size);
    check_images(replay);

    uint8_t *anew = rewritten(replay, &len);
    struct replay *replay_again = replay_new(anew, len);
    FUZZ_CHECK(replay_again->n == replay->n && replay_again->skipped == 0 && replay_again->damaged == 0);
    check_images(replay_again);
    uint8_t *again = rewritten(replay_again, &again_len);
    FUZZ_CHECK(again_len == len && memcmp(again, anew, len) == 0);

    free(again);
    replay_free(replay_again);
    free(anew);
    replay_free(replay);
    free(file);
}
