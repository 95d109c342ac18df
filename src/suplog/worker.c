/* SPDX-License-Identifier: MIT */
#include "suplog/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "suplog/fifo.h"
#include "suplog/say.h"
#include "suplog/stream.h"

#define EVENTS_MAX 64

enum order_kind { ORDER_RECOVER, ORDER_ADD, ORDER_REMOVE, ORDER_MATCH, ORDER_REOPEN, ORDER_END };

struct order {
    enum order_kind kind;
    struct page *page;
    struct log_stream stream;
    char *fifo;
    int fd; /* of the FIFO of .stream; -1: it is to be opened */
    struct worker *heir;
    struct order *next;
};

struct worker {
    const struct suplog_common *common;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next two */
    struct order *orders;
    bool ended;
    int wake; /* eventfd: there are orders */
    int epoll;
    struct desk desk;
    struct stream *streams; /* by the name of the FIFO */
    struct log_file *files; /* by path */
    struct stream *again;   /* a list by .queued_next: those that are to be run */
    struct stream **again_end;
    size_t n_waiting; /* streams whose .wake is set */
    bool ending;
};

static struct timestamp time_now(void)
{
    struct timespec mono;
    struct timespec wall;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct timestamp){mono.tv_sec * USEC_PER_SEC + mono.tv_nsec / 1000,
                              wall.tv_sec * USEC_PER_SEC + wall.tv_nsec / 1000};
}

/* ---- streams and their files ---- */

static struct stream *find_stream(struct worker *worker, const char *fifo)
{
    struct stream *stream;

    HASH_FIND_STR(worker->streams, fifo, stream);
    return stream;
}

static void leave_file(struct worker *worker, struct stream *stream)
{
    struct log_file *file = stream->file;

    stream->file = NULL;
    if (!file || --file->users > 0)
        return;
    HASH_DEL(worker->files, file);
    log_file_free(file);
}

static void use_file(struct worker *worker, struct stream *stream, struct log_file *file)
{
    file->users++;
    leave_file(worker, stream);
    stream->file = file;
}

/* The file that STREAM's path names: one that another stream has already, or a new one. */
static void choose_file(struct worker *worker, struct stream *stream)
{
    const char *path = stream->conf.path;
    struct log_file *file;

    HASH_FIND_STR(worker->files, path, file);
    if (file) {
        log_file_configure(file, &stream->conf);
    } else {
        file = log_file_new(&stream->conf);
        HASH_ADD_KEYPTR(hh, worker->files, file->path, strlen(file->path), file);
    }
    use_file(worker, stream, file);
}

/* One file can have two names.  Written through two descriptors, each would overwrite what the other has written. */
static void find_same_file(struct worker *worker, struct stream *stream)
{
    struct log_file *file = stream->file;

    if (!file || !file->fresh)
        return;
    file->fresh = false;
    for (struct log_file *other = worker->files; other; other = other->hh.next) {
        if (other != file && other->fd >= 0 && other->dev == file->dev && other->ino == file->ino) {
            use_file(worker, stream, other);
            return;
        }
    }
}

static void queue(struct worker *worker, struct stream *stream)
{
    if (stream->queued)
        return;
    stream->queued = true;
    stream->queued_next = NULL;
    *worker->again_end = stream;
    worker->again_end = &stream->queued_next;
}

/* Only now may another thread open its FIFO. */
static void pass_on(struct worker *heir, struct log_stream *conf)
{
    if (heir)
        worker_add(heir, conf, -1);
    else
        log_stream_clear(conf);
}

static void remove_stream(struct worker *worker, struct stream *stream)
{
    HASH_DEL(worker->streams, stream);
    leave_file(worker, stream);
    stream_clear(stream);
    pass_on(stream->heir, &stream->heir_conf);
    free(stream);
}

/* Takes over CONF, and the file that it names. */
static void configure(struct worker *worker, struct stream *stream, struct log_stream *conf)
{
    stream->conf = *conf;
    *conf = (struct log_stream){0};
    stream->encoded = log_stream_encode(&stream->conf);
    HASH_ADD_KEYPTR(hh, worker->streams, stream->conf.fifo, strlen(stream->conf.fifo), stream);
    if (stream->conf.kind == LOG_SINK_FILE)
        choose_file(worker, stream);
    else
        leave_file(worker, stream);
}

static struct stream *new_stream(struct worker *worker, struct log_stream *conf)
{
    struct stream *stream = xcalloc(1, sizeof *stream);

    stream->desk = &worker->desk;
    stream->fifo = -1;
    configure(worker, stream, conf);
    return stream;
}

