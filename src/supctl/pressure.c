/* SPDX-License-Identifier: MIT */
#include "supctl/pressure.h"

#include "base/buf.h"
#include "base/mem.h"

static double last_10_seconds(const json_t *resource, const char *who)
{
    return json_number_value(json_object_get(json_object_get(resource, who), "avg10"));
}

char *pressure_words(const json_t *pressure)
{
    static const char *const resources[] = {"memory", "cpu", "io"};
    struct buf line = {0};

    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        const json_t *resource = json_object_get(pressure, resources[i]);
        if (!json_is_object(resource))
            continue;
        buf_addf(&line, "%s%s some %.1f %%, full %.1f %%", line.len > 0 ? "; " : "", resources[i],
                 last_10_seconds(resource, "some"), last_10_seconds(resource, "full"));
    }
    if (line.len == 0)
        return xstrdup("-");
    buf_add_string(&line, " of the last 10 s");
    return buf_steal(&line);
}
