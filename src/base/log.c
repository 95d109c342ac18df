/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES PIPE_BUF /* so much goes into a pipe in one piece or not at all */
#define IDENT_MAX 32
#define FACILITY_DAEMON (3 << 3)

enum sink {
    SINK_NONE,   /* nowhere: stderr is closed */
    SINK_PLAIN,  /* a file, which does not block; or our own nonblocking description of stderr's pipe or terminal */
    SINK_POLLED, /* a pipe or terminal that could not be opened a second time: asked for room before each line */
    SINK_STREAM, /* a socket */
    SINK_SYSLOG, /* the socket of the system log */
};

enum style { STYLE_TIME, STYLE_JOURNAL, STYLE_SYSLOG };

/* One log a process, so that every layer can write to it. */
static struct {
    bool opened;
    enum sink sink;
    enum style style;
    int fd;
    bool own_fd;      /* fd is to be closed when another is opened */
    bool torn;        /* the last line was written in part */
    uint64_t dropped; /* lines since the last one that was written */
    enum log_level level;
    char ident[IDENT_MAX];
} state = {.fd = -1, .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

/* As in syslog(3). */
static const int priorities[] = {
    [LOG_LEVEL_ERROR] = 3,
    [LOG_LEVEL_WARNING] = 4,
    [LOG_LEVEL_INFO] = 6,
    [LOG_LEVEL_DEBUG] = 7,
};

#define N_LEVELS (sizeof(level_names) / sizeof(level_names[0]))

static void close_sink(void)
{
    if (state.own_fd)
        close(state.fd);
    state.own_fd = false;
    state.fd = -1;
    state.torn = false;
}

static bool stderr_is_journal(const struct stat *st)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev;
    unsigned long long ino;
    char rest;

    return stream != NULL && sscanf(stream, "%llu:%llu%c", &dev, &ino, &rest) == 2 && st->st_dev == dev &&
           st->st_ino == ino;
}

static void open_stderr(void)
{
    struct stat st;

    state.style = STYLE_TIME;
    state.sink = SINK_NONE;
    state.fd = STDERR_FILENO;
    if (fstat(STDERR_FILENO, &st) == -1)
        return;
    if (stderr_is_journal(&st))
        state.style = STYLE_JOURNAL;
    if (S_ISSOCK(st.st_mode)) {
        state.sink = SINK_STREAM;
        return;
    }
    state.sink = SINK_PLAIN;
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;

    /* O_NONBLOCK on stderr itself would hit everybody who shares it: the shell, the services. */
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd == -1) {
        state.sink = SINK_POLLED;
        return;
    }
    state.fd = fd;
    state.own_fd = true;
}

