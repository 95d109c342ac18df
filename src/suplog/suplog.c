/* SPDX-License-Identifier: MIT */
#include "suplog/suplog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/log_match.h"
#include "core/log_stream.h"
#include "suplog/handed.h"
#include "suplog/match.h"
#include "suplog/mounts.h"
#include "suplog/say.h"
#include "suplog/worker.h"

#define END_PATIENCE_MS 5000 /* what hangs longer is left behind; nothing is lost, it stays in the FIFO */
#define END_LOOK_MS 10

/* A thread and the device that it is for: a mount point, or the name of another kind of sink. */
struct device {
    char *name;
    struct worker *worker;
    UT_hash_handle hh;
};

struct known_stream {
    struct log_stream conf; /* a copy of what its worker has */
    struct device *device;
    bool listed;
    unsigned handed; /* number of the connection by which it came, until it is listed; 0: it was */
    UT_hash_handle hh;
};

struct suplog {
    struct suplog_common common;
    int lock;
    int signals;
    int news; /* inotify: the list of streams was replaced */
    struct handed handed;
    struct device *devices;
    struct known_stream *streams; /* by the name of the FIFO */
    int32_t *pids;
    size_t pids_size;
};

static const char *const sink_devices[LOG_SINK_N] = {
    [LOG_SINK_JOURNAL] = "journal", [LOG_SINK_SYSLOG] = "syslog", [LOG_SINK_INHERIT] = "stdout"};

/* ---- reading files ---- */

/* The text of FILE below DIR, to be freed; NULL with errno set. */
static char *read_text(int dir, const char *file)
{
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    struct buf text = {0};
    char chunk[8192];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(&text, chunk, (size_t)n);
    int saved = errno;
    close(fd);
    if (n == 0)
        return buf_steal(&text);
    buf_free(&text);
    errno = saved;
    return NULL;
}

/* Once supd has made the file, which it does before it tells of a stream that has a slot in it. */
static void map_pids(struct suplog *suplog)
{
    if (suplog->pids)
        return;
    int fd = openat(suplog->common.dir, LOG_PIDS_FILE, O_RDWR | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(int32_t)) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (map != MAP_FAILED) {
            suplog->pids = map;
            suplog->pids_size = (size_t)st.st_size;
            suplog->common.pids = map;
            suplog->common.n_pids = (uint32_t)((size_t)st.st_size / sizeof(int32_t));
        }
    }
    close(fd);
}

/* ---- streams ---- */

static struct device *device_of(struct suplog *suplog, const struct log_stream *stream)
{
    char *mountinfo = stream->kind == LOG_SINK_FILE ? read_text(AT_FDCWD, "/proc/self/mountinfo") : NULL;
    char *name = stream->kind == LOG_SINK_FILE ? mount_point_of(mountinfo ? mountinfo : "", stream->path)
                                               : xstrdup(sink_devices[stream->kind]);
    struct device *device;
    char err[128];

    free(mountinfo);
    HASH_FIND_STR(suplog->devices, name, device);
    if (device) {
        free(name);
        return device;
    }
    struct worker *worker = worker_new(&suplog->common, err, sizeof err);
    if (!worker) {
        say(LOG_LEVEL_ERROR, "no thread for logs in %s: %s", name, err);
        free(name);
        return NULL;
    }
    device = xcalloc(1, sizeof *device);
    device->name = name;
    device->worker = worker;
    HASH_ADD_KEYPTR(hh, suplog->devices, device->name, strlen(device->name), device);
    return device;
}

/*
 * From BEFORE, which had it until now and has to empty it first, or NULL.  FIFO is open on it, and passes on, or -1; who has
 * to wait for another opens it anew.
 */
static void hand_to_worker(const struct known_stream *known, struct device *before, int fifo)
{
    char *line = log_stream_encode(&known->conf);
    struct log_stream copy;
    char err[128];

    bool ok = log_stream_decode(line, &copy, err, sizeof err);
    if (ok && before)
        worker_move(before->worker, known->device->worker, &copy);
    else if (ok)
        worker_add(known->device->worker, &copy, fifo);
    if (fifo >= 0 && (before || !ok))
        close(fifo);
    free(line);
}

