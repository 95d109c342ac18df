/* SPDX-License-Identifier: MIT */
#include "core/service_keep.h"

#include <string.h>

#include "base/slab.h"

_Static_assert(sizeof(struct svc) - offsetof(struct svc, rare.reason) - SVC_REASON_MAX < sizeof(void *),
               "the reason is the last member");

#define CUT_SIZE offsetof(struct svc, rare)
#define WITH_REASON(room)                                  \
    {                                                      \
        .size = offsetof(struct svc, rare.reason) + (room) \
    }
static struct slab slabs[] = {
    {.size = CUT_SIZE}, WITH_REASON(8), WITH_REASON(24), WITH_REASON(72), WITH_REASON(SVC_REASON_MAX)};

const struct svc_rare svc_rare_none;

/* Of one that is kept. */
static size_t size_of(const struct svc *svc)
{
    return svc->cut ? CUT_SIZE : offsetof(struct svc, rare.reason) + strlen(svc->rare.reason) + 1;
}

/* The first byte of an empty reason is zero, too. */
static bool may_be_cut(const struct svc *svc)
{
    return memcmp(&svc->rare, &svc_rare_none, offsetof(struct svc_rare, reason) + 1) == 0;
}

/* The last one has room for every reason. */
static struct slab *slab_for(size_t size)
{
    struct slab *slab = slabs;

    while (size > slab->size)
        slab++;
    return slab;
}

#ifdef __SANITIZE_ADDRESS__
/* It moves whenever it can, so that whoever still looks at the old one is seen. */
static bool fits(const struct svc *kept, size_t size)
{
    (void)kept;
    (void)size;
    return false;
}
#else
static bool fits(const struct svc *kept, size_t size)
{
    return kept != NULL && slab_for(size_of(kept)) == slab_for(size);
}
#endif

const struct svc *svc_keep(const struct svc *kept, const struct svc *svc)
{
    bool cut = may_be_cut(svc);
    size_t size = cut ? CUT_SIZE : size_of(svc);
    struct svc *place = (struct svc *)kept;

    if (!fits(kept, size)) {
        place = slab_new(slab_for(size));
        svc_keep_free(kept);
    }
    memcpy(place, svc, size);
    place->cut = cut;
    return place;
}

struct svc svc_kept(const struct svc *kept)
{
    struct svc svc;

    memcpy(&svc, kept, size_of(kept));
    if (kept->cut)
        svc.rare = svc_rare_none;
    svc.cut = false;
    return svc;
}

void svc_keep_free(const struct svc *kept)
{
    if (kept != NULL)
        slab_free(slab_for(size_of(kept)), (void *)kept);
}
