/* SPDX-License-Identifier: MIT */
#include "supctl/params.h"

#include "core/proto.h"

json_t *params_of_names(char *const *names, size_t n)
{
    json_t *params = json_object();

    if (n == 0)
        return params;
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, proto_string(names[i]));
    json_object_set_new(params, "names", array);
    return params;
}

void params_add_timeout(json_t *params, const struct options *options)
{
    if (options->given & OPTION_TIMEOUT)
        json_object_set_new(params, "timeout", proto_seconds(options->timeout));
}
