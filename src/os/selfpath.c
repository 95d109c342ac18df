/* SPDX-License-Identifier: MIT */
#include "os/selfpath.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define SELF "/proc/self/exe"

static bool is_self(const char *path)
{
    struct stat self;
    struct stat st;

    return stat(SELF, &self) == 0 && stat(path, &st) == 0 && self.st_dev == st.st_dev && self.st_ino == st.st_ino;
}

static char *below_cwd(const char *path)
{
    char *cwd = getcwd(NULL, 0);
    char *absolute = xasprintf("%s/%s", cwd ? cwd : "", path);

    free(cwd);
    return absolute;
}

static char *find_on_path(const char *name)
{
    char *path = xstrdup(getenv("PATH"));
    char *saved = NULL;
    char *found = NULL;

    for (char *dir = path ? strtok_r(path, ":", &saved) : NULL; dir && !found; dir = strtok_r(NULL, ":", &saved)) {
        found = xasprintf("%s/%s", dir, name);
        if (dir[0] != '/' || !is_self(found)) {
            free(found);
            found = NULL;
        }
    }
    free(path);
    return found;
}

static char *from_argv0(const char *argv0)
{
    if (!argv0 || !*argv0)
        return NULL;
    if (argv0[0] == '/')
        return xstrdup(argv0);
    return strchr(argv0, '/') ? below_cwd(argv0) : find_on_path(argv0);
}

char *selfpath(const char *argv0)
{
    char *path = from_argv0(argv0);
    char target[PATH_MAX];

    if (path && is_self(path))
        return path;
    free(path);
    ssize_t len = readlink(SELF, target, sizeof target - 1);
    return len > 0 ? xstrndup(target, (size_t)len) : xstrdup(SELF);
}
