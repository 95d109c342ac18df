/* SPDX-License-Identifier: MIT */
#include "core/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"
#include "core/instance_template.h"
#include "core/socket_spec.h"

_Static_assert(INSTANCES_MAX <= 10000, "INSTANCE_NAME_SIZE has room for five digits");

char *instance_name(const char *name, unsigned number)
{
    return xasprintf("%s@%u", name, number);
}

bool instance_is(const char *name)
{
    return strchr(name, '@') != NULL;
}

size_t instance_base_len(const char *name)
{
    return strcspn(name, "@");
}

/* 0: TEXT is not the number of an instance. */
static unsigned parse_number(const char *text)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 5 || text[len] != '\0' || text[0] == '0')
        return 0;
    unsigned long number = strtoul(text, NULL, 10);
    return number <= INSTANCES_MAX ? (unsigned)number : 0;
}

unsigned instance_of(const char *name, const char *section)
{
    size_t len = instance_base_len(name);

    if (name[len] == '\0' || strlen(section) != len || memcmp(name, section, len) != 0)
        return 0;
    return parse_number(name + len + 1);
}

bool instance_name_valid(const char *name)
{
    size_t len = instance_base_len(name);

    if (name[len] == '\0')
        return spec_name_valid(name);
    if (parse_number(name + len + 1) == 0)
        return false;

    char *base = xstrndup(name, len);
    bool valid = spec_name_valid(base);
    free(base);
    return valid;
}

int instance_compare(const char *a, const char *b)
{
    size_t len_a = instance_base_len(a);
    size_t len_b = instance_base_len(b);
    int order = strncmp(a, b, len_a < len_b ? len_a : len_b);

    if (order != 0)
        return order;
    if (len_a != len_b)
        return len_a < len_b ? -1 : 1;
    if (a[len_a] == '\0' || b[len_b] == '\0')
        return strcmp(a, b);

    unsigned number_a = parse_number(a + len_a + 1);
    unsigned number_b = parse_number(b + len_b + 1);
    if (number_a != number_b)
        return number_a < number_b ? -1 : 1;
    return strcmp(a, b);
}

char *instance_expand(const char *text, const char *name, char *err, size_t err_size)
{
    struct buf out = {0};

    buf_add_string(&out, "");
    for (; *text != '\0'; text++) {
        if (*text != '%') {
            buf_add_char(&out, *text);
            continue;
        }
        text++;
        if (*text == '%') {
            buf_add_char(&out, '%');
        } else if (*text == 'n') {
            buf_add_string(&out, name);
        } else if (*text == 'i') {
            buf_add_string(&out, name + instance_base_len(name) + 1);
        } else {
            int len = *text != '\0' ? 1 : 0;
            while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
                len++;
            snprintf(err, err_size,
                     "'%%%.*s' is not known: instances have %%i (the number) and %%n (the name); write %%%% for a %%",
                     len, text);
            buf_free(&out);
            return NULL;
        }
    }
    return buf_steal(&out);
}

char **instance_expand_all(char *const *values, const char *name, char *err, size_t err_size)
{
    char **expanded = xcalloc(strv_len((char **)values) + 1, sizeof(*expanded));

    for (size_t i = 0; values[i] != NULL; i++) {
        expanded[i] = instance_expand(values[i], name, err, err_size);
        if (expanded[i] == NULL) {
            strv_free(expanded);
            return NULL;
        }
    }
    return expanded;
}

static bool expand_key(struct spec *spec, const struct spec_key *key, char *err, size_t err_size)
{
    bool is_list;
    char **values = spec_get(spec, key, &is_list);
    struct spec_key put = *key;
    bool ok = true;

    /* What is expanded stands in place of what was written. */
    put.flags &= ~(unsigned)KEY_F_ADDS;
    if (instance_has_percent(values)) {
        char **expanded = instance_expand_all(values, spec->name, err, err_size);
        ok = expanded != NULL && spec_set(spec, &put, expanded, strv_len(expanded), is_list, err, err_size);
        strv_free(expanded);
    }
    strv_free(values);
    return ok;
}

bool instance_expand_spec(struct spec *spec, char *err, size_t err_size)
{
    for (size_t i = 0; i < spec_n_keys; i++) {
        if ((spec_keys[i].flags & KEY_F_EXPANDS) != 0 && !expand_key(spec, &spec_keys[i], err, err_size))
            return false;
    }
    return true;
}

static bool listens_at(const struct spec *spec, const char *address)
{
    char other[SOCKET_ADDRESS_MAX];
    struct socket_spec parsed;
    char err[256];

    for (char **p = spec->around->listen; p != NULL && *p != NULL; p++) {
        if (socket_spec_parse(*p, &parsed, err, sizeof(err)) &&
            strcmp(address, socket_spec_address(&parsed, other)) == 0)
            return true;
    }
    return false;
}

bool instance_clash(const struct spec *a, const struct spec *b, char *err, size_t err_size)
{
    char address[SOCKET_ADDRESS_MAX];
    struct socket_spec parsed;
    char why[256];

    for (char **p = a->around->listen; p != NULL && *p != NULL; p++) {
        if (!socket_spec_parse(*p, &parsed, why, sizeof(why)) || parsed.reuse_port ||
            !listens_at(b, socket_spec_address(&parsed, address)))
            continue;
        snprintf(err, err_size, "all instances would listen at '%s': write %%i into it, or share a port by reuse-port",
                 address);
        return true;
    }
    return false;
}
