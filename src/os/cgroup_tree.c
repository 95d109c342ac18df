/* SPDX-License-Identifier: MIT */
#include "os/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "os/cgroup.h"

#define SUFFIX ".service"
#define OWN_LEAF "supd"
#define DEPTH_MAX 16 /* of what is searched for trees in other places */

static const char *const controller_names[] = {
    [CGROUP_CPU] = "cpu",
    [CGROUP_IO] = "io",
    [CGROUP_MEMORY] = "memory",
    [CGROUP_PIDS] = "pids",
};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
    return controller_names[controller];
}

static bool fail(struct cgroup_tree *tree, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct cgroup_tree *tree, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    free(tree->reason);
    tree->reason = xvasprintf(fmt, ap);
    va_end(ap);
    return false;
}

/* ---- finding ---- */

bool cgroup_tree_find(struct cgroup_tree *tree, const char *proc, const char *instance)
{
    const char *why;

    *tree = (struct cgroup_tree){0};
    snprintf(tree->name, sizeof tree->name, "supd-%s", instance);
    tree->home = cgroup_place_find(&tree->place, proc, &why);
    return tree->home != NULL || fail(tree, "%s", why);
}

/* ---- making ---- */

/* A directory that we or root have made. */
static bool make_own(struct cgroup_tree *tree, const char *path)
{
    struct stat st;
    int rc = cgroup_make(path);

    if (rc < 0 && rc != -EEXIST)
        return fail(tree, "%s cannot be made: %s", path, strerror(-rc));
    if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return fail(tree, "%s is there already and belongs to somebody else", path);
    return true;
}

/* After a live upgrade, or started by a supd that is below: HOME is what is above. */
static void leave_own_leaf(struct cgroup_tree *tree)
{
    char *slash = strrchr(tree->home, '/');

    if (slash == NULL || strcmp(slash + 1, OWN_LEAF) != 0)
        return;
    *slash = '\0';
    if (!cgroup_has_file(tree->home, tree->name))
        *slash = '/';
}

/* supd's --init, which has started us, is ours to move; any other parent is not. */
static bool is_our_init(const char *proc, pid_t pid)
{
    struct stat ours;
    struct stat theirs;
    char *path = xasprintf("%s/%d/exe", proc, (int)pid);
    bool same = pid == getppid() && stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
                ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;

    free(path);
    return same;
}

struct residents {
    const char *proc;
    bool others;
    pid_t init; /* 0: none */
};

static void look_at_home(struct residents *r, const char *home)
{
    char *path = xasprintf("%s/cgroup.procs", home);
    FILE *fp = fopen(path, "re");
    int pid;

    free(path);
    r->others = fp == NULL;
    while (fp != NULL && fscanf(fp, "%d", &pid) == 1) {
        if (pid > 0 && is_our_init(r->proc, pid))
            r->init = pid;
        else if (pid != getpid())
            r->others = true;
    }
    if (fp != NULL)
        fclose(fp);
}

/*
 * Controllers go only to the children of a cgroup that has no processes itself; but for the root of the hierarchy (it has
 * no cgroup.events).  With others beside us nothing would be gained, and their place is not ours to change.
 */
static void move_below(struct cgroup_tree *tree)
{
    struct residents residents = {.proc = tree->place.proc};
    char text[16];

    if (!cgroup_has_file(tree->home, "cgroup.events"))
        return;
    look_at_home(&residents, tree->home);
    if (residents.others)
        return;
    char *leaf = xasprintf("%s/%s", tree->home, OWN_LEAF);
    int rc = cgroup_make(leaf);
    if (rc == 0 || rc == -EEXIST) {
        cgroup_write(leaf, "cgroup.procs", "0");
        if (residents.init > 0) {
            snprintf(text, sizeof text, "%d", (int)residents.init);
            cgroup_write(leaf, "cgroup.procs", text);
        }
    }
    free(leaf);
}

/* Who forks a child into a cgroup needs the right to write to that of both. */
static bool may_move(struct cgroup_tree *tree)
{
    char *path = xasprintf("%s/cgroup.procs", tree->home);
    bool may = access(path, W_OK) == 0 || fail(tree, "%s cannot be written: %s", path, strerror(errno));

    free(path);
    return may;
}

