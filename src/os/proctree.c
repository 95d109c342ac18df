/* SPDX-License-Identifier: MIT */
#include "os/proctree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/slab.h"
#include "os/cgroup.h"
#include "os/procfs.h"

#define KTHREADD 2    /* the parent of the kernel's own threads */
#define ROUNDS_MAX 64 /* a tree whose processes end faster than they are read does not hold the loop */

/* How often, and after how long each time, one that is ending is looked at again. */
#define END_LOOKS 20
#define END_PAUSE_NS 100000

/* A process that nobody knows by its number or session. */
struct stranger {
    pid_t pid;
    struct procfs_stat st;
    bool asked;    /* its environment was read */
    bool unknown;  /* it could not be: it stands amid its exec */
    bool ended;    /* it could not be: it has ended since it was seen */
    char *service; /* whose it says to be; NULL: nobody's of ours */
    pid_t exec_pid;
    UT_hash_handle by_pid;
};

struct proctree_look {
    const char *instance;
    proctree_is_leader_fn is_leader;
    void *ctx;
    pid_t self;
    pid_t own_session;        /* 0: not asked yet */
    struct stranger *orphans; /* our children that nobody knows */
    int orphans_err;
    bool have_orphans;
    struct stranger *all; /* the whole of /proc, sorted by parent */
    size_t n_all;
    int all_err;
    bool have_all;
};

struct search {
    struct proctree_look *look;
    const struct proctree_owner *owner;
    struct proctree *tree;
    pid_t session; /* 0: none of that number can be its */
    bool again;    /* one has ended while it was looked at: its children have come to us meanwhile */
};

static bool force_scan;
static struct slab slab_of_looks = SLAB_OF(struct proctree_look);

void proctree_force_scan(bool on)
{
    force_scan = on;
}

/* It has ended; or /proc is mounted with hidepid and it is another user's, then it is none of ours. */
static bool is_out_of_sight(int rc)
{
    return rc == -ESRCH || rc == -EACCES || rc == -EPERM;
}

/* ---- the look ---- */

static int compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a;
    pid_t y = *(const pid_t *)b;

    return (x > y) - (x < y);
}

static bool is_leader(const struct proctree_look *look, pid_t pid)
{
    return look->is_leader(look->ctx, pid);
}

static bool is_in_our_session(struct proctree_look *look, pid_t session)
{
    if (look->own_session == 0)
        look->own_session = getsid(0);
    return session == look->own_session;
}

struct proctree_look *proctree_look_new(const char *instance, proctree_is_leader_fn is_leader_fn, void *ctx)
{
    struct proctree_look *look = slab_new(&slab_of_looks);

    look->instance = instance;
    look->is_leader = is_leader_fn;
    look->ctx = ctx;
    look->self = getpid();
    return look;
}

void proctree_look_free(struct proctree_look *look)
{
    struct stranger *stranger;
    struct stranger *tmp;

    if (look == NULL)
        return;
    HASH_ITER(by_pid, look->orphans, stranger, tmp)
    {
        HASH_DELETE(by_pid, look->orphans, stranger);
        free(stranger->service);
        free(stranger);
    }
    for (size_t i = 0; i < look->n_all; i++)
        free(look->all[i].service);
    free(look->all);
    slab_free(&slab_of_looks, look);
}

struct reading {
    struct proctree_look *look;
    bool again;
};

static void read_orphan(void *ctx, pid_t pid)
{
    struct reading *reading = ctx;
    struct proctree_look *look = reading->look;
    struct stranger *orphan;
    struct procfs_stat st;

    HASH_FIND(by_pid, look->orphans, &pid, sizeof(pid), orphan);
    if (orphan != NULL || is_leader(look, pid))
        return;
    int rc = procfs_read_stat(pid, &st);
    if (rc < 0) {
        if (!is_out_of_sight(rc))
            look->orphans_err = rc;
        return;
    }
    orphan = xcalloc(1, sizeof(*orphan));
    orphan->pid = pid;
    orphan->st = st;
    HASH_ADD(by_pid, look->orphans, pid, sizeof(orphan->pid), orphan);
    /* What it had below it was handed to us before it was a zombie: perhaps after we had asked. */
    reading->again = reading->again || procfs_is_dead(&st);
}

/* Were there any that had not been read before? */
static bool read_orphans(struct proctree_look *look)
{
    struct reading reading = {.look = look, .again = true};
    unsigned known = HASH_CNT(by_pid, look->orphans);

    look->have_orphans = true;
    look->orphans_err = 0;
    for (int i = 0; reading.again && look->orphans_err == 0; i++) {
        reading.again = false;
        int rc = i == ROUNDS_MAX ? -EAGAIN : procfs_each_child(look->self, read_orphan, &reading);
        if (rc < 0)
            look->orphans_err = rc;
    }
    return HASH_CNT(by_pid, look->orphans) > known;
}

