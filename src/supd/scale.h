/* SPDX-License-Identifier: MIT */
/*
 * Other numbers of instances than the configuration says, by `supctl scale`.
 *
 * Such a number is recorded before it is acknowledged and before anything is started or stopped for it. It holds until
 * the file says another number than it did then, or until supd has stopped everything; a crash, an upgrade and a
 * configuration that is read again do not change it.
 */
#ifndef SUPD_SUPD_SCALE_H
#define SUPD_SUPD_SCALE_H

#include "supd/server.h"
#include "supd/supervisor.h"

/*
 * NAME, a section with `instances`, is to have COUNT of them; answered by REPLY, which is taken over, with the outcomes
 * of those that are added and removed.  WAIT: when that is done, or after TIMEOUT us (0: however long).
 */
void scale_request(struct supervisor *sup, const char *name, unsigned count, bool wait, int64_t timeout,
                   struct reply *reply);

/* What an earlier supd has recorded, applied to sup->config as far as it still holds.  False, and told, where an instance
 * cannot be made of it. */
bool scale_resume(struct supervisor *sup, const struct replay *replay);

/* Applies those that still hold to CONFIG, which is to come into force.  False with ERR written where that is impossible. */
bool scale_fit(const struct supervisor *sup, struct config *config, char *err, size_t err_size);

/* sup->config is another: forgets those that hold no more. */
void scale_forget_old(struct supervisor *sup);

#endif