bool cgroup_tree_open(struct cgroup_tree *tree, const char *proc, const char *instance)
{
    if (!cgroup_tree_find(tree, proc, instance))
        return false;
    leave_own_leaf(tree);
    if (!may_move(tree))
        return false;
    char *path = xasprintf("%s/%s", tree->home, tree->name);
    if (!make_own(tree, path)) {
        free(path);
        return false;
    }
    tree->path = path;
    move_below(tree);
    cgroup_tree_enable(tree, CGROUP_MEMORY);
    cgroup_tree_enable(tree, CGROUP_PIDS);
    return true;
}

/* Is a process in a cgroup below HOME that is not our leaf? */
static bool has_others_below(const struct cgroup_tree *tree)
{
    DIR *dir = opendir(tree->home);
    bool others = false;

    if (dir == NULL)
        return true;
    for (const struct dirent *entry = readdir(dir); entry != NULL && !others; entry = readdir(dir)) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || strcmp(entry->d_name, OWN_LEAF) == 0)
            continue;
        char *path = xasprintf("%s/%s", tree->home, entry->d_name);
        others = cgroup_populated(path);
        free(path);
    }
    closedir(dir);
    return others;
}

/* HOME as it was found, as far as that can be: others may have come to need its controllers. */
static void move_back(struct cgroup_tree *tree)
{
    char *leaf = xasprintf("%s/%s", tree->home, OWN_LEAF);
    bool moved = cgroup_has_file(leaf, "cgroup.procs");
    bool others = has_others_below(tree);
    char text[32];

    for (size_t i = 0; i < CGROUP_N_CONTROLLERS && !others; i++) {
        /* Nobody but us was in HOME when we moved; where we did not, the controller may have been somebody's choice. */
        if (!tree->ours[i] && !(moved && tree->enabled[i]))
            continue;
        snprintf(text, sizeof text, "-%s", controller_names[i]);
        cgroup_write(tree->home, "cgroup.subtree_control", text);
    }
    if (moved && cgroup_write(tree->home, "cgroup.procs", "0") == 0)
        rmdir(leaf);
    free(leaf);
}

void cgroup_tree_close(struct cgroup_tree *tree)
{
    if (tree->path != NULL && rmdir(tree->path) == 0)
        move_back(tree);
    for (size_t i = 0; i < CGROUP_N_CONTROLLERS; i++)
        free(tree->why[i]);
    cgroup_place_clear(&tree->place);
    free(tree->home);
    free(tree->path);
    free(tree->reason);
    strv_free(tree->places);
    *tree = (struct cgroup_tree){0};
}

/* ---- controllers ---- */

