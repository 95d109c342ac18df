/* SPDX-License-Identifier: MIT */
#include "supctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"

#define HOME "\033[H"
#define CLEAR "\033[2J"
#define CLEAR_TO_END_OF_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

static struct termios as_it_was;
static struct termios ours;
static bool has_keys; /* stdin is a terminal too */
static volatile sig_atomic_t changed;

static void put(const char *codes)
{
    ssize_t n = write(STDOUT_FILENO, codes, strlen(codes));

    (void)n; /* there is nothing to do about it, least of all in a handler */
}

static void take_over(void)
{
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &ours);
    put(HIDE_CURSOR CLEAR HOME);
}

static void give_back(void)
{
    put(SHOW_CURSOR);
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &as_it_was);
}

/* Async-signal-safe, as all that it calls. */
static void on_end(int signo)
{
    give_back();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void on_stop(int signo)
{
    int error = errno;

    (void)signo;
    give_back();
    raise(SIGSTOP);
    take_over();
    changed = 1;
    errno = error;
}

static void on_resize(int signo)
{
    (void)signo;
    changed = 1;
}

bool screen_possible(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* HANDLER unless who started us wants the signal ignored; NULL: the usual again. */
static void handle(int signo, void (*handler)(int))
{
    struct sigaction old;
    struct sigaction action = {.sa_handler = handler ? handler : SIG_DFL};

    sigaction(signo, NULL, &old);
    if (old.sa_handler != SIG_IGN)
        sigaction(signo, &action, NULL);
}

static void handle_all(bool on)
{
    handle(SIGINT, on ? on_end : NULL);
    handle(SIGTERM, on ? on_end : NULL);
    handle(SIGHUP, on ? on_end : NULL);
    handle(SIGQUIT, on ? on_end : NULL);
    handle(SIGTSTP, on ? on_stop : NULL);
    handle(SIGWINCH, on ? on_resize : NULL);
}

void screen_open(void)
{
    has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &as_it_was) == 0;
    ours = as_it_was;
    ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    ours.c_cc[VMIN] = 1;
    ours.c_cc[VTIME] = 0;
    handle_all(true);
    take_over();
}

void screen_close(void)
{
    give_back();
    handle_all(false);
}

size_t screen_lines(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2)
        return 23;
    return size.ws_row - 1u;
}

bool screen_show(const char *text)
{
    fputs(HOME, stdout);
    while (*text) {
        size_t len = strcspn(text, "\n");
        printf("%.*s" CLEAR_TO_END_OF_LINE "\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
    fputs(CLEAR_BELOW, stdout);
    return fflush(stdout) == 0;
}

static int read_key(void)
{
    unsigned char key;
    ssize_t n = read(STDIN_FILENO, &key, 1);

    if (n == 1)
        return key;
    return n < 0 && errno == EINTR ? SCREEN_RESIZED : SCREEN_END;
}

int screen_wait(int64_t usec)
{
    struct pollfd pfd = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec ts = {.tv_sec = usec / USEC_PER_SEC, .tv_nsec = usec % USEC_PER_SEC * 1000};
    sigset_t blocked, before;

    /* A resize is looked for and waited for in one step, or one in between would wait for the next table. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    int n = changed ? 0 : ppoll(&pfd, 1, &ts, &before);
    bool interrupted = n < 0 && errno == EINTR;
    bool resized = changed || interrupted;
    changed = 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (resized)
        return SCREEN_RESIZED;
    return n > 0 ? read_key() : SCREEN_TIME;
}
