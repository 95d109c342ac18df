/* SPDX-License-Identifier: MIT */
/* Keys that say how the kernel should treat a process beside others: its weights, its turn, its processors; and how
 * many of it there are. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance.h"
#include "core/spec_type.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/* ---- numbers with a sign ---- */

/* A whole number from MIN to MAX. */
static bool set_int(const struct key_input *in, struct spec_int *to, int min, int max)
{
    const char *text = in->values[0];
    bool minus = text[0] == '-';
    uint32_t n;

    if (!key_parse_uint(text + (minus || text[0] == '+'), 10, INT32_MAX, &n) || (minus ? -(int)n < min : (int)n > max))
        return key_fail(in, "'%s' is not a whole number from %d to %d", text, min, max);
    *to = (struct spec_int){true, minus ? -(int)n : (int)n};
    return true;
}

static char **get_int(const struct spec_key *key, const void *from)
{
    const struct spec_int *number = from;

    (void)key;
    return number->set ? strv_push(NULL, xasprintf("%d", number->value)) : NULL;
}

static bool equal_ints(const void *a, const void *b)
{
    const struct spec_int *x = a;
    const struct spec_int *y = b;

    return x->set == y->set && x->value == y->value;
}

static bool set_nice(const struct key_input *in, void *to)
{
    return set_int(in, to, -20, 19);
}

const struct key_type_ops key_type_nice = {
    .size = sizeof(struct spec_int), .set = set_nice, .get = get_int, .equal = equal_ints};

static bool set_oom_score_adj(const struct key_input *in, void *to)
{
    return set_int(in, to, -1000, 1000);
}

const struct key_type_ops key_type_oom_score_adj = {
    .size = sizeof(struct spec_int), .set = set_oom_score_adj, .get = get_int, .equal = equal_ints};

static bool set_instances(const struct key_input *in, void *to)
{
    return set_int(in, to, 0, INSTANCES_MAX);
}

const struct key_type_ops key_type_instances = {
    .size = sizeof(struct spec_int), .set = set_instances, .get = get_int, .equal = equal_ints};

/* ---- io-class ---- */

#define IO_LEVEL_DEFAULT 4
#define IO_LEVEL_MAX 7

static const char *const io_class_names[] = {"realtime", "best-effort", "idle"}; /* enum spec_io_class, from 1 */

static bool set_io(const struct key_input *in, void *to)
{
    char *text = xstrdup(in->values[0]);
    char *level_text = strchr(text, ':');
    uint32_t level = IO_LEVEL_DEFAULT;
    bool ok = false;

    if (level_text != NULL)
        *level_text++ = '\0';
    int i = key_parse_word(in, text, io_class_names, LEN(io_class_names));
    if (i < 0)
        goto out;
    if (i + 1 == IO_CLASS_IDLE) {
        level = 0;
        if (level_text != NULL) {
            key_fail(in, "'idle' has no levels: leave ':%s' out", level_text);
            goto out;
        }
    }
    if (level_text != NULL && !key_parse_uint(level_text, 10, IO_LEVEL_MAX, &level)) {
        key_fail(in, "'%s' is not a level from 0 (first) to %d (last)", level_text, IO_LEVEL_MAX);
        goto out;
    }
    *(struct spec_io *)to = (struct spec_io){(enum spec_io_class)(i + 1), (int)level};
    ok = true;
out:
    free(text);
    return ok;
}

static char **get_io(const struct spec_key *key, const void *from)
{
    const struct spec_io *io = from;

    (void)key;
    if (io->io_class == IO_CLASS_UNSET)
        return NULL;
    if (io->io_class == IO_CLASS_IDLE)
        return key_one_value("idle");
    return strv_push(NULL, xasprintf("%s:%d", io_class_names[io->io_class - 1], io->level));
}

const struct key_type_ops key_type_io = {.size = sizeof(struct spec_io), .set = set_io, .get = get_io};

/* ---- cpu-affinity ---- */

static void add_cpu(struct spec_cpus *cpus, uint32_t cpu)
{
    cpus->bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

bool spec_cpus_has(const struct spec_cpus *cpus, unsigned cpu)
{
    return cpu < SPEC_CPUS_MAX && (cpus->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* "3", or "0-3", of LEN characters. */
static bool add_range(const struct key_input *in, struct spec_cpus *cpus, const char *range, size_t len)
{
    char text[32];
    uint32_t first;
    uint32_t last;

    if (len >= sizeof(text))
        len = sizeof(text) - 1;
    memcpy(text, range, len);
    text[len] = '\0';
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    bool ok = key_parse_uint(text, 10, SPEC_CPUS_MAX - 1, &first) &&
              key_parse_uint(dash != NULL ? dash + 1 : text, 10, SPEC_CPUS_MAX - 1, &last) && first <= last;
    if (!ok)
        return key_fail(in, "'%.*s' is neither the number of a processor nor a range of them, as 0-3", (int)len, range);
    for (uint32_t cpu = first; cpu <= last; cpu++)
        add_cpu(cpus, cpu);
    return true;
}

/* "0-3,5" or "0-3 5" may be written in one word, too. */
static bool add_ranges(const struct key_input *in, struct spec_cpus *cpus, const char *text)
{
    static const char separators[] = ", \t\n";

    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators);
        if (!add_range(in, cpus, text, len))
            return false;
        text += len;
    }
    return true;
}

static bool set_cpus(const struct key_input *in, void *to)
{
    static const struct spec_cpus none;
    struct spec_cpus cpus = {0};
    struct spec_cpus **old = to;

    for (size_t i = 0; i < in->n; i++) {
        if (!add_ranges(in, &cpus, in->values[i]))
            return false;
    }
    if (memcmp(&cpus, &none, sizeof(cpus)) == 0)
        return key_fail(in, "it names no processor: write numbers or ranges, as 0-3");
    if (*old == NULL)
        *old = xmalloc(sizeof(**old));
    **old = cpus;
    return true;
}

static char **get_cpus(const struct spec_key *key, const void *from)
{
    const struct spec_cpus *cpus = *(struct spec_cpus *const *)from;
    char **v = NULL;

    (void)key;
    for (unsigned first = 0; cpus != NULL && first < SPEC_CPUS_MAX; first++) {
        if (!spec_cpus_has(cpus, first))
            continue;
        unsigned last = first;
        while (spec_cpus_has(cpus, last + 1))
            last++;
        v = strv_push(v, first == last ? xasprintf("%u", first) : xasprintf("%u-%u", first, last));
        first = last;
    }
    return v;
}

static void dup_cpus(void *value)
{
    struct spec_cpus **cpus = value;
    const struct spec_cpus *from = *cpus;

    if (from == NULL)
        return;
    *cpus = xmalloc(sizeof(**cpus));
    **cpus = *from;
}

static void free_cpus(void *value)
{
    free(*(struct spec_cpus **)value);
}

static bool equal_cpus(const void *a, const void *b)
{
    const struct spec_cpus *x = *(struct spec_cpus *const *)a;
    const struct spec_cpus *y = *(struct spec_cpus *const *)b;

    return x == NULL || y == NULL ? x == y : memcmp(x, y, sizeof(*x)) == 0;
}

const struct key_type_ops key_type_cpus = {
    .takes_list = true,
    .size = sizeof(struct spec_cpus *),
    .set = set_cpus,
    .get = get_cpus,
    .dup = dup_cpus,
    .free = free_cpus,
    .equal = equal_cpus,
};