/* Is WORD one of those in the list that FILE holds? */
static bool lists_word(const char *path, const char *file, const char *word)
{
    char text[512];
    char *save = NULL;

    if (cgroup_read(path, file, text, sizeof text) < 0)
        return false;
    for (char *p = strtok_r(text, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
        if (strcmp(p, word) == 0)
            return true;
    }
    return false;
}

static char *why_not(const char *path, const char *name, int error)
{
    if (error == EBUSY)
        return xasprintf("other processes are in %s, so the controller '%s' cannot be given to cgroups below it: start "
                         "supd in a cgroup of its own, as its systemd unit does",
                         path, name);
    return xasprintf("the controller '%s' cannot be enabled in %s: %s", name, path, strerror(error));
}

/* For the children of PATH. */
static char *enable_below(const char *path, const char *name)
{
    char text[32];

    if (lists_word(path, "cgroup.subtree_control", name))
        return NULL;
    snprintf(text, sizeof text, "+%s", name);
    int rc = cgroup_write(path, "cgroup.subtree_control", text);
    return rc < 0 ? why_not(path, name, -rc) : NULL;
}

bool cgroup_tree_enable(struct cgroup_tree *tree, enum cgroup_controller controller)
{
    const char *name = controller_names[controller];
    char *why = NULL;

    if (tree->path == NULL)
        return false;
    if (tree->enabled[controller])
        return true;
    if (!lists_word(tree->home, "cgroup.controllers", name))
        why = xasprintf("there is no controller '%s' in %s", name, tree->home);
    if (why == NULL && !lists_word(tree->home, "cgroup.subtree_control", name)) {
        why = enable_below(tree->home, name);
        tree->ours[controller] = why == NULL;
    }
    if (why == NULL)
        why = enable_below(tree->path, name);
    free(tree->why[controller]);
    tree->why[controller] = why;
    tree->enabled[controller] = why == NULL;
    return why == NULL;
}

/* ---- services ---- */

char *cgroup_tree_service(const struct cgroup_tree *tree, const char *name)
{
    return tree->path != NULL ? xasprintf("%s/%s%s", tree->path, name, SUFFIX) : NULL;
}

/* The trees of NAME below DIR.  None is in another. */
static void search_below(struct cgroup_tree *tree, const char *dir, unsigned depth)
{
    DIR *fp = opendir(dir);

    if (fp == NULL)
        return;
    for (const struct dirent *entry = readdir(fp); entry != NULL; entry = readdir(fp)) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = xasprintf("%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, tree->name) == 0) {
            tree->places = strv_push(tree->places, path);
            continue;
        }
        if (depth < DEPTH_MAX)
            search_below(tree, path, depth + 1);
        free(path);
    }
    closedir(fp);
}

static bool is_directory(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *cgroup_tree_find_service(struct cgroup_tree *tree, const char *name)
{
    char *path = cgroup_tree_service(tree, name);

    if (path != NULL && is_directory(path))
        return path;
    free(path);
    if (tree->home == NULL)
        return NULL;
    if (!tree->searched)
        search_below(tree, tree->place.mount, 0);
    tree->searched = true;
    for (char **place = tree->places; place != NULL && *place != NULL; place++) {
        path = xasprintf("%s/%s%s", *place, name, SUFFIX);
        if (is_directory(path))
            return path;
        free(path);
    }
    return NULL;
}

/* Cuts NAME off behind "/supd-ID/SERVICE.service"; false where that is not in it. */
static bool cut_to_service(const struct cgroup_tree *tree, char *name, const char *service)
{
    char *want = xasprintf("/%s/%s%s", tree->name, service, SUFFIX);
    char *found = strstr(name, want);
    char *end = found != NULL ? found + strlen(want) : NULL;

    free(want);
    if (end == NULL || (*end != '\0' && *end != '/'))
        return false;
    *end = '\0';
    return true;
}

char *cgroup_tree_of_process(const struct cgroup_tree *tree, pid_t pid, const char *name)
{
    char who[16];
    char *path = NULL;

    if (tree->home == NULL)
        return NULL;
    snprintf(who, sizeof who, "%d", (int)pid);
    char *theirs = cgroup_name_of(&tree->place, who);
    bool named = theirs != NULL && cut_to_service(tree, theirs, name);
    char *ours = named ? cgroup_name_of(&tree->place, "self") : NULL;
    if (named && ours != NULL && !cgroup_name_is_below(ours, theirs))
        path = cgroup_directory_of(&tree->place, theirs);
    free(theirs);
    free(ours);
    return path;
}

void cgroup_tree_each(const struct cgroup_tree *tree, void (*fn)(void *ctx, const char *name), void *ctx)
{
    DIR *dir = tree->path != NULL ? opendir(tree->path) : NULL;

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);

        if (entry->d_type != DT_DIR || len <= strlen(SUFFIX) ||
            strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        char *name = xstrndup(entry->d_name, len - strlen(SUFFIX));
        fn(ctx, name);
        free(name);
    }
    closedir(dir);
}

int cgroup_tree_remove(const struct cgroup_tree *tree, const char *path)
{
    int rc = cgroup_remove(path);
    char *above = xstrdup(path);
    char *slash = strrchr(above, '/');

    if (slash != NULL)
        *slash = '\0';
    if (rc == 0 && (tree->path == NULL || strcmp(above, tree->path) != 0))
        rmdir(above);
    free(above);
    return rc;
}
