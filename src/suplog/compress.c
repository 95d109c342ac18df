/* SPDX-License-Identifier: MIT */
#include "suplog/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "suplog/directory.h"
#include "suplog/rotated.h"
#include "suplog/say.h"

#define CHUNK ((size_t)64 * 1024)
#define YOUNGEST 1 /* stays plain: the one that people look into */
#define NICE_LEAST 19

struct job {
    char *path;
    uint32_t keep;
    struct job *next;
};

struct compressor {
    pthread_mutex_t names;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    struct job *first;
    bool started;
    bool end;
    pthread_t thread;
};

static int copy_compressed(struct compressor *compressor, int from, gzFile to)
{
    char *chunk = xmalloc(CHUNK);
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = read(from, chunk, CHUNK)) != 0) {
        pthread_mutex_lock(&compressor->lock);
        bool end = compressor->end;
        pthread_mutex_unlock(&compressor->lock);
        if (end)
            rc = -ECANCELED;
        else if (n < 0)
            rc = errno == EINTR ? 0 : -errno;
        else if (gzwrite(to, chunk, (unsigned)n) != (int)n)
            rc = errno ? -errno : -EIO;
    }
    free(chunk);
    return rc;
}

/* FROM compressed into the new file TMP of DIR, with the same rights and times. */
static int compress_into(struct compressor *compressor, int from, const struct stat *st, int dir, const char *tmp)
{
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    gzFile gz = kept < 0 ? NULL : gzdopen(fd, "wb");
    int rc = gz ? copy_compressed(compressor, from, gz) : -ENOMEM;
    if (gz && gzclose(gz) != Z_OK && rc == 0)
        rc = errno ? -errno : -EIO;
    if (!gz)
        close(fd);
    if (rc == 0 && (fchown(kept, st->st_uid, st->st_gid) < 0 || fchmod(kept, st->st_mode & 07777) < 0 ||
                    futimens(kept, times) < 0 || fsync(kept) < 0))
        rc = -errno;
    if (kept >= 0)
        close(kept);
    return rc;
}

/* TMP takes the place of the file that ST is of, under whatever number that has by now. */
static int put_in_place(const struct rotated *names, const struct stat *st, const char *tmp)
{
    for (uint32_t number = YOUNGEST; number <= names->keep; number++) {
        char *plain = rotated_name(names, number, "");
        char *gz = rotated_name(names, number, ROTATED_GZ);
        struct stat now;
        int rc = -ENOENT;

        if (fstatat(names->dir, plain, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st->st_ino)
            rc = renameat(names->dir, tmp, names->dir, gz) < 0 || unlinkat(names->dir, plain, 0) < 0 ? -errno : 0;
        free(plain);
        free(gz);
        if (rc != -ENOENT)
            return rc;
    }
    return -ENOENT;
}

static int compress_one(struct compressor *compressor, const struct rotated *names, const char *plain)
{
    int fd = openat(names->dir, plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return 0;
    }
    char *tmp = xasprintf(".%s%s.tmp", names->name, ROTATED_GZ);
    int rc = compress_into(compressor, fd, &st, names->dir, tmp);
    if (rc == 0) {
        compressor_lock(compressor);
        rc = put_in_place(names, &st, tmp);
        compressor_unlock(compressor);
    }
    if (rc < 0)
        unlinkat(names->dir, tmp, 0);
    free(tmp);
    close(fd);
    return rc == -ENOENT ? 0 : rc;
}

/* One that is there both plain and compressed was put in place by a suplog that died before it removed the plain one. */
static bool is_done(const struct rotated *names, uint32_t number, const char *plain)
{
    char *gz = rotated_name(names, number, ROTATED_GZ);
    struct stat st;
    bool both = fstatat(names->dir, gz, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstatat(names->dir, plain, &st, AT_SYMLINK_NOFOLLOW) == 0;

    free(gz);
    if (both)
        unlinkat(names->dir, plain, 0);
    return both;
}

static void compress_all(struct compressor *compressor, const struct job *job)
{
    bool shared;
    struct rotated names = {directory_open(job->path, &shared), strrchr(job->path, '/') + 1, job->keep};
    int rc = names.dir < 0 ? names.dir : 0;

    for (uint32_t number = YOUNGEST + 1; rc == 0 && number <= names.keep; number++) {
        char *plain = rotated_name(&names, number, "");

        compressor_lock(compressor);
        bool done = is_done(&names, number, plain);
        compressor_unlock(compressor);
        if (!done)
            rc = compress_one(compressor, &names, plain);
        free(plain);
    }
    if (rc < 0 && rc != -ECANCELED)
        say(LOG_LEVEL_WARNING, "%s: a rotated file stays uncompressed: %s", job->path, strerror(-rc));
    if (names.dir >= 0)
        close(names.dir);
}

static void *run(void *ctx)
{
    struct compressor *compressor = ctx;

    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_LEAST);
    pthread_mutex_lock(&compressor->lock);
    while (!compressor->end) {
        struct job *job = compressor->first;

        if (!job) {
            pthread_cond_wait(&compressor->more, &compressor->lock);
            continue;
        }
        compressor->first = job->next;
        pthread_mutex_unlock(&compressor->lock);
        compress_all(compressor, job);
        free(job->path);
        free(job);
        pthread_mutex_lock(&compressor->lock);
    }
    pthread_mutex_unlock(&compressor->lock);
    return NULL;
}

struct compressor *compressor_new(void)
{
    struct compressor *compressor = xcalloc(1, sizeof *compressor);

    pthread_mutex_init(&compressor->names, NULL);
    pthread_mutex_init(&compressor->lock, NULL);
    pthread_cond_init(&compressor->more, NULL);
    return compressor;
}

void compressor_add(struct compressor *compressor, const char *path, uint32_t keep)
{
    struct job **last = &compressor->first;

    pthread_mutex_lock(&compressor->lock);
    while (*last && strcmp((*last)->path, path) != 0)
        last = &(*last)->next;
    if (!*last) {
        *last = xcalloc(1, sizeof **last);
        (*last)->path = xstrdup(path);
    }
    (*last)->keep = keep;
    if (!compressor->started)
        compressor->started = pthread_create(&compressor->thread, NULL, run, compressor) == 0;
    pthread_cond_signal(&compressor->more);
    pthread_mutex_unlock(&compressor->lock);
}

void compressor_free(struct compressor *compressor)
{
    pthread_mutex_lock(&compressor->lock);
    compressor->end = true;
    pthread_cond_signal(&compressor->more);
    pthread_mutex_unlock(&compressor->lock);
    if (compressor->started)
        pthread_join(compressor->thread, NULL);
    while (compressor->first) {
        struct job *job = compressor->first;

        compressor->first = job->next;
        free(job->path);
        free(job);
    }
    pthread_cond_destroy(&compressor->more);
    pthread_mutex_destroy(&compressor->lock);
    pthread_mutex_destroy(&compressor->names);
    free(compressor);
}

void compressor_lock(struct compressor *compressor)
{
    pthread_mutex_lock(&compressor->names);
}

void compressor_unlock(struct compressor *compressor)
{
    pthread_mutex_unlock(&compressor->names);
}
