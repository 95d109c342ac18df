/* SPDX-License-Identifier: MIT */
/* systemd's part with its fd store, sd_notify(3) and sd_listen_fds(3), for one supd after another. */
#include "bench/drive.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/board.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define NAME_MAX_LEN 32

struct store {
    int socket;
    unsigned most;
    unsigned n; /* descriptors from FIRST_FD on */
    char *names;
    bool ready; /* READY=1 has come */
};

/* Where what is stored will not come to lie, so that it lies where it has to be handed over. */
static int out_of_the_way(int fd, unsigned most)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)most);

    if (moved == -1)
        drive_fail("a descriptor for each worker");
    close(fd);
    return moved;
}

static void open_store(struct store *store, unsigned most)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);
    char text[sizeof(address.sun_path) + 1] = "@";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* An address of the family alone lets the kernel choose an abstract one. */
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        drive_fail("the socket for notifications");
    memcpy(text + 1, address.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
    setenv("NOTIFY_SOCKET", text, 1);
    store->socket = out_of_the_way(fd, most);
    store->most = most;
    store->names = calloc(most, NAME_MAX_LEN);
    if (store->names == NULL)
        drive_fail("calloc");
}

static void keep(struct store *store, const char *message, int fd)
{
    char *name = store->names + (size_t)store->n * NAME_MAX_LEN;

    if (store->n == store->most || fd != FIRST_FD + (int)store->n ||
        sscanf(message, "FDSTORE=1\nFDNAME=%31s", name) != 1) {
        fprintf(stderr, "drive: more is stored than a descriptor for each worker, as %d: %s\n", fd, message);
        exit(1);
    }
    store->n++;
}

/* One message, which is waited for. */
static void receive(struct store *store)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char text[4096];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
    struct pollfd come = {.fd = store->socket, .events = POLLIN};

    if (poll(&come, 1, (int)(DRIVE_PATIENCE / 1000000)) != 1) {
        fprintf(stderr, "drive: %u descriptors were stored, and no more come\n", store->n);
        exit(1);
    }
    ssize_t len = recvmsg(store->socket, &msg, MSG_CMSG_CLOEXEC);
    if (len == -1)
        drive_fail("recvmsg");
    text[len] = '\0';
    store->ready = store->ready || strncmp(text, "READY=1", 7) == 0;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg != NULL) {
        int fd;

        memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
        keep(store, text, fd);
    }
}

/* In the child, before its exec. */
static void hand_over(void *ctx)
{
    const struct store *store = ctx;
    char *names = calloc(store->n, NAME_MAX_LEN + 1);
    char number[16];

    if (names == NULL)
        drive_fail("calloc");
    for (unsigned i = 0, at = 0; i < store->n; i++) {
        at += (unsigned)sprintf(names + at, "%s%s", i > 0 ? ":" : "", store->names + (size_t)i * NAME_MAX_LEN);
        fcntl(FIRST_FD + (int)i, F_SETFD, 0);
    }
    setenv("LISTEN_FDNAMES", names, 1);
    snprintf(number, sizeof(number), "%u", store->n);
    setenv("LISTEN_FDS", number, 1);
    snprintf(number, sizeof(number), "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
}

int drive_stored(int argc, char **argv)
{
    struct store store = {0};

    if (argc < 4)
        return 2;
    struct board *board = board_open(argv[2]);
    if (board == NULL)
        drive_fail(argv[2]);
    open_store(&store, board->n_slots);
    atomic_store(&board->began, board_now());
    pid_t pid = drive_run(argv + 3, NULL, NULL);
    while (store.n < store.most || atomic_load(&board->arrived) < board->n_slots)
        receive(&store);
    kill(pid, SIGKILL);
    if (waitpid(pid, NULL, 0) != pid)
        drive_fail("waitpid");

    unsigned kept = store.n;
    store.ready = false;
    drive_come_back(argv[0], argv[1], argv + 3, hand_over, &store);
    /* One that was not taken out of the store would be stored anew. */
    while (!store.ready)
        receive(&store);
    return store.n == kept ? 0 : 1;
}
