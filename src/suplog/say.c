/* SPDX-License-Identifier: MIT */
#include "suplog/say.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

/* base/log.h is for one thread. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void say(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = xvasprintf(fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&one_at_a_time);
    switch (level) {
    case LOG_LEVEL_ERROR:
        log_error("%s", text);
        break;
    case LOG_LEVEL_WARNING:
        log_warning("%s", text);
        break;
    case LOG_LEVEL_INFO:
        log_info("%s", text);
        break;
    case LOG_LEVEL_DEBUG:
        log_debug("%s", text);
        break;
    }
    pthread_mutex_unlock(&one_at_a_time);
    free(text);
}
