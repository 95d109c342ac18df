/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    uintptr_t begin; /* 0: not known */
    uintptr_t end;   /* of what is covered; .begin: nothing is */
    bool hidden;
} heap;

static uintptr_t page_size(void)
{
    static uintptr_t size;

    if (size == 0)
        size = (uintptr_t)sysconf(_SC_PAGESIZE);
    return size;
}

/* The first page border from the present end on; without a system call. */
static uintptr_t end_now(void)
{
    uintptr_t end = (uintptr_t)sbrk(0);

    return (end + page_size() - 1) / page_size() * page_size();
}

/* A failure costs time at every fork, or is a child that ends by a signal and is told of. */
static void advise(uintptr_t from, uintptr_t to, int advice)
{
    if (from < to)
        madvise((void *)from, to - from, advice);
}

void heap_begin(void)
{
    heap.begin = heap.end = end_now();
}

void heap_hide(void)
{
    heap.hidden = heap.begin != 0;
}

void heap_cover(void)
{
    if (!heap.hidden)
        return;
    uintptr_t end = end_now();
    advise(heap.end, end, MADV_DONTFORK);
    heap.end = end; /* it may have shrunk, and what comes again is new */
}

void heap_uncover(void)
{
    if (!heap.hidden)
        return;
    advise(heap.begin, heap.end < end_now() ? heap.end : end_now(), MADV_DOFORK);
    heap.end = heap.begin;
}
