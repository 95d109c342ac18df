/* SPDX-License-Identifier: MIT */
#include "core/varfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/instance.h"

struct number {
    char name[INSTANCE_NAME_SIZE];
    int64_t value;
    UT_hash_handle hh;
};

struct varfile {
    struct number *numbers;
};

struct varfile *varfile_new(void)
{
    return xcalloc(1, sizeof(struct varfile));
}

void varfile_free(struct varfile *file)
{
    struct number *number;
    struct number *tmp;

    if (!file)
        return;
    HASH_ITER(hh, file->numbers, number, tmp)
    {
        HASH_DEL(file->numbers, number);
        free(number);
    }
    free(file);
}

static struct number *find(const struct varfile *file, const char *name)
{
    struct number *number;

    HASH_FIND_STR(file->numbers, name, number);
    return number;
}

bool varfile_get(const struct varfile *file, const char *name, int64_t *value)
{
    const struct number *number = find(file, name);

    if (number)
        *value = number->value;
    return number != NULL;
}

void varfile_set(struct varfile *file, const char *name, int64_t value)
{
    struct number *number = find(file, name);

    if (!number) {
        number = xcalloc(1, sizeof *number);
        snprintf(number->name, sizeof number->name, "%s", name);
        HASH_ADD_STR(file->numbers, name, number);
    }
    number->value = value;
}

void varfile_unset(struct varfile *file, const char *name)
{
    struct number *number = find(file, name);

    if (!number)
        return;
    HASH_DEL(file->numbers, number);
    free(number);
}

struct varfile *varfile_dup(const struct varfile *file)
{
    struct varfile *copy = varfile_new();

    for (const struct number *number = file->numbers; number; number = number->hh.next)
        varfile_set(copy, number->name, number->value);
    return copy;
}

static int compare(const void *a, const void *b)
{
    return instance_compare((*(struct number *const *)a)->name, (*(struct number *const *)b)->name);
}

char *varfile_format(const struct varfile *file, const char *about)
{
    size_t n = HASH_COUNT(file->numbers);
    struct number **sorted = xcalloc(n + 1, sizeof *sorted);
    struct buf out = {0};
    size_t i = 0;

    for (struct number *number = file->numbers; number; number = number->hh.next)
        sorted[i++] = number;
    qsort(sorted, n, sizeof *sorted, compare);
    buf_addf(&out, "supd %s 1\n", about);
    for (i = 0; i < n; i++)
        buf_addf(&out, "%s %" PRId64 "\n", sorted[i]->name, sorted[i]->value);
    buf_addf(&out, "end %zu %08" PRIx32 "\n", n, crc32_update(0, out.data, out.len));
    free(sorted);
    return buf_steal(&out);
}

/* The line at *AT without its newline, which is made a NUL; NULL where there is none. */
static char *next_line(char **at, const char *end)
{
    char *line = *at;
    char *newline = memchr(line, '\n', (size_t)(end - line));

    if (!newline)
        return NULL;
    *newline = '\0';
    *at = newline + 1;
    return line;
}

static bool parse_number(const char *text, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool add_line(struct varfile *file, char *line)
{
    char *blank = strchr(line, ' ');
    int64_t value;

    if (!blank)
        return false;
    *blank = '\0';
    if (!instance_name_valid(line) || find(file, line) || !parse_number(blank + 1, &value))
        return false;
    varfile_set(file, line, value);
    return true;
}

/* The lines behind the first; the last one begins at LAST.  COPY is written to. */
static struct varfile *parse_lines(char *copy, size_t last, size_t len, const char *crc)
{
    struct varfile *file = varfile_new();
    char want[64];
    char *at = copy;
    bool good = next_line(&at, copy + last) != NULL;

    while (good && at < copy + last)
        good = add_line(file, next_line(&at, copy + last));
    snprintf(want, sizeof want, "end %zu %s\n", (size_t)HASH_COUNT(file->numbers), crc);
    if (good && len - last == strlen(want) && memcmp(copy + last, want, len - last) == 0)
        return file;
    varfile_free(file);
    return NULL;
}

/* Where the last line begins; LEN where it is not whole. */
static size_t last_line(const char *text, size_t len)
{
    if (len == 0 || text[len - 1] != '\n')
        return len;
    const char *newline = memrchr(text, '\n', len - 1);
    return newline ? (size_t)(newline - text) + 1 : 0;
}

/* Do its first line and its checksum say that it is a file about ABOUT, of whatever version? */
static bool is_whole(const char *text, size_t last, size_t len, const char *about, const char *crc)
{
    char head[64];
    size_t head_len = (size_t)snprintf(head, sizeof head, "supd %s ", about);

    return last < len && last > head_len && memcmp(text, head, head_len) == 0 &&
           memmem(text + last, len - last, crc, strlen(crc));
}

enum varfile_verdict varfile_parse(const char *text, size_t len, const char *about, struct varfile **file, char *err,
                                   size_t err_size)
{
    char crc[16];
    size_t last = last_line(text, len);
    size_t version_at = strlen("supd ") + strlen(about) + 1;

    *file = NULL;
    snprintf(crc, sizeof crc, "%08" PRIx32, crc32_update(0, text, last));
    if (is_whole(text, last, len, about, crc)) {
        if (strncmp(text + version_at, "1\n", 2) != 0) {
            snprintf(err, err_size, "it was written by a newer version of supd");
            return VARFILE_NEWER;
        }
        char *copy = xmalloc(len);
        memcpy(copy, text, len);
        *file = parse_lines(copy, last, len, crc);
        free(copy);
    }
    if (*file)
        return VARFILE_GOOD;
    snprintf(err, err_size, "it is damaged");
    return VARFILE_DAMAGED;
}
