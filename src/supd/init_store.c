/* SPDX-License-Identifier: MIT */
#include "supd/init_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/ancillary.h"
#include "os/keptfd.h"

#define FIRST_FD 3       /* SD_LISTEN_FDS_START */
#define NAMES_MAX 120000 /* bytes of LISTEN_FDNAMES: one string of an environment has 128 KiB at most */
#define NAME_MAX_LEN 255 /* of one FDNAME */
#define UNNAMED "stored"

struct stored {
    char *name;
    int fd;
    bool poll;
    dev_t dev; /* which cost nobody a call: only what has the same two may be the same */
    ino_t ino;
};

struct init_store {
    int socket;
    char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    struct stored *items;
    size_t n;
    size_t names_len; /* of all names, a separator each */
};

/* What one message asks for. */
struct request {
    bool store;
    bool remove;
    bool poll;
    char name[NAME_MAX_LEN + 1]; /* "": none, or one that is not valid */
};

struct init_store *init_store_new(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    socklen_t len = sizeof addr;
    int on = 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return NULL;
    /* An address of the family alone lets the kernel choose an abstract one: it leaves no file behind. */
    if (bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
        close(fd);
        return NULL;
    }
    struct init_store *store = xcalloc(1, sizeof *store);
    store->socket = fd;
    store->address[0] = '@';
    memcpy(store->address + 1, addr.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
    return store;
}

const char *init_store_address(const struct init_store *store)
{
    return store->address;
}

int init_store_socket(const struct init_store *store)
{
    return store->socket;
}

/* ---- what is kept ---- */

static void drop(struct init_store *store, size_t i)
{
    store->names_len -= strlen(store->items[i].name) + 1;
    close(store->items[i].fd);
    free(store->items[i].name);
    store->n--;
    memmove(&store->items[i], &store->items[i + 1], (store->n - i) * sizeof *store->items);
}

static void remove_named(struct init_store *store, const char *name)
{
    for (size_t i = store->n; i-- > 0;) {
        if (strcmp(store->items[i].name, name) == 0)
            drop(store, i);
    }
}

/* Where the kernel does not tell, it is not known. */
static bool is_kept(const struct init_store *store, const struct stored *item)
{
    for (size_t i = 0; i < store->n; i++) {
        const struct stored *other = &store->items[i];

        if (other->ino == item->ino && other->dev == item->dev && keptfd_same(other->fd, item->fd))
            return true;
    }
    return false;
}

/* Takes FD over. */
static void keep(struct init_store *store, int fd, const struct request *request)
{
    const char *name = request->name[0] ? request->name : UNNAMED;
    struct stored item = {.fd = fd, .poll = request->poll};
    struct stat st;

    if (fstat(fd, &st) == 0) {
        item.dev = st.st_dev;
        item.ino = st.st_ino;
    }
    if (is_kept(store, &item)) {
        close(fd);
        return;
    }
    if (store->names_len + strlen(name) + 1 > NAMES_MAX) {
        log_warning("the store of descriptors is full: \"%s\" is not kept", name);
        close(fd);
        return;
    }
    store->items = xreallocarray(store->items, store->n + 1, sizeof *store->items);
    item.name = xstrdup(name);
    store->items[store->n++] = item;
    store->names_len += strlen(name) + 1;
}

void init_store_free(struct init_store *store)
{
    while (store->n > 0)
        drop(store, store->n - 1);
    free(store->items);
    close(store->socket);
    free(store);
}

/* ---- messages ---- */

static bool name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_LEN)
        return false;
    for (; *name; name++) {
        if (*name < ' ' || *name > '~' || *name == ':')
            return false;
    }
    return true;
}

static struct request parse(const char *text)
{
    struct request request = {.poll = true};

