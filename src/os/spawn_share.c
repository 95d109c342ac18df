/* SPDX-License-Identifier: MIT */
#include "os/spawn_share.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/spawn_child.h"

/* With so many, a thousand services that start at once on two processors hardly ever find all of them in use. */
#define ROOMS 32
/* Where more than so many had to be made, only a few are kept: in a burst they are made faster than they are filled. */
#define ROOMS_MANY 4
#define ROOMS_FEW 2
#define STACK_SIZE (64 * 1024)

/* What the child reads, and its stack: one that grows too far spoils what is its own.  Of whole pages, most of them 4 KiB. */
struct room {
    _Alignas(4096) struct spawn_pack pack;
    _Alignas(16) char stack[STACK_SIZE];
};

static struct {
    struct room *rooms; /* ROOMS of them, hidden from children that get a copy of our memory */
    char *storage;      /* the stacks of donors, with their thread-local storage on top of each */
    size_t storage_size;
    size_t n; /* so many have it: who finds all of those in use makes one more */
    struct donor {
        pthread_t thread;
        void *pointer;
        sem_t told;
    } donors[ROOMS];
    _Atomic pid_t used[ROOMS]; /* not 0: somebody is in there; the kernel clears it */
} share;

static enum { UNKNOWN, USABLE, UNUSABLE } state;

/*
 * Until Linux 5.16 a process that dumps its core ends all that share its memory.  Sanitizers keep a shadow of each
 * stack, and what they note for a thread is not there for a process of ours.
 */
static bool is_safe_here(void)
{
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__SANITIZE_ADDRESS__)
    return kernel_is_at_least(5, 16);
#else
    return false;
#endif
}

/* By valgrind, of which later ones than Debian's know pidfds. */
static bool is_emulated(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

void spawn_share_begin(void)
{
    if (state == UNKNOWN)
        state = is_safe_here() && !is_emulated() ? USABLE : UNUSABLE;
}

void spawn_share_never(void)
{
    state = UNUSABLE;
}

/* ---- what a thread has, without the thread ---- */

static void *thread_pointer(void)
{
#ifdef __x86_64__
    return (void *)pthread_self(); /* its first word points to itself: the ABI of thread-local storage */
#else
    return __builtin_thread_pointer();
#endif
}

/* Ends without a word to the C library, which therefore keeps what it has made for this thread until that is joined. */
static void *donate(void *arg)
{
    struct donor *donor = arg;

    donor->pointer = thread_pointer();
    sem_post(&donor->told);
    syscall(SYS_exit, 0);
    return NULL; /* which is not reached */
}

/* DONOR gets the thread pointer of a thread that has ended, whose stack of SIZE bytes was STACK.  False: none could be made. */
static bool make_donor(struct donor *donor, char *stack, size_t size)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    sem_init(&donor->told, 0, 0);
    sigfillset(&all); /* no handler of ours runs there */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_attr_setstack(&attributes, stack, size) == 0 &&
                pthread_create(&donor->thread, &attributes, donate, donor) == 0;
    while (made && sem_wait(&donor->told) == -1)
        continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sem_destroy(&donor->told);
    pthread_attr_destroy(&attributes);
    return made;
}

/* ---- rooms ---- */

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

/* In two pieces, whatever their number: each mapping more makes a fork dearer.  fork(3) looks at the storage of threads. */
static bool map_rooms(void)
{
    size_t size = ROOMS * sizeof(struct room);

    share.storage_size = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    share.rooms = map(size);
    share.storage = map(ROOMS * share.storage_size);
    if (share.rooms != NULL && share.storage != NULL && madvise(share.rooms, size, MADV_DONTFORK) == 0)
        return true;
    if (share.rooms != NULL)
        munmap(share.rooms, size);
    if (share.storage != NULL)
        munmap(share.storage, ROOMS * share.storage_size);
    return false;
}

static char *storage_of(size_t i)
{
    return share.storage + i * share.storage_size;
}

static bool make_room(void)
{
    if (!make_donor(&share.donors[share.n], storage_of(share.n), share.storage_size))
        return false;
    share.n++;
    return true;
}

struct spawn_pack *spawn_share_room(void)
{
    if (state == USABLE && share.rooms == NULL && !map_rooms())
        state = UNUSABLE;
    if (state != USABLE)
        return NULL;
    for (size_t i = 0; i < ROOMS; i++) {
        if (i == share.n && !make_room())
            return NULL;
        if (share.used[i] == 0)
            return &share.rooms[i].pack;
    }
    return NULL;
}

void spawn_share_rest(void)
{
    if (share.n <= ROOMS_MANY)
        return;
    while (share.n > ROOMS_FEW && share.used[share.n - 1] == 0) {
        size_t last = --share.n;

        pthread_join(share.donors[last].thread, NULL);
        madvise(storage_of(last), share.storage_size, MADV_DONTNEED);
        madvise(&share.rooms[last], sizeof(struct room), MADV_DONTNEED);
    }
}

bool spawn_share_allows(const struct spawn_request *req)
{
    const struct spec *spec = req->spec;
    int wanted = req->baseline->oom_score_adj;
    int current;

    /* Another user makes the memory one that may not be dumped (PR_SET_DUMPABLE, prctl(2)); where the kernel ends a
     * process because a cgroup has no memory left, it ends all that share its own; and oom_score_adj is one for all
     * of them, proc(5). */
    if (spec->exec->ids.set || spec->exec->parent_death_signal != 0 || req->cgroup_fd > 0)
        return false;
    return wanted == INT_MIN || (spawn_read_oom_score_adj(req->baseline->oom_fd, &current) && current == wanted);
}

static int run(void *arg)
{
    struct spawn_pack *pack = arg;

    spawn_child_run(&pack->request, &pack->origin, pack->report_fd);
}

pid_t spawn_share_clone(struct spawn_pack *pack, int *pidfd)
{
    struct room *room = (struct room *)((char *)pack - offsetof(struct room, pack));
    size_t i = (size_t)(room - share.rooms);
    int flags = CLONE_VM | CLONE_SETTLS | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD;

    pack->baseline.oom_score_adj = INT_MIN; /* as it has been found to be right */
    share.used[i] = 1;
    pid_t pid = clone(run, room->stack + sizeof(room->stack), flags, pack, pidfd, share.donors[i].pointer,
                      (pid_t *)&share.used[i]);
    if (pid != -1)
        return pid;
    share.used[i] = 0;
    if (errno != EAGAIN && errno != ENOMEM) { /* a sandbox that knows no such flags */
        state = UNUSABLE;
        errno = EOPNOTSUPP;
    }
    return -1;
}
