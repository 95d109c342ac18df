/* SPDX-License-Identifier: MIT */
#include "os/ids.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/suggest.h"

#define NSS_BUFFER_MAX (16U * 1024 * 1024)

/* A number as ids are written; (uid_t)-1 means "none" to the kernel and is refused. */
static bool parse_id(const char *text, uint32_t *id)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 10 || text[len] != '\0')
        return false;

    unsigned long long n = strtoull(text, NULL, 10);
    if (n >= UINT32_MAX)
        return false;
    *id = (uint32_t)n;
    return true;
}

/* Asks by name, or by uid where NAME is NULL.  0, or an errno; ENOENT: no such entry.  *BUF holds what PW points to. */
static int lookup_user(const char *name, uid_t uid, struct passwd *pw, char **buf)
{
    struct passwd *found = NULL;
    size_t size = 1024;
    int rc;

    *buf = NULL;
    do {
        size *= 2;
        *buf = xreallocarray(*buf, size, 1);
        rc = name != NULL ? getpwnam_r(name, pw, *buf, size, &found) : getpwuid_r(uid, pw, *buf, size, &found);
    } while (rc == ERANGE && size < NSS_BUFFER_MAX);

    return found != NULL ? 0 : rc != 0 ? rc : ENOENT;
}

static int lookup_group(const char *name, gid_t *gid)
{
    struct group group;
    struct group *found = NULL;
    char *buf = NULL;
    size_t size = 1024;
    int rc;

    do {
        size *= 2;
        buf = xreallocarray(buf, size, 1);
        rc = getgrnam_r(name, &group, buf, size, &found);
    } while (rc == ERANGE && size < NSS_BUFFER_MAX);

    if (found != NULL)
        *gid = found->gr_gid;
    free(buf);
    return found != NULL ? 0 : rc != 0 ? rc : ENOENT;
}

/* The names of all users, as far as NSS lists them; to be freed. */
static char **all_users(void)
{
    char **names = NULL;
    const struct passwd *pw;

    setpwent();
    while ((pw = getpwent()) != NULL)
        names = strv_push(names, xstrdup(pw->pw_name));
    endpwent();
    return names;
}

static char **all_groups(void)
{
    char **names = NULL;
    const struct group *group;

    setgrent();
    while ((group = getgrent()) != NULL)
        names = strv_push(names, xstrdup(group->gr_name));
    endgrent();
    return names;
}

static bool fail_unknown(bool is_user, const char *name, char *err, size_t err_size)
{
    char **names = is_user ? all_users() : all_groups();
    const char *near = suggest_nearest(name, (const char *const *)names, strv_len(names));
    const char *what = is_user ? "user" : "group";

    if (near != NULL)
        snprintf(err, err_size, "there is no %s '%s'; did you mean '%s'?", what, name, near);
    else
        snprintf(err, err_size, "there is no %s '%s'", what, name);
    strv_free(names);
    return false;
}

/* Libraries answer "no such entry" with several numbers, getpwnam(3). */
static bool fail(int rc, bool is_user, const char *name, char *err, size_t err_size)
{
    if (rc == ENOENT || rc == ESRCH || rc == EBADF || rc == EPERM)
        return fail_unknown(is_user, name, err, err_size);
    snprintf(err, err_size, "cannot look up %s '%s': %s", is_user ? "user" : "group", name, strerror(rc));
    return false;
}

bool ids_group(const char *name, gid_t *gid, char *err, size_t err_size)
{
    int rc = lookup_group(name, gid);

    if (rc == 0 || parse_id(name, gid))
        return true;
    return fail(rc, false, name, err, err_size);
}

bool ids_user(const char *name, uid_t *uid, char *err, size_t err_size)
{
    struct passwd pw;
    char *buf;
    int rc = lookup_user(name, 0, &pw, &buf);

    free(buf);
    if (rc == 0)
        *uid = pw.pw_uid;
    return rc == 0 || parse_id(name, uid) || fail(rc, true, name, err, err_size);
}

/* The groups of a login, GID among them. */
static void set_login_groups(struct spec_ids *ids, const char *login)
{
    int n = 32;

    for (;;) {
        int room = n;
        ids->groups = xreallocarray(ids->groups, (size_t)room, sizeof(*ids->groups));
        if (getgrouplist(login, ids->gid, ids->groups, &n) >= 0)
            break;
        /* It says how many there are; should it not, go on with twice as many. */
        if (n <= room)
            n = 2 * room;
    }
    ids->n_groups = (size_t)n;
}

