/* SPDX-License-Identifier: MIT */
#include "os/proctree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/procfs.h"
#include "os/proctree_look.h"

/* How often, and after how long each time, one that is ending is looked at again. */
#define END_LOOKS 20
#define END_PAUSE_NS 100000

struct search {
    struct proctree_look *look;
    const struct proctree_owner *owner;
    struct proctree *tree;
    pid_t session; /* 0: none of that number can be its */
    bool again;    /* one has ended while it was looked at: its children have come to us meanwhile */
};

static bool force_scan;

void proctree_force_scan(bool on)
{
    force_scan = on;
}

/* ---- who is one of them? ---- */

/*
 * Who is ending has no environment any more, and keeps its children until it has: it is waited for, a few ms at most.  If
 * it has to wait for a processor then, it will be known later; who hangs in its end for another reason may do so for ever.
 */
static void wait_for_end(struct stranger *stranger)
{
    const struct timespec pause = {.tv_nsec = END_PAUSE_NS};
    struct procfs_stat st;

    for (int i = 0; i < END_LOOKS; i++) {
        int rc = procfs_read_stat(stranger->pid, &st);

        stranger->ended = rc == -ESRCH || (rc == 0 && procfs_is_dead(&st));
        if (stranger->ended || rc < 0 || !st.exiting || st.state == 'Z')
            return;
        nanosleep(&pause, NULL);
    }
    stranger->unknown = st.state == 'R';
}

static void ask_environment(const struct proctree_look *look, struct stranger *stranger)
{
    size_t len;

    if (stranger->asked)
        return;
    stranger->asked = true;
    char *block = procfs_environ(stranger->pid, &len);
    stranger->unknown = block == NULL && errno == EAGAIN;
    if (block == NULL || len == 0) {
        if (!stranger->unknown)
            wait_for_end(stranger);
        free(block);
        return;
    }
    const char *instance = procfs_environ_find(block, len, "SUPD_INSTANCE");
    const char *exec_pid = procfs_environ_find(block, len, "SUPD_EXEC_PID");
    if (instance != NULL && strcmp(instance, look->instance) == 0) {
        stranger->service = xstrdup(procfs_environ_find(block, len, "SUPD_SERVICE"));
        stranger->exec_pid = exec_pid != NULL ? (pid_t)strtol(exec_pid, NULL, 10) : 0;
    }
    free(block);
}

/* The variables can be set by anyone who knows our id: that he could signal it himself is asked for too. */
static bool user_is_right(const struct search *search, pid_t pid)
{
    uid_t uid;

    if (search->owner->uid == 0)
        return true;
    /* Root's are also those that may not be looked into, having changed their user. */
    return procfs_uid(pid, &uid) && (uid == search->owner->uid || uid == 0);
}

static bool says_so(struct search *search, struct stranger *stranger)
{
    const struct proctree_owner *owner = search->owner;

    ask_environment(search->look, stranger);
    /* A child of ours is one of ours, whose ever; of all that execute something on the machine that is not known. */
    if (stranger->unknown && stranger->st.ppid == search->look->self)
        search->tree->err = -EAGAIN;
    search->again = search->again || stranger->ended;
    if (stranger->service == NULL || strcmp(stranger->service, owner->service) != 0)
        return false;
    if (stranger->exec_pid != owner->leader && (owner->alone || proctree_is_leader(search->look, stranger->exec_pid)))
        return false;
    return user_is_right(search, stranger->pid);
}

static bool is_of_session(const struct search *search, const struct procfs_stat *st)
{
    return search->session > 0 && st->session == search->session && st->start_ticks >= search->owner->leader_start;
}

static bool belongs(struct search *search, struct stranger *stranger)
{
    pid_t session = stranger->st.session;

    if (procfs_is_dead(&stranger->st))
        return false;
    if (is_of_session(search, &stranger->st))
        return true;
    /* In the session of another, or in ours, it is that one's whatever it says. */
    if (proctree_is_in_our_session(search->look, session) || proctree_is_leader(search->look, session))
        return false;
    return says_so(search, stranger);
}

