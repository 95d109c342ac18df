/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Death by a signal, not an exit: whoever watches supd then knows that it is to be started again. */
static _Noreturn void out_of_memory(void)
{
    static const char text[] = "out of memory\n";

    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        abort();
    abort();
}

void *mem_checked(void *ptr)
{
    if (ptr == NULL)
        out_of_memory();
    return ptr;
}

void *xmalloc(size_t size)
{
    return mem_checked(malloc(size > 0 ? size : 1));
}

void *xcalloc(size_t nmemb, size_t size)
{
    if (nmemb == 0 || size == 0)
        nmemb = size = 1;
    return mem_checked(calloc(nmemb, size));
}

void *xreallocarray(void *ptr, size_t nmemb, size_t size)
{
    if (nmemb == 0 || size == 0)
        nmemb = size = 1;
    return mem_checked(reallocarray(ptr, nmemb, size));
}

void *xrealloc(void *ptr, size_t size)
{
    return mem_checked(realloc(ptr, size > 0 ? size : 1));
}

char *xstrdup(const char *s)
{
    return s != NULL ? mem_checked(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
    return mem_checked(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    return s;
}

char *xvasprintf(const char *fmt, va_list ap)
{
    char *s;

    if (vasprintf(&s, fmt, ap) < 0)
        out_of_memory();
    return s;
}

void mem_trim(void)
{
    malloc_trim(0);
}
