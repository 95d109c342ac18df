/* SPDX-License-Identifier: MIT */
#include "base/signames.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

static const struct {
    const char *name;
    int signo;
} names[] = {
    /* The first name of a number is the one that is shown. */
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"BUS", SIGBUS},     {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
#ifdef SIGSTKFLT
    {"STKFLT", SIGSTKFLT},
#endif
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},   {"SYS", SIGSYS},
    {"IOT", SIGABRT},      {"CLD", SIGCHLD},    {"POLL", SIGIO},
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

/* Decimal digits only, at most LIMIT; -1 for anything else. */
static int parse_number(const char *text, int limit)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 3 || text[len] != '\0')
        return -1;

    int number = atoi(text);
    return number <= limit ? number : -1;
}

/* What follows RTMIN or RTMAX: nothing, or SIGN and a number. */
static int parse_offset(const char *text, char sign)
{
    if (*text == '\0')
        return 0;
    return *text == sign ? parse_number(text + 1, SIGRTMAX - SIGRTMIN) : -1;
}

int signal_from_name(const char *name)
{
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;

    int number = parse_number(name, SIGRTMAX);
    if (number > 0)
        return number;
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].signo;
    }
    if (strncasecmp(name, "RTMIN", 5) == 0) {
        int offset = parse_offset(name + 5, '+');
        return offset < 0 ? -1 : SIGRTMIN + offset;
    }
    if (strncasecmp(name, "RTMAX", 5) == 0) {
        int offset = parse_offset(name + 5, '-');
        return offset < 0 ? -1 : SIGRTMAX - offset;
    }
    return -1;
}

const char *signal_to_name(int signo, char buf[16])
{
    for (size_t i = 0; i < N_NAMES; i++) {
        if (names[i].signo == signo)
            return names[i].name;
    }
    if (signo == SIGRTMIN)
        return "RTMIN";
    if (signo > SIGRTMIN && signo <= SIGRTMAX)
        snprintf(buf, 16, "RTMIN+%d", signo - SIGRTMIN);
    else
        snprintf(buf, 16, "%d", signo);
    return buf;
}

const char *signal_suggest(const char *word)
{
    const char *known[N_NAMES];

    if (strncasecmp(word, "SIG", 3) == 0)
        word += 3;
    for (size_t i = 0; i < N_NAMES; i++)
        known[i] = names[i].name;
    return suggest_nearest(word, known, N_NAMES);
}
