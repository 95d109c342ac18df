/* SPDX-License-Identifier: MIT */
/*
 * bare vfork|fork BOARD N WORKER [MIN MAX]: the bare loop, what a supervisor without any duty would cost.
 *
 * It starts N workers by posix_spawn(3), or by fork(2) and execv(3), and starts each again that ends.  SIGTERM ends
 * all of them and then it.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct slot {
    volatile sig_atomic_t pid; /* 0: none */
    char argument[320];
};

/* By pid, open addressing: where of a slot stands. */
struct table {
    unsigned mask;
    struct place {
        pid_t pid; /* 0: free; -1: was used */
        unsigned slot;
    } * places;
};

static struct slot *slots;
static unsigned n_slots;
static volatile sig_atomic_t stopping;

static void fail(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_term(int signo)
{
    (void)signo;
    stopping = 1;
    for (unsigned i = 0; i < n_slots; i++) {
        if (slots[i].pid > 0)
            kill(slots[i].pid, SIGTERM);
    }
}

static void table_put(struct table *table, pid_t pid, unsigned slot)
{
    unsigned i = (unsigned)pid & table->mask;

    while (table->places[i].pid > 0)
        i = (i + 1) & table->mask;
    table->places[i] = (struct place){.pid = pid, .slot = slot};
}

/* False: it is none of ours. */
static bool table_take(struct table *table, pid_t pid, unsigned *slot)
{
    unsigned i = (unsigned)pid & table->mask;

    while (table->places[i].pid != pid) {
        if (table->places[i].pid == 0)
            return false;
        i = (i + 1) & table->mask;
    }
    *slot = table->places[i].slot;
    table->places[i].pid = -1;
    /* What nobody has to be looked for behind is free again. */
    while (table->places[(i + 1) & table->mask].pid == 0 && table->places[i].pid == -1) {
        table->places[i].pid = 0;
        i = (i - 1) & table->mask;
    }
    return true;
}

static pid_t start_vfork(char **argv)
{
    pid_t pid;

    errno = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    return errno == 0 ? pid : -1;
}

static pid_t start_fork(char **argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static void start(struct table *table, unsigned i, char *worker, pid_t (*start_one)(char **argv))
{
    char *argv[] = {worker, slots[i].argument, NULL};
    pid_t pid = start_one(argv);

    if (pid == -1)
        fail("starting a worker");
    slots[i].pid = pid;
    table_put(table, pid, i);
    if (stopping) /* the signal came in between, and did not see it */
        kill(pid, SIGTERM);
}

static void keep_up(struct table *table, char *worker, pid_t (*start_one)(char **argv))
{
    for (;;) {
        unsigned i;
        pid_t pid = waitpid(-1, NULL, 0);

        if (pid == -1 && errno == EINTR)
            continue;
        if (pid == -1)
            return;
        if (!table_take(table, pid, &i))
            continue;
        slots[i].pid = 0;
        if (!stopping)
            start(table, i, worker, start_one);
    }
}

int main(int argc, char **argv)
{
    struct table table = {.mask = 255};
    struct sigaction term = {.sa_handler = on_term};

    if (argc != 5 && argc != 7) {
        fprintf(stderr, "usage: bare vfork|fork BOARD N WORKER [MIN MAX]\n");
        return 2;
    }
    pid_t (*start_one)(char **) = strcmp(argv[1], "vfork") == 0 ? start_vfork : start_fork;
    n_slots = (unsigned)strtoul(argv[3], NULL, 10);
    slots = calloc(n_slots, sizeof(*slots));
    while (table.mask < 4 * n_slots)
        table.mask = 2 * table.mask + 1;
    table.places = calloc(table.mask + 1, sizeof(*table.places));
    if (slots == NULL || table.places == NULL)
        fail("calloc");
    for (unsigned i = 0; i < n_slots; i++) {
        int len = snprintf(slots[i].argument, sizeof(slots[i].argument), "%s:%u", argv[2], i);
        if (argc == 7)
            snprintf(slots[i].argument + len, sizeof(slots[i].argument) - (size_t)len, ":%s:%s", argv[5], argv[6]);
    }
    sigaction(SIGTERM, &term, NULL);
    for (unsigned i = 0; i < n_slots && !stopping; i++)
        start(&table, i, argv[4], start_one);
    keep_up(&table, argv[4], start_one);
    return 0;
}
