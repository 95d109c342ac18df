/* SPDX-License-Identifier: MIT */
#include "os/vardir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/rundir.h"

char *vardir_default(char *err, size_t err_size)
{
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (geteuid() == 0)
        return xstrdup(LOCALSTATEDIR "/lib/supd");
    if (xdg && xdg[0] == '/')
        return xasprintf("%s/supd", xdg);
    if (home && home[0] == '/')
        return xasprintf("%s/.local/state/supd", home);
    snprintf(err, err_size, "neither XDG_STATE_HOME nor HOME is set: name a state directory with state-dir");
    return NULL;
}

static bool make_parents(const char *path, char *err, size_t err_size)
{
    mode_t mode = geteuid() == 0 ? 0755 : 0700;
    char *copy = xstrdup(path);
    bool ok = true;

    for (char *slash = strchr(copy + 1, '/'); ok && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ok = mkdir(copy, mode) == 0 || errno == EEXIST;
        if (!ok)
            snprintf(err, err_size, "cannot make %s for the state directory: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return ok;
}

bool vardir_write(const char *path, const char *name, const char *data, size_t len, char *err, size_t err_size)
{
    if (!make_parents(path, err, err_size) || !rundir_own(path, 0755, "state directory", "state-dir", err, err_size))
        return false;
    int rc = rundir_write_synced(path, name, data, len);
    if (rc < 0)
        snprintf(err, err_size, "cannot write %s/%s: %s", path, name, strerror(-rc));
    return rc == 0;
}