    for (const char *line = text; *line;) {
        int len = (int)strcspn(line, "\n");
        char *copy = xasprintf("%.*s", len, line);

        if (strcmp(copy, "FDSTORE=1") == 0)
            request.store = true;
        else if (strcmp(copy, "FDSTOREREMOVE=1") == 0)
            request.remove = true;
        else if (strcmp(copy, "FDPOLL=0") == 0)
            request.poll = false;
        else if (strncmp(copy, "FDNAME=", 7) == 0 && name_valid(copy + 7))
            snprintf(request.name, sizeof request.name, "%s", copy + 7);
        free(copy);
        line += len;
        line += *line == '\n';
    }
    return request;
}

static void obey(struct init_store *store, const struct request *request, struct ancillary *along)
{
    if (request->store) {
        for (size_t i = 0; i < along->n_fds; i++)
            keep(store, along->fds[i], request);
        along->n_fds = 0;
    } else if (request->name[0]) {
        remove_named(store, request->name);
    }
}

int init_store_receive(struct init_store *store, pid_t sender, char text[INIT_STORE_MESSAGE_MAX])
{
    union ancillary_room control;
    struct iovec iov = {.iov_base = text, .iov_len = INIT_STORE_MESSAGE_MAX - 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
    struct ancillary along;
    ssize_t len = recvmsg(store->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int answer = -1;

    if (len < 0)
        return errno == EAGAIN ? 0 : -1;
    text[len] = '\0';
    ancillary_read(&msg, &along);
    if (msg.msg_flags & MSG_CTRUNC)
        log_warning("descriptors to be kept did not arrive: too many are open");
    if (along.pid == sender && !(msg.msg_flags & MSG_TRUNC)) {
        struct request request = parse(text);

        if (request.store || request.remove)
            obey(store, &request, &along);
        else
            answer = 1;
    }
    ancillary_close(&along);
    return answer;
}

/* ---- ends ---- */

size_t init_store_poll(const struct init_store *store, struct pollfd *fds, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < store->n && n < max; i++) {
        if (store->items[i].poll)
            fds[n++] = (struct pollfd){.fd = store->items[i].fd}; /* no events: errors and hang-ups are told anyway */
    }
    return n;
}

static void drop_fd(struct init_store *store, int fd)
{
    for (size_t i = 0; i < store->n; i++) {
        if (store->items[i].fd == fd) {
            drop(store, i);
            return;
        }
    }
}

void init_store_polled(struct init_store *store, const struct pollfd *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL))
            drop_fd(store, fds[i].fd);
    }
}

/* ---- handing over ---- */

static int by_fd(const void *a, const void *b)
{
    const struct stored *x = a;
    const struct stored *y = b;

    return (x->fd > y->fd) - (x->fd < y->fd);
}

/*
 * In the order of their numbers, so that where one is to come none lies that has not had its turn; and one is gone before
 * the next comes, since there may be no room for two of each.
 */
static bool put_in_place(struct init_store *store)
{
    qsort(store->items, store->n, sizeof *store->items, by_fd);
    for (size_t i = 0; i < store->n; i++) {
        int from = store->items[i].fd;
        int to = FIRST_FD + (int)i;

        if (from == to && fcntl(from, F_SETFD, 0) < 0)
            return false;
        if (from == to)
            continue;
        if (dup2(from, to) < 0)
            return false;
        close(from);
    }
    return true;
}

bool init_store_hand_over(struct init_store *store)
{
    char number[16];

    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (store->n == 0)
        return true;
    if (!put_in_place(store))
        return false;

    char *names = xmalloc(store->names_len + 1);
    char *end = names;
    for (size_t i = 0; i < store->n; i++)
        end += sprintf(end, "%s%s", i > 0 ? ":" : "", store->items[i].name);
    setenv("LISTEN_FDNAMES", names, 1);
    free(names);
    snprintf(number, sizeof number, "%zu", store->n);
    setenv("LISTEN_FDS", number, 1);
    snprintf(number, sizeof number, "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
    return true;
}