static void add(struct search *search, pid_t pid, const struct procfs_stat *st)
{
    struct proctree_member *member;

    if (pid == search->look->self || pid == search->owner->leader || proctree_is_leader(search->look, pid))
        return;
    HASH_FIND(by_pid, search->tree->members, &pid, sizeof(pid), member);
    if (member != NULL && member->start_ticks != st->start_ticks) {
        HASH_DELETE(by_pid, search->tree->members, member);
        free(member);
        member = NULL;
    }
    if (member == NULL) {
        member = xcalloc(1, sizeof(*member));
        member->pid = pid;
        member->start_ticks = st->start_ticks;
        HASH_ADD(by_pid, search->tree->members, pid, sizeof(member->pid), member);
    }
    member->pgrp = st->pgrp;
}

/* The number belongs to somebody else by now: then none of that session is left, or it would still be taken. */
static pid_t session_of(const struct proctree_owner *owner)
{
    struct procfs_stat st;

    if (owner->leader <= 1 || owner->leader_start == 0)
        return 0;
    if (owner->pinned)
        return owner->leader;
    if (procfs_read_stat(owner->leader, &st) == 0 && st.start_ticks != owner->leader_start)
        return 0;
    return owner->leader;
}

/* Those known from before, as far as they live. */
static void keep_living(struct search *search)
{
    struct proctree_member *member;
    struct proctree_member *next;
    struct procfs_stat st;

    for (member = search->tree->members; member != NULL; member = next) {
        next = member->by_pid.next;
        int rc = procfs_read_stat(member->pid, &st);

        if (rc == 0 && st.start_ticks == member->start_ticks && !procfs_is_dead(&st)) {
            member->pgrp = st.pgrp;
            continue;
        }
        if (rc < 0 && !proctree_is_out_of_sight(rc)) {
            search->tree->err = rc;
            continue;
        }
        HASH_DELETE(by_pid, search->tree->members, member);
        free(member);
    }
}

/* ---- in its cgroup ---- */

struct members {
    struct search *search;
    struct stranger *items; /* in ascending order */
    size_t n;
};

static bool read_member(void *ctx, pid_t pid)
{
    struct members *members = ctx;
    struct procfs_stat st;
    int rc = procfs_read_stat(pid, &st);

    if (rc < 0 && !proctree_is_out_of_sight(rc))
        members->search->tree->err = rc;
    if (rc == 0 && !procfs_is_dead(&st))
        proctree_append(&members->items, &members->n, pid, &st);
    return true;
}

static int compare_strangers(const void *a, const void *b)
{
    return procfs_compare_pids(&((const struct stranger *)a)->pid, &((const struct stranger *)b)->pid);
}

static bool add_member(void *ctx, pid_t pid)
{
    struct members *members = ctx;
    const struct search *search = members->search;
    struct stranger key = {.pid = pid};
    const struct stranger *found =
        members->n > 0 ? bsearch(&key, members->items, members->n, sizeof(key), compare_strangers) : NULL;

    /* What another leads is that one's: a control process is in the same cgroup. */
    if (found != NULL &&
        (found->st.session == search->owner->leader || !proctree_is_leader(search->look, found->st.session)))
        add(members->search, pid, &found->st);
    return true;
}

/* A number may have become a stranger's before it was looked at; who is still named in the cgroup then is the one. */
static void find_in_cgroup(struct search *search)
{
    struct members members = {.search = search};

    if (search->owner->cgroup == NULL)
        return;
    cgroup_each_member(search->owner->cgroup, read_member, &members);
    cgroup_each_member(search->owner->cgroup, add_member, &members);
    free(members.items);
}

/* ---- among our own children ---- */

static void add_child(void *ctx, pid_t pid)
{
    struct search *search = ctx;
    struct procfs_stat st;

    int rc = procfs_read_stat(pid, &st);
    if (rc < 0 && !proctree_is_out_of_sight(rc))
        search->tree->err = rc;
    if (rc < 0 || procfs_is_dead(&st))
        search->again = true;
    else
        add(search, pid, &st);
}

