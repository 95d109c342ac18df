/* SPDX-License-Identifier: MIT */
#include "core/service_keep.h"

#include <string.h>

#include "base/slab.h"

_Static_assert(sizeof(struct svc) - offsetof(struct svc, reason) - SVC_REASON_MAX < sizeof(void *),
               "the reason is the last member");

#define WITH_REASON(room)                             \
    {                                                 \
        .size = offsetof(struct svc, reason) + (room) \
    }
static struct slab slabs[] = {WITH_REASON(8), WITH_REASON(24), WITH_REASON(72), WITH_REASON(SVC_REASON_MAX)};

static size_t size_of(const struct svc *svc)
{
    return offsetof(struct svc, reason) + strlen(svc->reason) + 1;
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
    size_t size = size_of(svc);
    void *place = (void *)kept;

    if (!fits(kept, size)) {
        place = slab_new(slab_for(size));
        svc_keep_free(kept);
    }
    memcpy(place, svc, size);
    return place;
}

struct svc svc_kept(const struct svc *kept)
{
    struct svc svc;

    memcpy(&svc, kept, size_of(kept));
    return svc;
}

void svc_keep_free(const struct svc *kept)
{
    if (kept != NULL)
        slab_free(slab_for(size_of(kept)), (void *)kept);
}
