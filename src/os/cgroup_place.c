/* SPDX-License-Identifier: MIT */
#include "os/cgroup_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

bool cgroup_name_is_below(const char *name, const char *base)
{
    size_t len = strcmp(base, "/") == 0 ? 0 : strlen(base);

    return strncmp(name, base, len) == 0 && (name[len] == '/' || name[len] == '\0');
}

char *cgroup_name_of(const struct cgroup_place *place, const char *who)
{
    char *file = xasprintf("%s/%s/cgroup", place->proc, who);
    FILE *fp = fopen(file, "re");
    char *line = NULL;
    char *name = NULL;
    size_t room = 0;

    free(file);
    if (fp == NULL)
        return NULL;
    while (name == NULL && getline(&line, &room, fp) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            name = xstrdup(line + 3);
    }
    free(line);
    fclose(fp);
    return name;
}

/* "\040" and its like, proc_pid_mountinfo(5). */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        unsigned code;
        if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to++ = (char)code;
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

char *cgroup_directory_of(const struct cgroup_place *place, const char *name)
{
    if (!cgroup_name_is_below(name, place->root))
        return NULL;
    const char *rest = name + (strcmp(place->root, "/") == 0 ? 0 : strlen(place->root));
    return xasprintf("%s%s", place->mount, strcmp(rest, "/") == 0 ? "" : rest);
}

bool cgroup_has_file(const char *path, const char *file)
{
    char *whole = xasprintf("%s/%s", path, file);
    bool there = access(whole, F_OK) == 0;

    free(whole);
    return there;
}

/*
 * A line of mountinfo: takes the mount, and into HOME the directory of NAME, if it is one of cgroup2 that shows it.  One
 * may be hidden by a later one.
 */
static void consider_mount(struct cgroup_place *place, char *line, const char *name, char **home)
{
    char *root = NULL;
    char *point = NULL;
    const char *type = strstr(line, " - ");

    if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0)
        return;
    if (sscanf(line, "%*s %*s %*s %ms %ms", &root, &point) == 2) {
        unescape(root);
        unescape(point);
        struct cgroup_place found = {.mount = point, .root = root};
        char *dir = cgroup_directory_of(&found, name);
        if (dir != NULL && cgroup_has_file(dir, "cgroup.procs")) {
            free(place->mount);
            free(place->root);
            free(*home);
            place->mount = point;
            place->root = root;
            *home = dir;
            return;
        }
        free(dir);
    }
    free(root);
    free(point);
}

static char *search_mounts(struct cgroup_place *place, const char *name)
{
    char *file = xasprintf("%s/self/mountinfo", place->proc);
    FILE *fp = fopen(file, "re");
    char *line = NULL;
    char *home = NULL;
    size_t room = 0;

    while (fp != NULL && getline(&line, &room, fp) > 0)
        consider_mount(place, line, name, &home);
    if (fp != NULL)
        fclose(fp);
    free(line);
    free(file);
    return home;
}

char *cgroup_place_find(struct cgroup_place *place, const char *proc, const char **why)
{
    *place = (struct cgroup_place){.proc = xstrdup(proc)};
    char *name = cgroup_name_of(place, "self");
    char *home = NULL;

    if (name == NULL) {
        *why = "the kernel has no cgroup v2";
    } else if (strncmp(name, "/..", 3) == 0) {
        *why = "supd's own cgroup is outside of its cgroup namespace";
    } else {
        home = search_mounts(place, name);
        *why = "no cgroup v2 hierarchy is mounted";
    }
    free(name);
    return home;
}

void cgroup_place_clear(struct cgroup_place *place)
{
    free(place->proc);
    free(place->mount);
    free(place->root);
    *place = (struct cgroup_place){0};
}
