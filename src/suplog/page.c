/* SPDX-License-Identifier: MIT */
#include "suplog/page.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "suplog/format.h"

#define PAGE_MAGIC UINT32_C(0x7355504c)
#define PAGE_FILE_SIZE (PAGE_DATA_OFFSET + LOG_LINE_MAX)
#define NAME_SIZE 32

_Static_assert(sizeof(struct page_head) <= PAGE_DATA_OFFSET, "the head lies before the data");

struct page_pool {
    int dir;
    pthread_mutex_t lock;
    struct page *free;
    unsigned n; /* pages that were ever opened: page.0 to page.(n-1) */
};

/* What is stored must get there in the order of the program; SIGKILL keeps that order, so the compiler has to. */
static void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static bool makes_sense(const struct page_head *head)
{
    return head->magic == PAGE_MAGIC && head->len > 0 && head->len <= LOG_LINE_MAX && head->mark_len > 0 &&
           head->mark_len <= PAGE_MARK_MAX && head->mark_len <= head->len && head->start < BATCH_START_N &&
           memchr(head->stream, '\0', PAGE_STREAM_MAX) != NULL;
}

static struct page *map_page(int fd)
{
    void *map = MAP_FAILED;

    /* Room is taken here: a page that cannot be had later would be SIGBUS. */
    errno = posix_fallocate(fd, 0, (off_t)PAGE_FILE_SIZE);
    if (errno == 0)
        map = mmap(NULL, PAGE_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    /* A fault in the middle of read(2) could end it half-way.  Where it is not allowed, there is usually no swap either. */
    mlock(map, PAGE_FILE_SIZE);
    struct page *page = xcalloc(1, sizeof *page);
    page->head = map;
    page->data = (char *)map + PAGE_DATA_OFFSET;
    if (!makes_sense(page->head))
        page->head->begun = 0;
    page->head->magic = PAGE_MAGIC;
    return page;
}

/* page.NUMBER; NULL with errno set, ENOENT when it is not there and MAKE is not set. */
static struct page *open_page(int dir, unsigned number, bool make)
{
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "page.%u", number);
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
    if (fd < 0)
        return NULL;
    struct page *page = map_page(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return page;
}

struct page_pool *page_pool_open(int dir, struct page **begun, char *err, size_t err_size)
{
    struct page_pool *pool = xcalloc(1, sizeof *pool);
    struct page *page;

    pool->dir = dir;
    pthread_mutex_init(&pool->lock, NULL);
    *begun = NULL;
    while ((page = open_page(dir, pool->n, false)) != NULL) {
        struct page **list = page->head->begun ? begun : &pool->free;
        page->next = *list;
        *list = page;
        pool->n++;
    }
    if (errno == ENOENT)
        return pool;
    snprintf(err, err_size, "page.%u: %s", pool->n, strerror(errno));
    page_pool_close(pool);
    return NULL;
}

void page_pool_close(struct page_pool *pool)
{
    while (pool->free) {
        struct page *page = pool->free;

        pool->free = page->next;
        munmap(page->head, PAGE_FILE_SIZE);
        free(page);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

struct page *page_take(struct page_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct page *page = pool->free;
    if (page)
        pool->free = page->next;
    else if ((page = open_page(pool->dir, pool->n, true)) != NULL)
        pool->n++;
    int saved = errno;
    pthread_mutex_unlock(&pool->lock);
    errno = saved;
    return page;
}

void page_give(struct page_pool *pool, struct page *page)
{
    pthread_mutex_lock(&pool->lock);
    page->next = pool->free;
    pool->free = page;
    pthread_mutex_unlock(&pool->lock);
}

void page_begin(struct page *page, const char *stream, const char *data, size_t len, const struct page_place *place)
{
    struct page_head *head = page->head;
    uint32_t mark_len = len < PAGE_MARK_MAX ? (uint32_t)len : PAGE_MARK_MAX;

    snprintf(head->stream, sizeof head->stream, "%s", stream);
    head->len = (uint32_t)len;
    head->life = place->life;
    head->dev = place->dev;
    head->ino = place->ino;
    head->offset = place->offset;
    head->wall = place->wall;
    head->start = place->start;
    head->match = place->match;
    head->match_taken = place->match_taken;
    head->passed_on = place->passed_on;
    head->mark_len = mark_len;
    for (uint32_t i = 0; i < mark_len; i++)
        head->mark[i] = (char)~data[len - mark_len + i];
    memcpy(page->data + len - mark_len, head->mark, mark_len);
    in_order();
    head->begun = 1;
    in_order();
}

bool page_was_read(const struct page *page)
{
    const struct page_head *head = page->head;

    return memcmp(page->data + head->len - head->mark_len, head->mark, head->mark_len) != 0;
}

/* Nothing of it is in the old place any more, nor in the new one yet: a death in between finds either. */
void page_move(struct page *page, uint64_t dev, uint64_t ino, uint64_t offset)
{
    page->head->offset = PAGE_APPENDS;
    in_order();
    page->head->dev = dev;
    page->head->ino = ino;
    in_order();
    page->head->offset = offset;
    in_order();
}

void page_end(struct page *page)
{
    in_order();
    page->head->begun = 0;
    in_order();
}