/* FD: of the FIFO, if it is open already, else -1. */
static bool open_fifo(struct worker *worker, struct stream *stream, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = stream};

    stream->fifo = fd >= 0 ? fd : fifo_open(worker->common->dir, stream->conf.fifo, stream->conf.inode);
    if (stream->fifo < 0) {
        say(LOG_LEVEL_ERROR, "%s: log/%s: %s", stream->conf.service, stream->conf.fifo, strerror(-stream->fifo));
        return false;
    }
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, stream->fifo, &event) == 0) {
        match_attach(stream);
        return true;
    }
    say(LOG_LEVEL_ERROR, "%s: log/%s: %s", stream->conf.service, stream->conf.fifo, strerror(errno));
    close(stream->fifo);
    stream->fifo = -1;
    return false;
}

/* ---- orders ---- */

static void recover(struct worker *worker, struct page *page)
{
    struct log_stream conf;
    char err[128];

    if (!log_stream_decode(page->head->stream, &conf, err, sizeof err)) {
        say(LOG_LEVEL_ERROR, "a batch of output that was begun makes no sense and is lost: %s", err);
        page_end(page);
        page_give(worker->common->pages, page);
        return;
    }
    struct stream *stream = new_stream(worker, &conf);
    stream->page = page;
    stream->closing = true;
    queue(worker, stream);
}

/* STREAM goes on as CONF says. */
static void change(struct worker *worker, struct stream *stream, struct log_stream *conf)
{
    bool rotate = conf->rotation > stream->conf.rotation;

    HASH_DEL(worker->streams, stream);
    log_stream_clear(&stream->conf);
    free(stream->encoded);
    configure(worker, stream, conf);
    if (rotate && stream->file)
        stream->file->rotation_wanted = true;
}

static void add(struct worker *worker, struct log_stream *conf, int fd)
{
    struct stream *stream = find_stream(worker, conf->fifo);

    if (stream)
        change(worker, stream, conf);
    else
        stream = new_stream(worker, conf);
    if (stream->fifo < 0)
        stream->closing = !open_fifo(worker, stream, fd);
    else if (fd >= 0)
        close(fd);
    queue(worker, stream); /* one that is closing at once may have something to finish */
}

/* FIFO: NULL: any may be waited for. */
static void look_for_matches(struct worker *worker, const char *fifo)
{
    for (struct stream *stream = worker->streams; stream; stream = stream->hh.next) {
        if (stream->fifo < 0 || (fifo && strcmp(stream->conf.fifo, fifo) != 0))
            continue;
        match_attach(stream);
        queue(worker, stream);
    }
}

static void close_stream(struct worker *worker, struct stream *stream)
{
    stream->closing = true;
    queue(worker, stream);
}

static void carry_out(struct worker *worker, struct order *order)
{
    struct stream *stream;

    switch (order->kind) {
    case ORDER_RECOVER:
        recover(worker, order->page);
        break;
    case ORDER_ADD:
        add(worker, &order->stream, order->fd);
        break;
    case ORDER_REMOVE:
        stream = find_stream(worker, order->fifo);
        if (!stream) {
            pass_on(order->heir, &order->stream);
            break;
        }
        stream->heir = order->heir;
        log_stream_clear(&stream->heir_conf);
        stream->heir_conf = order->stream;
        order->stream = (struct log_stream){0};
        close_stream(worker, stream);
        break;
    case ORDER_MATCH:
        look_for_matches(worker, order->fifo);
        break;
    case ORDER_REOPEN:
        for (stream = worker->streams; stream; stream = stream->hh.next) {
            if (stream->file)
                log_file_close(stream->file);
        }
        break;
    case ORDER_END:
        worker->ending = true;
        for (stream = worker->streams; stream; stream = stream->hh.next)
            close_stream(worker, stream);
        break;
    }
}