static void add_children_of(struct search *search, pid_t pid)
{
    int rc = procfs_each_child(pid, add_child, search);

    if (rc == -ESRCH)
        search->again = true;
    else if (rc < 0)
        search->tree->err = rc;
}

static void add_orphans(struct search *search)
{
    struct proctree_look *look = search->look;

    if (look->orphans_err < 0)
        search->tree->err = look->orphans_err;
    for (struct stranger *orphan = look->orphans; orphan != NULL; orphan = orphan->by_pid.next) {
        if (belongs(search, orphan))
            add(search, orphan->pid, &orphan->st);
    }
}

static bool leader_lives(const struct search *search)
{
    struct procfs_stat st;

    if (search->session == 0 || search->owner->gone)
        return false;
    /* One that has ended, and is pinned, has no children any more. */
    return search->owner->pinned || (procfs_read_stat(search->session, &st) == 0 && !procfs_is_dead(&st));
}

static void add_known_children_of(struct search *search, pid_t pid)
{
    struct proctree_look *look = search->look;

    for (size_t i = proctree_first_child(look, pid); i < look->n_all && look->all[i].st.ppid == pid; i++)
        add(search, look->all[i].pid, &look->all[i].st);
}

static void add_children_of_leader(struct search *search)
{
    if (proctree_read_all_for_one(search->look))
        add_known_children_of(search, search->session);
    else
        add_children_of(search, search->session);
}

/* Of the leader, and of all that were added. */
static void add_descendants(struct search *search)
{
    if (leader_lives(search))
        add_children_of_leader(search);
    /* Whoever is added comes last, so its children are looked for too. */
    for (struct proctree_member *m = search->tree->members; m != NULL; m = m->by_pid.next)
        add_children_of(search, m->pid);
}

static void find_below_us(struct search *search)
{
    if (!search->look->have_orphans && !(leader_lives(search) && proctree_read_orphans_with_all(search->look)))
        proctree_read_orphans(search->look);
    for (int i = 0; i < PROCTREE_ROUNDS_MAX; i++) {
        search->again = false;
        add_orphans(search);
        add_descendants(search);
        if (!search->again || !proctree_read_orphans(search->look))
            return;
    }
    search->tree->err = -EAGAIN;
}

/* ---- in all of /proc ---- */

static void find_anywhere(struct search *search)
{
    struct proctree_look *look = search->look;

    if (proctree_read_all(look) < 0)
        search->tree->err = look->all_err;
    for (size_t i = 0; i < look->n_all; i++) {
        if (look->all[i].pid != look->self && belongs(search, &look->all[i]))
            add(search, look->all[i].pid, &look->all[i].st);
    }
    if (search->session > 0)
        add_known_children_of(search, search->session);
    for (struct proctree_member *m = search->tree->members; m != NULL; m = m->by_pid.next)
        add_known_children_of(search, m->pid);
}

/* Where its leader has ended only our children are left to be looked at, and there is none that we do not know. */
static bool is_alone(struct proctree_look *look, const struct proctree_owner *owner, const struct proctree *tree)
{
    if (!owner->ours || !owner->gone || owner->cgroup != NULL || tree->members != NULL || force_scan)
        return false;
    if (!look->have_orphans)
        proctree_read_orphans(look);
    return look->orphans == NULL && look->orphans_err == 0;
}

size_t proctree_find(struct proctree_look *look, const struct proctree_owner *owner, struct proctree *tree)
{
    bool scan = force_scan || (!owner->ours && owner->cgroup == NULL);

    tree->err = 0;
    if (is_alone(look, owner, tree))
        return 0;
    struct search search = {.look = look, .owner = owner, .tree = tree, .session = session_of(owner)};
    keep_living(&search);
    find_in_cgroup(&search);
    if (owner->ours && !scan)
        find_below_us(&search);
    else if (!scan)
        add_descendants(&search);
    if (scan || tree->err == -ENOSYS) {
        tree->err = 0;
        find_anywhere(&search);
    }
    return HASH_CNT(by_pid, tree->members);
}
