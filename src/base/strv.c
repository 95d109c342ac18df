/* SPDX-License-Identifier: MIT */
#include "base/strv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

size_t strv_len(char *const *v)
{
    size_t n = 0;

    while (v != NULL && v[n] != NULL)
        n++;
    return n;
}

char **strv_dup(char *const *v)
{
    if (v == NULL)
        return NULL;

    size_t n = strv_len(v);
    char **copy = xcalloc(n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(v[i]);
    return copy;
}

void strv_free(char **v)
{
    for (size_t i = 0; v != NULL && v[i] != NULL; i++)
        free(v[i]);
    free(v);
}

char **strv_push(char **v, char *s)
{
    size_t n = strv_len(v);

    v = xreallocarray(v, n + 2, sizeof(*v));
    v[n] = s;
    v[n + 1] = NULL;
    return v;
}

bool strv_equal(char *const *a, char *const *b)
{
    size_t n = strv_len(a);

    if (n != strv_len(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return true;
}

bool strv_contains(char *const *v, const char *s)
{
    for (size_t i = 0; v != NULL && v[i] != NULL; i++) {
        if (strcmp(v[i], s) == 0)
            return true;
    }
    return false;
}

static bool key_is(const char *assignment, const char *key, size_t key_len)
{
    return strncmp(assignment, key, key_len) == 0 && assignment[key_len] == '=';
}

char **strv_env_set(char **v, const char *assignment)
{
    size_t key_len = strcspn(assignment, "=");

    for (size_t i = 0; v != NULL && v[i] != NULL; i++) {
        if (key_is(v[i], assignment, key_len)) {
            char *copy = xstrdup(assignment);
            free(v[i]);
            v[i] = copy;
            return v;
        }
    }
    return strv_push(v, xstrdup(assignment));
}

const char *strv_env_get(char *const *v, const char *key)
{
    size_t key_len = strlen(key);

    for (size_t i = 0; v != NULL && v[i] != NULL; i++) {
        if (key_is(v[i], key, key_len))
            return v[i] + key_len + 1;
    }
    return NULL;
}