/* Without a user, those that supd itself has. */
static void set_own_groups(struct spec_ids *ids)
{
    int n = getgroups(0, NULL);

    if (n <= 0)
        return;
    ids->groups = xcalloc((size_t)n, sizeof(*ids->groups));
    n = getgroups(n, ids->groups);
    ids->n_groups = n > 0 ? (size_t)n : 0;
}

static void clear(struct spec_ids *ids)
{
    free(ids->groups);
    free(ids->user_name);
    free(ids->home);
    free(ids->shell);
    *ids = (struct spec_ids){0};
}

static void take_login(struct spec_ids *ids, const struct passwd *pw)
{
    ids->uid = pw->pw_uid;
    ids->gid = pw->pw_gid;
    ids->user_name = xstrdup(pw->pw_name);
    ids->home = xstrdup(pw->pw_dir);
    ids->shell = xstrdup(pw->pw_shell);
}

static bool resolve_user(const char *user, bool have_group, struct spec_ids *ids, char *err, size_t err_size)
{
    struct passwd pw;
    char *buf;
    int rc = lookup_user(user, 0, &pw, &buf);

    if (rc != 0 && parse_id(user, &ids->uid)) {
        free(buf);
        rc = lookup_user(NULL, ids->uid, &pw, &buf);
        if (rc != 0 && !have_group) {
            free(buf);
            snprintf(err, err_size, "uid %s has no passwd entry: give a group too", user);
            return false;
        }
        if (rc != 0) {
            free(buf);
            return true;
        }
    }
    if (rc == 0)
        take_login(ids, &pw);
    free(buf);
    return rc == 0 || fail(rc, true, user, err, err_size);
}

/* Nobody but root may change ids, and there is no need where they are ours: then the child simply keeps them. */
static bool settle_unprivileged(const char *user, const char *group, struct spec_ids *ids, char *err, size_t err_size)
{
    bool ok = true;

    if (ids->uid != geteuid()) {
        snprintf(err, err_size, "user '%s': only root can run services as somebody else", user);
        ok = false;
    } else if (group != NULL && ids->gid != getegid()) {
        snprintf(err, err_size, "group '%s': only root can run services in another group", group);
        ok = false;
    }
    clear(ids);
    return ok;
}

static bool has_group(const struct spec_ids *ids, gid_t gid)
{
    for (size_t i = 0; i < ids->n_groups; i++) {
        if (ids->groups[i] == gid)
            return true;
    }
    return false;
}

static void add_group(struct spec_ids *ids, gid_t gid)
{
    if (has_group(ids, gid))
        return;
    ids->groups = xreallocarray(ids->groups, ids->n_groups + 1, sizeof(*ids->groups));
    ids->groups[ids->n_groups++] = gid;
}

bool ids_supplementary(char *const *names, struct spec_ids *ids, char *err, size_t err_size)
{
    struct spec_ids own = {.gid = getegid()};
    bool ok = true;
    gid_t gid;

    if (names == NULL)
        return true;
    set_own_groups(&own);
    for (; ok && *names != NULL; names++) {
        ok = ids_group(*names, &gid, err, err_size);
        if (ok && ids->set) {
            add_group(ids, gid);
        } else if (ok && gid != own.gid && !has_group(&own, gid)) {
            snprintf(err, err_size, "group '%s': only root can give a service groups that supd does not have", *names);
            ok = false;
        }
    }
    clear(&own);
    return ok;
}

bool ids_resolve(const char *user, const char *group, bool more_groups, struct spec_ids *ids, char *err,
                 size_t err_size)
{
    struct spec_ids new = {.uid = geteuid(), .gid = getegid()};

    if (user == NULL && group == NULL && !(more_groups && geteuid() == 0)) {
        clear(ids);
        return true;
    }
    if (user != NULL && !resolve_user(user, group != NULL, &new, err, err_size))
        goto fail;
    if (group != NULL && !ids_group(group, &new.gid, err, err_size))
        goto fail;

    if (geteuid() != 0) {
        if (!settle_unprivileged(user, group, &new, err, err_size))
            goto fail;
    } else {
        new.set = true;
        if (new.user_name != NULL)
            set_login_groups(&new, new.user_name);
        else if (user == NULL)
            set_own_groups(&new);
    }
    clear(ids);
    *ids = new;
    return true;

fail:
    clear(&new);
    return false;
}
