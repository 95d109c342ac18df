/* SPDX-License-Identifier: MIT */
#include "os/spawn_pack.h"

#include <string.h>

#include "base/strv.h"
#include "os/spawn_child.h"

#define N_OF(array) (sizeof(array) / sizeof(*(array)))

static char *pack_text(struct spawn_pack *pack, const char *text)
{
    size_t size = text != NULL ? strlen(text) + 1 : 0;

    if (text == NULL)
        return NULL;
    if (size > sizeof(pack->text) - pack->used) {
        pack->full = true;
        return NULL;
    }
    char *copy = memcpy(pack->text + pack->used, text, size);
    pack->used += size;
    return copy;
}

static char **pack_vector(struct spawn_pack *pack, char *const *vector)
{
    size_t n = strv_len(vector);

    if (vector == NULL)
        return NULL;
    if (n + 1 > N_OF(pack->pointers) - pack->n_pointers) {
        pack->full = true;
        return NULL;
    }
    char **copy = pack->pointers + pack->n_pointers;
    pack->n_pointers += n + 1;
    for (size_t i = 0; i < n; i++)
        copy[i] = pack_text(pack, vector[i]);
    copy[n] = NULL;
    return copy;
}

static void pack_ids(struct spawn_pack *pack, const struct spec_ids *ids)
{
    struct spec_ids *copy = &pack->copy.exec.ids;

    copy->user_name = pack_text(pack, ids->user_name);
    copy->home = pack_text(pack, ids->home);
    copy->shell = pack_text(pack, ids->shell);
    copy->groups = pack->groups;
    if (ids->n_groups > N_OF(pack->groups))
        pack->full = true;
    else if (ids->n_groups > 0)
        memcpy(pack->groups, ids->groups, ids->n_groups * sizeof(*ids->groups));
}

/* What of SPEC the steps of a child look at, the attributes apart. */
static void pack_spec(struct spawn_pack *pack, const struct spec *spec)
{
    struct spec_copy *copy = &pack->copy;

    spec_copy(copy, spec);
    copy->spec.name = pack_text(pack, spec->name);
    copy->place.directory = pack_text(pack, spec->place->directory);
    copy->place.environment = pack_vector(pack, spec->place->environment);
    copy->place.tty = pack_text(pack, spec->place->tty);
    copy->place.input.path = pack_text(pack, spec->place->input.path);
    copy->logs.log.path = pack_text(pack, spec->logs->log.path);
    copy->logs.log_error.path = pack_text(pack, spec->logs->log_error.path);
    copy->exec.user = pack_text(pack, spec->exec->user);
    copy->exec.group = pack_text(pack, spec->exec->group);
    pack_ids(pack, &spec->exec->ids);
}

bool spawn_pack(struct spawn_pack *pack, const struct spawn_request *req)
{
    const struct spec *spec = req->spec;
    struct spawn_request *copy = &pack->request;

    if (spawn_has_attributes(spec) || spec->place->environment_files != NULL || req->n_listen_fds > 0 ||
        req->ready_fd > 0 || req->match_fds[0] > 0 || req->match_fds[1] > 0 || !spawn_environment_fits(req))
        return false;
    pack->n_pointers = pack->used = 0;
    pack->full = false;
    pack_spec(pack, spec);
    pack->baseline = *req->baseline;
    pack->baseline.environment = pack_vector(pack, req->baseline->environment);
    *copy = *req;
    copy->spec = &pack->copy.spec;
    copy->baseline = &pack->baseline;
    copy->record = memcpy(pack->record, req->record, req->record_len);
    copy->command = pack_vector(pack, req->command != NULL ? req->command : spec->command);
    copy->variables = pack_vector(pack, req->variables);
    copy->instance_id = pack_text(pack, req->instance_id);
    copy->listen_names = NULL;
    copy->log_fifo = pack_text(pack, req->log_fifo);
    copy->error_fifo = pack_text(pack, req->error_fifo);
    if (!pack->full)
        spawn_environment(&(struct child){.req = copy, .spec = &pack->copy.spec}, &pack->variables);
    return !pack->full;
}