/* CONF, whose contents pass to it, of the list; or with FIFO, which passes on, as it was handed over (else -1). */
static void know(struct suplog *suplog, struct log_stream *conf, int fifo)
{
    struct known_stream *known;

    if (conf->slot != LOG_ID_NONE)
        map_pids(suplog);
    HASH_FIND_STR(suplog->streams, conf->fifo, known);
    if (known && log_stream_equal(&known->conf, conf)) {
        known->listed = known->listed || fifo < 0;
        known->handed = fifo >= 0 && known->handed ? suplog->handed.number : 0;
        /* Its worker may not have come to opening it: until then nobody else may have it open. */
        if (fifo >= 0)
            hand_to_worker(known, NULL, fifo);
        log_stream_clear(conf);
        return;
    }
    struct device *device = device_of(suplog, conf);
    bool moves = known && (known->device != device || known->conf.inode != conf->inode);
    struct device *before = moves ? known->device : NULL;
    if (!device) {
        log_stream_clear(conf);
        if (fifo >= 0)
            close(fifo);
        return;
    }
    if (known) {
        HASH_DEL(suplog->streams, known);
        log_stream_clear(&known->conf);
    } else {
        known = xcalloc(1, sizeof *known);
    }
    known->conf = *conf;
    known->device = device;
    known->listed = fifo < 0;
    known->handed = fifo >= 0 ? suplog->handed.number : 0;
    HASH_ADD_KEYPTR(hh, suplog->streams, known->conf.fifo, strlen(known->conf.fifo), known);
    hand_to_worker(known, before, fifo);
}

static void forget_unlisted(struct suplog *suplog)
{
    for (struct known_stream *known = suplog->streams, *next; known; known = next) {
        next = known->hh.next;
        bool stays = known->listed || known->handed;
        known->listed = false;
        if (stays)
            continue;
        HASH_DEL(suplog->streams, known);
        worker_remove(known->device->worker, known->conf.fifo);
        log_stream_clear(&known->conf);
        free(known);
    }
}

static void read_streams(struct suplog *suplog)
{
    char *text = read_text(suplog->common.dir, LOG_STREAMS_FILE);
    unsigned number = 0;
    char *rest = NULL;

    if (!text) {
        if (errno != ENOENT)
            say(LOG_LEVEL_ERROR, "log/%s: %s", LOG_STREAMS_FILE, strerror(errno));
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct log_stream conf;
        char err[128];

        number++;
        if (log_stream_decode(line, &conf, err, sizeof err))
            know(suplog, &conf, -1);
        else
            say(LOG_LEVEL_ERROR, "log/%s:%u: %s", LOG_STREAMS_FILE, number, err);
    }
    free(text);
    forget_unlisted(suplog);
}

/*
 * A supd that dies leaves FIFOs of which its list does not tell yet, and processes that have not written into them yet: they
 * stay until the next supd has said what is to become of all.
 */
static void forget_of_earlier(struct suplog *suplog)
{
    for (struct known_stream *known = suplog->streams; known; known = known->hh.next) {
        if (known->handed != suplog->handed.number)
            known->handed = 0;
    }
    read_streams(suplog);
}

static void take_handed(struct suplog *suplog)
{
    struct log_stream conf;
    enum handed_what what;
    int fifo;

    while ((what = handed_take(&suplog->handed, &conf, &fifo)) != HANDED_NOTHING) {
        if (what == HANDED_FIFO)
            know(suplog, &conf, fifo);
        else
            forget_of_earlier(suplog);
    }
}

/* What an earlier suplog has begun is finished by the thread that will have the stream. */
static void recover(struct suplog *suplog, struct page *begun)
{
    while (begun) {
        struct page *page = begun;
        struct log_stream conf;
        char err[128];
        struct device *device = NULL;

        begun = page->next;
        if (page_was_read(page) && log_stream_decode(page->head->stream, &conf, err, sizeof err)) {
            match_recover(suplog->common.dir, conf.fifo, page->head);
            if (!page->head->passed_on)
                device = device_of(suplog, &conf);
            log_stream_clear(&conf);
        }
        if (device) {
            worker_recover(device->worker, page);
        } else {
            page_end(page);
            page_give(suplog->common.pages, page);
        }
    }
}

/* ---- start and end ---- */

