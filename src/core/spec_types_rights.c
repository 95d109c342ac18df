/* SPDX-License-Identifier: MIT */
/* Keys that say what a process may do. */
#include <string.h>

#include "base/capnames.h"
#include "base/mem.h"
#include "base/signames.h"
#include "base/strv.h"
#include "core/spec_type.h"

/* ---- capabilities ---- */

#define CAPABILITIES 64 /* so many bits the kernel has for them */
#define ALL UINT64_MAX  /* with those that later kernels may have; nothing else has the last bit */

static bool parse_capability(const struct key_input *in, const char *word, int *number)
{
    *number = capability_from_name(word);
    if (*number >= 0)
        return true;

    const char *near = capability_suggest(word);
    if (near != NULL)
        return key_fail(in, "'%s' is no capability of capabilities(7); did you mean '%s'?", word, near);
    return key_fail(in, "'%s' is no capability: write a name of capabilities(7), as CAP_NET_RAW", word);
}

static bool add_capabilities(const struct key_input *in, uint64_t *mask)
{
    int number;

    for (size_t i = 0; i < in->n; i++) {
        if (!parse_capability(in, in->values[i], &number))
            return false;
        *mask |= UINT64_C(1) << number;
    }
    return true;
}

/* "~NAME" takes away from all.  '~' alone is all, so that what nothing is taken from can be written too. */
static bool remove_capabilities(const struct key_input *in, uint64_t *mask)
{
    int number;

    *mask = ALL;
    for (size_t i = 0; i < in->n; i++) {
        const char *word = in->values[i];
        if (word[0] != '~')
            return key_fail(in, "'%s' stands beside names with '~': write it before each, or before none", word);
        if (word[1] == '\0')
            continue;
        if (!parse_capability(in, word + 1, &number))
            return false;
        *mask &= ~(UINT64_C(1) << number);
    }
    return true;
}

static bool set_capabilities(const struct key_input *in, void *to)
{
    uint64_t mask = 0;

    if (!add_capabilities(in, &mask))
        return false;
    *(struct spec_caps *)to = (struct spec_caps){true, mask};
    return true;
}

static bool set_bounds(const struct key_input *in, void *to)
{
    uint64_t mask = 0;
    bool inverted = in->n > 0 && in->values[0][0] == '~';

    if (!(inverted ? remove_capabilities(in, &mask) : add_capabilities(in, &mask)))
        return false;
    *(struct spec_caps *)to = (struct spec_caps){true, mask};
    return true;
}

static char **get_capabilities(const struct spec_key *key, const void *from)
{
    const struct spec_caps *caps = from;

    (void)key;
    if (!caps->set)
        return NULL;
    if (caps->mask == ALL)
        return key_one_value("~");

    bool inverted = (caps->mask >> (CAPABILITIES - 1)) != 0;
    uint64_t named = inverted ? ~caps->mask : caps->mask;
    char **v = xcalloc(1, sizeof(*v));
    for (int number = 0; number < CAPABILITIES; number++) {
        if ((named >> number & 1) != 0)
            v = strv_push(v, xasprintf("%s%s", inverted ? "~" : "", capability_to_name(number)));
    }
    return v;
}

static bool equal_capabilities(const void *a, const void *b)
{
    const struct spec_caps *x = a;
    const struct spec_caps *y = b;

    return x->set == y->set && x->mask == y->mask;
}

const struct key_type_ops key_type_capabilities = {
    .takes_list = true,
    .size = sizeof(struct spec_caps),
    .set = set_capabilities,
    .get = get_capabilities,
    .equal = equal_capabilities,
};

const struct key_type_ops key_type_capability_bounds = {
    .takes_list = true,
    .size = sizeof(struct spec_caps),
    .set = set_bounds,
    .get = get_capabilities,
    .equal = equal_capabilities,
};

/* ---- parent-death-signal ---- */

static bool set_death_signal(const struct key_input *in, void *to)
{
    int signo = strcmp(in->values[0], "none") == 0 ? 0 : signal_from_name(in->values[0]);

    if (signo < 0)
        return key_fail_signal(in, in->values[0],
                               "neither none nor a signal: write a name of signal(7), as TERM, or a number");
    *(int32_t *)to = signo;
    return true;
}

static char **get_death_signal(const struct spec_key *key, const void *from)
{
    int signo = *(const int32_t *)from;
    char buf[16];

    (void)key;
    return key_one_value(signo == 0 ? "none" : signal_to_name(signo, buf));
}

const struct key_type_ops key_type_death_signal = {
    .size = sizeof(int32_t), .set = set_death_signal, .get = get_death_signal};