static void append(struct stranger **items, size_t *n, pid_t pid, const struct procfs_stat *st)
{
    if ((*n & (*n - 1)) == 0)
        *items = xreallocarray(*items, *n == 0 ? 1 : 2 * *n, sizeof(**items));
    (*items)[(*n)++] = (struct stranger){.pid = pid, .st = *st};
}

static bool read_any(void *ctx, pid_t pid)
{
    struct proctree_look *look = ctx;
    struct procfs_stat st;

    int rc = procfs_read_stat(pid, &st);
    if (rc < 0 && !is_out_of_sight(rc))
        look->all_err = rc;
    if (rc < 0 || procfs_is_dead(&st) || pid == KTHREADD || st.ppid == KTHREADD)
        return true;
    append(&look->all, &look->n_all, pid, &st);
    return true;
}

static int compare_parents(const void *a, const void *b)
{
    return compare_pids(&((const struct stranger *)a)->st.ppid, &((const struct stranger *)b)->st.ppid);
}

static int read_all(struct proctree_look *look)
{
    if (look->have_all)
        return look->all_err;
    look->have_all = true;
    int rc = procfs_each(read_any, look);
    if (rc < 0)
        look->all_err = rc;
    if (look->n_all > 0)
        qsort(look->all, look->n_all, sizeof(*look->all), compare_parents);
    return look->all_err;
}

/* The first in look->all whose parent is PARENT or more. */
static size_t first_child(const struct proctree_look *look, pid_t parent)
{
    size_t low = 0;
    size_t high = look->n_all;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (look->all[middle].st.ppid < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- who is one of them? ---- */

/* Who is ending has no environment any more, and keeps its children until it has: it is waited for, a few ms at most. */
static bool has_ended(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = END_PAUSE_NS};
    struct procfs_stat st;

    for (int i = 0; i < END_LOOKS; i++) {
        int rc = procfs_read_stat(pid, &st);

        if (rc < 0)
            return rc == -ESRCH;
        if (procfs_is_dead(&st))
            return true;
        if (!st.exiting || st.state == 'Z')
            return false;
        nanosleep(&pause, NULL);
    }
    return false;
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
        stranger->ended = !stranger->unknown && has_ended(stranger->pid);
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
    if (stranger->exec_pid != owner->leader && (owner->alone || is_leader(search->look, stranger->exec_pid)))
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
    if (is_in_our_session(search->look, session) || is_leader(search->look, session))
        return false;
    return says_so(search, stranger);
}

static void add(struct search *search, pid_t pid, const struct procfs_stat *st)
{
    struct proctree_member *member;

    if (pid == search->look->self || pid == search->owner->leader || is_leader(search->look, pid))
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
        if (rc < 0 && !is_out_of_sight(rc)) {
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

    if (rc < 0 && !is_out_of_sight(rc))
        members->search->tree->err = rc;
    if (rc == 0 && !procfs_is_dead(&st))
        append(&members->items, &members->n, pid, &st);
    return true;
}

static int compare_strangers(const void *a, const void *b)
{
    return compare_pids(&((const struct stranger *)a)->pid, &((const struct stranger *)b)->pid);
}

static bool add_member(void *ctx, pid_t pid)
{
    struct members *members = ctx;
    const struct search *search = members->search;
    struct stranger key = {.pid = pid};
    const struct stranger *found =
        members->n > 0 ? bsearch(&key, members->items, members->n, sizeof(key), compare_strangers) : NULL;

    /* What another leads is that one's: a control process is in the same cgroup. */
    if (found != NULL && (found->st.session == search->owner->leader || !is_leader(search->look, found->st.session)))
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
    if (rc < 0 && !is_out_of_sight(rc))
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

/* Of the leader, and of all that were added. */
static void add_descendants(struct search *search)
{
    if (leader_lives(search))
        add_children_of(search, search->session);
    /* Whoever is added comes last, so its children are looked for too. */
    for (struct proctree_member *m = search->tree->members; m != NULL; m = m->by_pid.next)
        add_children_of(search, m->pid);
}

static void find_below_us(struct search *search)
{
    if (!search->look->have_orphans)
        read_orphans(search->look);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        search->again = false;
        add_orphans(search);
        add_descendants(search);
        if (!search->again || !read_orphans(search->look))
            return;
    }
    search->tree->err = -EAGAIN;
}

/* ---- in all of /proc ---- */

static void add_known_children_of(struct search *search, pid_t pid)
{
    struct proctree_look *look = search->look;

    for (size_t i = first_child(look, pid); i < look->n_all && look->all[i].st.ppid == pid; i++)
        add(search, look->all[i].pid, &look->all[i].st);
}

static void find_anywhere(struct search *search)
{
    struct proctree_look *look = search->look;

    if (read_all(look) < 0)
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
        read_orphans(look);
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