static bool take_lock(struct suplog *suplog)
{
    suplog->lock = openat(suplog->common.dir, LOG_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (suplog->lock >= 0 && flock(suplog->lock, LOCK_EX) < 0) {
        if (errno != EINTR)
            return false;
    }
    return suplog->lock >= 0;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool open_all(struct suplog *suplog, const char *runtime_dir, struct page **begun)
{
    char *path = xasprintf("%s/log", runtime_dir);
    char err[128];
    sigset_t mask;

    suplog->common.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (suplog->common.dir < 0 || !take_lock(suplog)) {
        say(LOG_LEVEL_ERROR, "%s: %s", path, strerror(errno));
        free(path);
        return false;
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    suplog->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    suplog->news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    bool ok = suplog->signals >= 0 && suplog->news >= 0 && inotify_add_watch(suplog->news, path, IN_MOVED_TO) >= 0;
    snprintf(err, sizeof err, "%s", strerror(errno));
    suplog->common.pages = ok ? page_pool_open(suplog->common.dir, begun, err, sizeof err) : NULL;
    if (!suplog->common.pages)
        say(LOG_LEVEL_ERROR, "%s: %s", path, err);
    free(path);
    return suplog->common.pages != NULL;
}

/* FIFO: as for worker_match().  Its stream may be on its way from one thread to another, so all are told. */
static void tell_match(const struct suplog *suplog, const char *fifo)
{
    for (const struct device *device = suplog->devices; device; device = device->hh.next)
        worker_match(device->worker, fifo);
}

/* True when the list of streams may be another now. */
static bool read_news(const struct suplog *suplog)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool replaced = false;
    ssize_t n;

    while ((n = read(suplog->news, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);
            bool lost = (event->mask & IN_Q_OVERFLOW) != 0;
            char *fifo = lost ? NULL : log_match_fifo(event->name);

            replaced = replaced || lost || strcmp(event->name, LOG_STREAMS_FILE) == 0;
            if (lost || fifo)
                tell_match(suplog, fifo);
            free(fifo);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    return replaced;
}

/* False when it is to end. */
static bool take_signals(struct suplog *suplog)
{
    struct signalfd_siginfo info;

    while (read(suplog->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            return false;
        if (info.ssi_signo == SIGHUP)
            read_streams(suplog);
        for (struct device *device = suplog->devices; device && info.ssi_signo == SIGUSR1; device = device->hh.next)
            worker_reopen(device->worker);
    }
    return true;
}

static void loop(struct suplog *suplog)
{
    struct pollfd wait_for[] = {{.fd = suplog->signals, .events = POLLIN},
                                {.fd = suplog->news, .events = POLLIN},
                                {.fd = suplog->handed.listener, .events = POLLIN},
                                {.events = POLLIN}};

    do {
        take_handed(suplog); /* before the list of a new supd, which tells what is to become of it */
        if (read_news(suplog))
            read_streams(suplog);
        wait_for[3].fd = suplog->handed.connection;
        wait_for[2].fd = suplog->handed.connection < 0 ? suplog->handed.listener : -1;
        if (poll(wait_for, 4, -1) < 0 && errno != EINTR)
            return;
    } while (take_signals(suplog));
    take_handed(suplog);
}

/* False when a thread hangs. */
static bool end_workers(struct suplog *suplog)
{
    const struct timespec look = {.tv_nsec = END_LOOK_MS * 1000000L};
    bool all = true;

    for (struct device *device = suplog->devices; device; device = device->hh.next)
        worker_end(device->worker);
    for (int waited = 0; waited < END_PATIENCE_MS; waited += END_LOOK_MS) {
        all = true;
        for (struct device *device = suplog->devices; device; device = device->hh.next)
            all = all && worker_ended(device->worker);
        if (all)
            break;
        nanosleep(&look, NULL);
    }
    return all;
}

static void free_all(struct suplog *suplog)
{
    for (struct known_stream *known = suplog->streams, *next; known; known = next) {
        next = known->hh.next;
        HASH_DEL(suplog->streams, known);
        log_stream_clear(&known->conf);
        free(known);
    }
    for (struct device *device = suplog->devices, *next; device; device = next) {
        next = device->hh.next;
        HASH_DEL(suplog->devices, device);
        worker_free(device->worker);
        free(device->name);
        free(device);
    }
    if (suplog->common.pages)
        page_pool_close(suplog->common.pages);
    if (suplog->pids)
        munmap(suplog->pids, suplog->pids_size);
}

static void tell_ready(int fd)
{
    if (fd < 0)
        return;
    if (write(fd, "\n", 1) != 1)
        say(LOG_LEVEL_WARNING, "descriptor %d: %s", fd, strerror(errno));
    close(fd);
}

int suplog_run(const char *runtime_dir, int ready_fd)
{
    struct suplog suplog = {.common = {.dir = -1}, .lock = -1, .signals = -1, .news = -1};
    struct page *begun = NULL;

    raise_descriptors();
    handed_open(&suplog.handed, STDIN_FILENO);
    if (!open_all(&suplog, runtime_dir, &begun))
        return EXIT_FAILURE;
    map_pids(&suplog);
    recover(&suplog, begun);
    read_streams(&suplog);
    tell_ready(ready_fd);
    loop(&suplog);
    if (!end_workers(&suplog)) {
        say(LOG_LEVEL_WARNING, "a device hangs; what was to be written there stays in the FIFOs");
        _exit(EXIT_SUCCESS);
    }
    free_all(&suplog);
    return EXIT_SUCCESS;
}
