/* SPDX-License-Identifier: MIT */
#include "os/proctree_look.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/slab.h"

#define KTHREADD 2 /* the parent of the kernel's own threads */

/*
 * To read all that are there is worth while once so many have asked for their children; and it may cost so many times
 * what it costs to pass over a leader for each of them, which is what it would cost to ask for them one by one.  To read
 * what a stranger is costs as much as to pass over so many leaders.
 */
#define ASKED_MIN 16
#define WORTH_OF_ONE 32
#define COST_OF_STRANGER 8

static struct slab slab_of_looks = SLAB_OF(struct proctree_look);

bool proctree_is_out_of_sight(int rc)
{
    return rc == -ESRCH || rc == -EACCES || rc == -EPERM;
}

bool proctree_is_leader(const struct proctree_look *look, pid_t pid)
{
    return look->is_leader(look->ctx, pid);
}

bool proctree_is_in_our_session(struct proctree_look *look, pid_t session)
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
    look->asked_for_all = ASKED_MIN;
    return look;
}

void proctree_look_expect(struct proctree_look *look, size_t n)
{
    look->asked += n;
}

bool proctree_look_has_all(const struct proctree_look *look)
{
    return look != NULL && look->have_all;
}

static void free_all(struct proctree_look *look)
{
    for (size_t i = 0; i < look->n_all; i++)
        free(look->all[i].service);
    free(look->all);
    look->all = NULL;
    look->n_all = 0;
    look->all_err = 0;
    look->all_torn = false;
    look->have_all = false;
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
    free_all(look);
    slab_free(&slab_of_looks, look);
}

static void add_orphan(struct proctree_look *look, pid_t pid, const struct procfs_stat *st)
{
    struct stranger *orphan = xcalloc(1, sizeof(*orphan));

    orphan->pid = pid;
    orphan->st = *st;
    HASH_ADD(by_pid, look->orphans, pid, sizeof(orphan->pid), orphan);
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
    if (orphan != NULL || proctree_is_leader(look, pid))
        return;
    int rc = procfs_read_stat(pid, &st);
    if (rc < 0) {
        if (!proctree_is_out_of_sight(rc))
            look->orphans_err = rc;
        return;
    }
    add_orphan(look, pid, &st);
    /* What it had below it was handed to us before it was a zombie: perhaps after we had asked. */
    reading->again = reading->again || procfs_is_dead(&st);
}

bool proctree_read_orphans(struct proctree_look *look)
{
    struct reading reading = {.look = look, .again = true};
    unsigned known = HASH_CNT(by_pid, look->orphans);

    look->have_orphans = true;
    look->orphans_err = 0;
    for (int i = 0; reading.again && look->orphans_err == 0; i++) {
        reading.again = false;
        int rc = i == PROCTREE_ROUNDS_MAX ? -EAGAIN : procfs_each_child(look->self, read_orphan, &reading);
        if (rc < 0)
            look->orphans_err = rc;
    }
    return HASH_CNT(by_pid, look->orphans) > known;
}

void proctree_append(struct stranger **items, size_t *n, pid_t pid, const struct procfs_stat *st)
{
    if ((*n & (*n - 1)) == 0)
        *items = xreallocarray(*items, *n == 0 ? 1 : 2 * *n, sizeof(**items));
    (*items)[(*n)++] = (struct stranger){.pid = pid, .st = *st};
}

struct reading_all {
    struct proctree_look *look;
    size_t cost; /* what may still be paid for it, in leaders passed over */
    bool given_up;
    pid_t *ended;
    size_t n_ended;
};

static void add_ended(struct reading_all *reading, pid_t pid)
{
    reading->ended = xreallocarray(reading->ended, reading->n_ended + 1, sizeof(*reading->ended));
    reading->ended[reading->n_ended++] = pid;
}

static bool is_torn(const struct reading_all *reading)
{
    const struct proctree_look *look = reading->look;

    for (size_t i = 0; i < reading->n_ended; i++) {
        size_t child = proctree_first_child(look, reading->ended[i]);

        if (child < look->n_all && look->all[child].st.ppid == reading->ended[i])
            return true;
    }
    return false;
}

static bool can_pay(struct reading_all *reading, size_t cost)
{
    reading->given_up = reading->cost < cost;
    reading->cost -= reading->given_up ? 0 : cost;
    return !reading->given_up;
}

static bool read_any(void *ctx, pid_t pid)
{
    struct reading_all *reading = ctx;
    struct proctree_look *look = reading->look;
    struct procfs_stat st;

    /* A leader is nobody's but its own service's, and known. */
    if (proctree_is_leader(look, pid))
        return can_pay(reading, 1);
    if (!can_pay(reading, COST_OF_STRANGER))
        return false;
    int rc = procfs_read_stat(pid, &st);
    if (rc < 0 && !proctree_is_out_of_sight(rc))
        look->all_err = rc;
    if (rc == -ESRCH || (rc == 0 && procfs_is_dead(&st)))
        add_ended(reading, pid);
    if (rc < 0 || procfs_is_dead(&st) || pid == KTHREADD || st.ppid == KTHREADD)
        return true;
    proctree_append(&look->all, &look->n_all, pid, &st);
    return true;
}

static int compare_parents(const void *a, const void *b)
{
    return procfs_compare_pids(&((const struct stranger *)a)->st.ppid, &((const struct stranger *)b)->st.ppid);
}

/* All are read; procfs_each() has returned RC. */
static void take_all(struct reading_all *reading, int rc)
{
    struct proctree_look *look = reading->look;

    look->have_all = true;
    if (rc < 0)
        look->all_err = rc;
    if (look->n_all > 0)
        qsort(look->all, look->n_all, sizeof(*look->all), compare_parents);
    look->all_torn = is_torn(reading);
}

/* False: it would have cost more than COST. */
static bool read_all(struct proctree_look *look, size_t cost)
{
    struct reading_all reading = {.look = look, .cost = cost};
    int rc = procfs_each(read_any, &reading);

    if (reading.given_up)
        free_all(look);
    else
        take_all(&reading, rc);
    free(reading.ended);
    return look->have_all;
}

int proctree_read_all(struct proctree_look *look)
{
    if (!look->have_all)
        read_all(look, SIZE_MAX);
    return look->all_err;
}

bool proctree_read_all_for_one(struct proctree_look *look)
{
    if (look->have_all)
        return look->all_err == 0;
    if (++look->asked < look->asked_for_all)
        return false;
    look->asked_for_all = 2 * look->asked;
    return read_all(look, WORTH_OF_ONE * look->asked) && look->all_err == 0;
}

bool proctree_read_orphans_with_all(struct proctree_look *look)
{
    if (look->asked < look->asked_for_all || !proctree_read_all_for_one(look) || look->all_torn)
        return false;
    look->have_orphans = true;
    for (size_t i = proctree_first_child(look, look->self); i < look->n_all && look->all[i].st.ppid == look->self; i++)
        add_orphan(look, look->all[i].pid, &look->all[i].st);
    return true;
}

size_t proctree_first_child(const struct proctree_look *look, pid_t parent)
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
