/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/spawn_steps.h"

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442 /* on every machine */
#endif

/* As in linux/mount.h, which not every C library lets stand beside sys/mount.h. */
struct attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t userns_fd;
};

#define ATTRIBUTE_READ_ONLY 1
#define WHOLE_TREE 0x8000 /* AT_RECURSIVE */

static const char *const tmp_dirs[] = {"/tmp", "/var/tmp"};

/* From here on nobody else sees what we mount, while we still see what others mount later. */
static void unshare_mounts(const struct child *child, const char *key)
{
    if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) == -1)
        spawn_fail(child, STEP_NAMESPACE, "%s: %s%s", key, spawn_error(errno),
                   errno == EPERM ? " (needs CAP_SYS_ADMIN)" : "");
}

/* With all that is mounted below it.  "/" is a mount already, and one on top of it would be seen by nobody. */
static void make_read_only(const struct child *child, const char *entry)
{
    const struct attributes attributes = {.set = ATTRIBUTE_READ_ONLY};
    const char *path = entry[0] == '-' ? entry + 1 : entry;

    if (entry[0] == '-' && access(path, F_OK) == -1 && (errno == ENOENT || errno == ENOTDIR))
        return;
    if (strcmp(path, "/") != 0 && mount(path, path, NULL, MS_BIND | MS_REC, NULL) == -1)
        spawn_fail(child, STEP_NAMESPACE, "read-only-paths %s: %s", path, spawn_error(errno));
    if (syscall(SYS_mount_setattr, AT_FDCWD, path, WHOLE_TREE, &attributes, sizeof(attributes)) == -1)
        spawn_fail(child, STEP_NAMESPACE, "read-only-paths %s: %s%s", path, spawn_error(errno),
                   errno == ENOSYS ? " (needs Linux 5.12)" : "");
}

/* In memory, empty at each start, and gone with the last process that sees it: nothing to clean up after a crash. */
static void mount_private_tmp(const struct child *child)
{
    for (size_t i = 0; i < sizeof(tmp_dirs) / sizeof(tmp_dirs[0]); i++) {
        if (mount("tmpfs", tmp_dirs[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == -1 && errno != ENOENT)
            spawn_fail(child, STEP_NAMESPACE, "private-tmp: %s: %s", tmp_dirs[i], spawn_error(errno));
    }
}

/*
 * The working directory still is what lies under the new mounts: a way round them.  Read-only paths come first, so that
 * below a read-only "/" there is a /tmp to write to.
 */
void spawn_set_mounts(const struct child *child)
{
    const struct spec *spec = child->spec;
    char cwd[PATH_MAX];

    if (!spec->exec->private_tmp && spec->exec->read_only_paths == NULL)
        return;
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        spawn_fail(child, STEP_CHDIR, "getcwd: %s", spawn_error(errno));
    unshare_mounts(child, spec->exec->private_tmp ? "private-tmp" : "read-only-paths");
    for (char **p = spec->exec->read_only_paths; p != NULL && *p != NULL; p++)
        make_read_only(child, *p);
    if (spec->exec->private_tmp)
        mount_private_tmp(child);
    if (spec->place->directory == NULL && chdir(cwd) == -1)
        spawn_fail(child, STEP_CHDIR, "chdir %s: %s%s", cwd, spawn_error(errno),
                   spec->exec->private_tmp ? " (private-tmp hides the directory of supd: give the service a directory)"
                                           : "");
}