static void open_syslog(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    state.style = STYLE_SYSLOG;
    state.sink = SINK_SYSLOG;
    state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (state.fd == -1)
        return;
    state.own_fd = true;
    if (connect(state.fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
        close_sink();
}

void log_open(enum log_target target, const char *ident)
{
    int saved = errno;

    close_sink();
    snprintf(state.ident, sizeof(state.ident), "%s", ident);
    if (target == LOG_TARGET_SYSLOG)
        open_syslog();
    else
        open_stderr();
    state.opened = true;
    errno = saved;
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

enum log_level log_get_level(void)
{
    return state.level;
}

bool log_level_parse(const char *word, enum log_level *level)
{
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static size_t put_time(char *buf, size_t size, enum style style)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    size_t len = strftime(buf, size, style == STYLE_SYSLOG ? "%b %e %H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    if (style == STYLE_TIME)
        len += (size_t)snprintf(buf + len, size - len, ".%03ld", now.tv_nsec / 1000000);
    return len;
}

/* What stands before the message.  Far shorter than a line. */
static size_t put_prefix(char *line, size_t size, enum log_level level)
{
    char when[64];

    if (state.style == STYLE_JOURNAL)
        return (size_t)snprintf(line, size, "<%d>", priorities[level]);

    put_time(when, sizeof(when), state.style);
    if (state.style == STYLE_SYSLOG)
        return (size_t)snprintf(line, size, "<%d>%s %s[%d]: ", FACILITY_DAEMON | priorities[level], when, state.ident,
                                (int)getpid());
    return (size_t)snprintf(line, size, "%s %s ", level_names[level], when);
}

/* Would this byte end the line, or mean something to a terminal?  Also C1, which UTF-8 writes as C2 80 to C2 9F. */
static bool must_escape(const unsigned char *p)
{
    return (*p < 0x20 && *p != '\t') || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f);
}

/* Copies TEXT to the end of LINE, so that it stays one line and all that is in it can be seen. */
static size_t put_escaped(char *line, size_t len, size_t size, const char *text)
{
    static const char cut[] = "...";
    const size_t limit = size - sizeof(cut);

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (len + 4 > limit) {
            memcpy(line + len, cut, sizeof(cut) - 1);
            return len + sizeof(cut) - 1;
        }
        if (*p == '\n')
            len += (size_t)sprintf(line + len, "\\n");
        else if (must_escape(p))
            len += (size_t)sprintf(line + len, "\\x%02x", *p);
        else
            line[len++] = (char)*p;
    }
    return len;
}

static ssize_t write_polled(const char *data, size_t len)
{
    struct pollfd pfd = {.fd = state.fd, .events = POLLOUT};

    /* POLLOUT on a pipe: there is room for PIPE_BUF bytes. */
    if (poll(&pfd, 1, 0) != 1 || pfd.revents != POLLOUT)
        return -1;
    return write(state.fd, data, len);
}

static ssize_t write_syslog(const char *data, size_t len)
{
    /* A syslog daemon that was restarted listens on another socket. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (state.fd == -1)
            open_syslog();
        ssize_t n = send(state.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n != -1 || errno == EAGAIN || errno == ENOBUFS)
            return n;
        close_sink();
    }
    return -1;
}

static ssize_t write_sink(const char *data, size_t len)
{
    switch (state.sink) {
    case SINK_PLAIN:
        return write(state.fd, data, len);
    case SINK_POLLED:
        return write_polled(data, len);
    case SINK_STREAM:
        return send(state.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SINK_SYSLOG:
        return write_syslog(data, len);
    case SINK_NONE:
        break;
    }
    return (ssize_t)len;
}

static bool emit(enum log_level level, const char *text)
{
    char line[LINE_MAX_BYTES];
    size_t start = state.torn ? 1 : 0;

    line[0] = '\n'; /* ends the torn line before */
    size_t len = start + put_prefix(line + start, sizeof(line) - start, level);
    len = put_escaped(line, len, sizeof(line), text);
    if (state.style != STYLE_SYSLOG)
        line[len++] = '\n';

    ssize_t n = write_sink(line, len);
    if (n <= 0)
        return false;
    state.torn = (size_t)n < len;
    return true;
}

static bool tell_dropped(void)
{
    char text[64];

    if (state.dropped == 0)
        return true;
    if (state.dropped == 1)
        snprintf(text, sizeof(text), "1 line was dropped");
    else
        snprintf(text, sizeof(text), "%llu lines were dropped", (unsigned long long)state.dropped);
    if (!emit(LOG_LEVEL_WARNING, text))
        return false;
    state.dropped = 0;
    return true;
}

static void log_v(enum log_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void log_v(enum log_level level, const char *fmt, va_list ap)
{
    int saved = errno;
    char text[LINE_MAX_BYTES];

    if (level > state.level)
        return;
    vsnprintf(text, sizeof(text), fmt, ap);
    if (!state.opened)
        log_open(LOG_TARGET_STDERR, program_invocation_short_name);
    if (!tell_dropped() || !emit(level, text))
        state.dropped++;
    errno = saved;
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_v(LOG_LEVEL_ERROR, fmt, ap);
    va_end(ap);
}

void log_warning(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_v(LOG_LEVEL_WARNING, fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_v(LOG_LEVEL_INFO, fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_v(LOG_LEVEL_DEBUG, fmt, ap);
    va_end(ap);
}
