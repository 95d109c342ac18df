/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/mem.h"
#include "core/instance.h"
#include "core/spec.h"
#include "core/spec_group.h"

/* So many specs before one are looked at for what is the same: those alike stand beside one another. */
#define SHARED_WITH 8

void spec_list_free(struct spec_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        spec_free(list->items[i]);
    free(list->items);
    list->items = NULL;
    list->n = 0;
}

void spec_list_push(struct spec_list *list, struct spec *spec)
{
    for (size_t i = list->n; i > 0 && i + SHARED_WITH > list->n; i--)
        spec_share(spec, list->items[i - 1]);
    /* Full at each power of two, and at 0. */
    if ((list->n & (list->n - 1)) == 0)
        list->items = xreallocarray(list->items, list->n > 0 ? 2 * list->n : 1, sizeof(struct spec *));
    list->items[list->n++] = spec;
}

static int compare_specs(const void *a, const void *b)
{
    return instance_compare((*(struct spec *const *)a)->name, (*(struct spec *const *)b)->name);
}

static int compare_name(const void *name, const void *item)
{
    return instance_compare(name, (*(struct spec *const *)item)->name);
}

void spec_list_sort(struct spec_list *list)
{
    if (list->n > 1)
        qsort(list->items, list->n, sizeof(struct spec *), compare_specs);
}

struct spec *spec_list_find(const struct spec_list *list, const char *name)
{
    if (list->n == 0)
        return NULL;

    struct spec **found = bsearch(name, list->items, list->n, sizeof(struct spec *), compare_name);
    return found != NULL ? *found : NULL;
}