static void carry_out_orders(struct worker *worker)
{
    uint64_t count;

    if (read(worker->wake, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&worker->lock);
    struct order *order = worker->orders;
    worker->orders = NULL;
    pthread_mutex_unlock(&worker->lock);
    while (order) {
        struct order *next = order->next;

        carry_out(worker, order);
        log_stream_clear(&order->stream);
        free(order->fifo);
        free(order);
        order = next;
    }
}

/* ---- the thread ---- */

static void run_stream(struct worker *worker, struct stream *stream)
{
    struct timestamp now = time_now();

    worker->n_waiting -= stream->wake > 0;
    enum stream_result result = stream_run(stream, &now);
    worker->n_waiting += stream->wake > 0;
    find_same_file(worker, stream);
    if (result == STREAM_MORE) {
        queue(worker, stream);
    } else if (stream->closing && (stream->wake == 0 || worker->ending)) {
        worker->n_waiting -= stream->wake > 0;
        remove_stream(worker, stream);
    }
}

/* Those that are queued, once each. */
static void run_queued(struct worker *worker)
{
    struct stream *stream = worker->again;

    worker->again = NULL;
    worker->again_end = &worker->again;
    while (stream) {
        struct stream *next = stream->queued_next;

        stream->queued = false;
        run_stream(worker, stream);
        stream = next;
    }
}

/* Queues those that have waited long enough. */
static void queue_due(struct worker *worker)
{
    int64_t now = worker->n_waiting > 0 ? time_now().mono : 0;

    for (struct stream *stream = worker->n_waiting > 0 ? worker->streams : NULL; stream; stream = stream->hh.next) {
        if (stream->wake > 0 && stream->wake <= now)
            queue(worker, stream);
    }
}

/* Milliseconds until something is to be done that no descriptor tells of; -1: never. */
static int patience(const struct worker *worker)
{
    int64_t first = INT64_MAX;

    if (worker->again)
        return 0;
    if (worker->n_waiting == 0)
        return -1;
    for (const struct stream *stream = worker->streams; stream; stream = stream->hh.next) {
        if (stream->wake > 0 && stream->wake < first)
            first = stream->wake;
    }
    int64_t left = first - time_now().mono;
    return left > 0 ? (int)((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC) : 0;
}

static void *run(void *ctx)
{
    struct worker *worker = ctx;
    struct epoll_event events[EVENTS_MAX];

    while (!worker->ending || worker->streams) {
        int n = epoll_wait(worker->epoll, events, EVENTS_MAX, patience(worker));
        bool ordered = false;

        pace_keep(&worker->desk.pace, time_now().mono);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                queue(worker, events[i].data.ptr);
            else
                ordered = true;
        }
        if (ordered)
            carry_out_orders(worker);
        queue_due(worker);
        run_queued(worker);
    }
    pthread_mutex_lock(&worker->lock);
    worker->ended = true;
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* ---- for other threads ---- */

static void give_order(struct worker *worker, struct order *order)
{
    struct order **last = &worker->orders;
    uint64_t one = 1;

    pthread_mutex_lock(&worker->lock);
    while (*last)
        last = &(*last)->next;
    *last = order;
    pthread_mutex_unlock(&worker->lock);
    if (write(worker->wake, &one, sizeof one) < 0)
        say(LOG_LEVEL_ERROR, "eventfd: %s", strerror(errno));
}

static struct order *new_order(enum order_kind kind)
{
    struct order *order = xcalloc(1, sizeof *order);

    order->kind = kind;
    order->fd = -1;
    return order;
}

void worker_recover(struct worker *worker, struct page *page)
{
    struct order *order = new_order(ORDER_RECOVER);

    order->page = page;
    give_order(worker, order);
}

void worker_add(struct worker *worker, struct log_stream *stream, int fifo)
{
    struct order *order = new_order(ORDER_ADD);

    order->fd = fifo;
    order->stream = *stream;
    *stream = (struct log_stream){0};
    give_order(worker, order);
}

void worker_remove(struct worker *worker, const char *fifo)
{
    struct order *order = new_order(ORDER_REMOVE);

    order->fifo = xstrdup(fifo);
    give_order(worker, order);
}

void worker_move(struct worker *worker, struct worker *heir, struct log_stream *stream)
{
    struct order *order = new_order(ORDER_REMOVE);

    order->fifo = xstrdup(stream->fifo);
    order->heir = heir;
    order->stream = *stream;
    *stream = (struct log_stream){0};
    give_order(worker, order);
}

void worker_match(struct worker *worker, const char *fifo)
{
    struct order *order = new_order(ORDER_MATCH);

    order->fifo = xstrdup(fifo);
    give_order(worker, order);
}

void worker_reopen(struct worker *worker)
{
    give_order(worker, new_order(ORDER_REOPEN));
}

void worker_end(struct worker *worker)
{
    give_order(worker, new_order(ORDER_END));
}

bool worker_ended(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool ended = worker->ended;
    pthread_mutex_unlock(&worker->lock);
    return ended;
}

static void close_all(struct worker *worker)
{
    const int fds[] = {worker->wake,          worker->epoll,        worker->desk.glass[0],
                       worker->desk.glass[1], worker->desk.journal, worker->desk.syslog};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    compressor_free(worker->desk.compressor);
    buf_free(&worker->desk.text);
    free(worker->desk.peeked);
    free(worker->desk.line);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

struct worker *worker_new(const struct suplog_common *common, char *err, size_t err_size)
{
    struct worker *worker = xcalloc(1, sizeof *worker);
    struct epoll_event orders = {.events = EPOLLIN, .data.ptr = NULL};

    worker->common = common;
    worker->again_end = &worker->again;
    pthread_mutex_init(&worker->lock, NULL);
    worker->desk = (struct desk){.common = common, .glass = {-1, -1}, .journal = -1, .syslog = -1};
    worker->desk.peeked = xmalloc(LOG_LINE_MAX);
    worker->desk.line = xmalloc(2 * LOG_LINE_MAX + 1);
    worker->desk.compressor = compressor_new();
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->epoll >= 0 && worker->wake >= 0 && fifo_open_glass(worker->desk.glass) &&
        epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->wake, &orders) == 0) {
        errno = pthread_create(&worker->thread, NULL, run, worker);
        if (errno == 0)
            return worker;
    }
    snprintf(err, err_size, "%s", strerror(errno));
    close_all(worker);
    return NULL;
}

void worker_free(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    close_all(worker);
}
