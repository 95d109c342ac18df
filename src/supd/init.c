/* SPDX-License-Identifier: MIT */
#include "supd/init.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signames.h"
#include "os/clock.h"
#include "os/sdnotify.h"
#include "os/selfpath.h"
#include "supd/init_store.h"

#define FIRST_DELAY (100 * USEC_PER_MSEC) /* before supd is started again; doubled while it dies young */
#define LAST_DELAY (5 * USEC_PER_SEC)
#define OLD_ENOUGH (10 * USEC_PER_SEC)

/*
 * A zombie is left for a moment, so that supd, which is not its parent, can read how it ended; while supd is away
 * for as long as that takes, within reason.
 */
#define REAP_DELAY (100 * USEC_PER_MSEC)
#define REAP_DELAY_AWAY (LAST_DELAY + 5 * USEC_PER_SEC)

#define POLLED_MAX 1024

static const int passed_on[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

struct init {
    char *binary;
    char *argv[8];
    struct rlimit nofile; /* as we got it: supd gets it back */
    int signals;          /* signalfd(2) of all that can be blocked */
    struct init_store *store;
    struct sdnotify *sd; /* who started us */

    pid_t pid;     /* supd, 0: none */
    bool ready;    /* it has said so */
    bool restarts; /* it has run before */
    int64_t began;
    int64_t start_at; /* mono us, 0: not due; the same below */
    int64_t delay;
    int64_t reap_at;
    sigset_t waiting; /* signals for supd, once it is ready */
    int stopping;     /* what it was told to end by, 0: nothing */
    int status;       /* what we exit with, -1: not yet */
};

/* ---- starting supd ---- */

static void add_argument(struct init *init, const char *argument)
{
    size_t n = 0;

    while (init->argv[n])
        n++;
    init->argv[n] = (char *)argument;
    init->argv[n + 1] = NULL;
}

/* By SIGNO, whether the supd before has seen it or not. */
static bool is_told_to_stop(const struct init *init, int signo)
{
    return init->stopping == signo || sigismember(&init->waiting, signo) == 1;
}

/* In the child. */
static void become_supd(struct init *init) __attribute__((noreturn));

static void become_supd(struct init *init)
{
    const char *watchdog_pid = getenv("WATCHDOG_PID");
    sigset_t none;

    /* No terminal sends its signals to both of us: a second ^C would mean haste. */
    setsid();
    if (watchdog_pid && atoi(watchdog_pid) == getppid())
        unsetenv("WATCHDOG_PID"); /* what supd says is passed on in our name */
    setenv("NOTIFY_SOCKET", init_store_address(init->store), 1);
    if (is_told_to_stop(init, SIGTERM) || is_told_to_stop(init, SIGINT))
        add_argument(init, "--finish-shutdown"); /* the signal comes again, but services would be started before it */
    if (init_store_hand_over(init->store)) {
        setrlimit(RLIMIT_NOFILE, &init->nofile);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(init->binary, init->argv);
        log_error("%s cannot be run: %s; trying the binary that runs already", init->binary, strerror(errno));
        execv("/proc/self/exe", init->argv);
    }
    log_error("supd cannot be started: %s", strerror(errno));
    /* Where it has run before it may run again: as if it had crashed. */
    if (init->restarts)
        kill(getpid(), SIGKILL);
    _exit(127);
}

static void start_supd(struct init *init)
{
    init->start_at = 0;
    init->ready = false;
    init->began = clock_now().mono;
    pid_t pid = fork();
    if (pid == 0)
        become_supd(init);
    if (pid < 0) {
        log_error("no process for supd can be made: %s", strerror(errno));
        init->start_at = init->began + LAST_DELAY;
        return;
    }
    init->pid = pid;
    init->restarts = true;
}

/* ---- signals ---- */

static bool is_passed_on(int signo)
{
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        if (passed_on[i] == signo)
            return true;
    }
    return false;
}

static bool ends_supd(int signo)
{
    return signo == SIGTERM || signo == SIGINT || signo == SIGQUIT;
}

static void pass_on(struct init *init, int signo)
{
    if (!init->ready) {
        sigaddset(&init->waiting, signo);
        /* The services wait for their end: no delay any more. */
        if (init->start_at && ends_supd(signo))
            init->start_at = clock_now().mono;
        return;
    }
    if (ends_supd(signo))
        init->stopping = signo;
    kill(init->pid, signo); /* our child, not reaped: the number is its own */
}

static void pass_on_waiting(struct init *init)
{
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        if (sigismember(&init->waiting, passed_on[i]) == 1)
            pass_on(init, passed_on[i]);
    }
    sigemptyset(&init->waiting);
}

/* ---- ends ---- */

static void supd_ended(struct init *init, int wait_status)
{
    int64_t now = clock_now().mono;
    char name[16];
    char delay[64];

    /* What was to be reaped soon, this supd has seen; of those who end from now on the next one has to see the zombies. */
    if (init->ready && init->reap_at != 0)
        init->reap_at = now + REAP_DELAY_AWAY;
    init->pid = 0;
    init->ready = false;
    if (WIFEXITED(wait_status)) {
        init->status = WEXITSTATUS(wait_status);
        return;
    }
    if (init->stopping)
        sigaddset(&init->waiting, init->stopping);
    if (now - init->began >= OLD_ENOUGH || init->delay == 0)
        init->delay = FIRST_DELAY;
    else
        init->delay = init->delay < LAST_DELAY / 2 ? 2 * init->delay : LAST_DELAY;
    init->start_at = now + init->delay;
    log_error("supd was killed by SIG%s; it is started again in %s", signal_to_name(WTERMSIG(wait_status), name),
              duration_format(init->delay, delay, sizeof delay));
}

/* Has supd ended?  Then that is dealt with. */
static bool supd_has_ended(struct init *init)
{
    int wait_status;

    if (init->pid == 0 || waitpid(init->pid, &wait_status, WNOHANG) != init->pid)
        return false;
    supd_ended(init, wait_status);
    return true;
}

/* Of each zombie supd is looked at before it is reaped: what ended after supd, the next one has to see. */
static void reap_strangers(struct init *init)
{
    siginfo_t ended = {0};

    init->reap_at = 0;
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0) {
        if (supd_has_ended(init)) {
            init->reap_at = clock_now().mono + REAP_DELAY_AWAY;
            return;
        }
        waitpid(ended.si_pid, NULL, WNOHANG);
        ended.si_pid = 0;
    }
}

static void on_sigchld(struct init *init)
{
    supd_has_ended(init);
    if (init->reap_at == 0)
        init->reap_at = clock_now().mono + (init->ready ? REAP_DELAY : REAP_DELAY_AWAY);
}

/* ---- the loop ---- */

static void on_signals(struct init *init)
{
    struct signalfd_siginfo info;

    while (read(init->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            on_sigchld(init);
        else if (is_passed_on((int)info.ssi_signo))
            pass_on(init, (int)info.ssi_signo);
    }
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at += len) {
        if ((at == text || at[-1] == '\n') && (at[len] == '\0' || at[len] == '\n'))
            return true;
    }
    return false;
}

static void on_ready(struct init *init)
{
    int64_t soon = clock_now().mono + REAP_DELAY;

    if (init->ready || init->pid == 0)
        return;
    init->ready = true;
    if (init->reap_at > soon)
        init->reap_at = soon;
    pass_on_waiting(init);
}

static void on_messages(struct init *init)
{
    char text[INIT_STORE_MESSAGE_MAX];
    int got;

    while ((got = init_store_receive(init->store, init->pid, text)) != 0) {
        if (got < 0)
            continue;
        sdnotify_send(init->sd, "%s", text);
        if (has_line(text, "READY=1"))
            on_ready(init);
    }
}

/* ms until the next thing is due, -1: nothing is. */
static int time_left(const struct init *init)
{
    int64_t next = init->start_at;
    int64_t now = clock_now().mono;

    if (next == 0 || (init->reap_at != 0 && init->reap_at < next))
        next = init->reap_at;
    if (next == 0)
        return -1;
    return next <= now ? 0 : (int)((next - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static void wait_and_work(struct init *init)
{
    static struct pollfd fds[3 + POLLED_MAX];
    size_t n = 3;

    fds[0] = (struct pollfd){.fd = init->signals, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = init_store_socket(init->store), .events = POLLIN};
    fds[2] = (struct pollfd){.fd = sdnotify_flush(init->sd) ? -1 : sdnotify_fd(init->sd), .events = POLLOUT};
    n += init_store_poll(init->store, fds + n, POLLED_MAX);
    if (poll(fds, n, time_left(init)) < 0 && errno != EINTR)
        log_error("poll: %s", strerror(errno));

    init_store_polled(init->store, fds + 3, n - 3);
    /* First what supd has said, then that it has died. */
    on_messages(init);
    on_signals(init);
    int64_t now = clock_now().mono;
    if (init->reap_at != 0 && init->reap_at <= now)
        reap_strangers(init);
    if (init->start_at != 0 && init->start_at <= now && init->status < 0)
        start_supd(init);
}

static bool open_signals(struct init *init)
{
    sigset_t all;

    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL); /* SIGCHLD ignored would reap for us, and lose supd's status */
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    init->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    return init->signals >= 0;
}

static void raise_nofile(struct init *init)
{
    if (getrlimit(RLIMIT_NOFILE, &init->nofile) < 0)
        return;
    struct rlimit limit = {.rlim_cur = init->nofile.rlim_max, .rlim_max = init->nofile.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void make_argv(struct init *init, const struct startup_options *options)
{
    add_argument(init, init->binary);
    add_argument(init, "-c");
    add_argument(init, options->config);
    if (options->runtime_dir) {
        add_argument(init, "-r");
        add_argument(init, options->runtime_dir);
    }
    if (options->verbose)
        add_argument(init, "-v");
}

int init_run(const struct startup_options *options)
{
    struct init init = {.status = -1, .binary = selfpath(options->argv0)};

    startup_open_std_fds();
    log_open(LOG_TARGET_STDERR, "supd-init");
    raise_nofile(&init);
    make_argv(&init, options);
    sigemptyset(&init.waiting);
    init.sd = sdnotify_open();
    init.store = init_store_new();
    if (!init.store || !open_signals(&init)) {
        log_error("--init: no socket or signal descriptor can be had: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    /* Where we are not PID 1, what is orphaned below us comes to us all the same. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    start_supd(&init);
    while (init.status < 0)
        wait_and_work(&init);
    sdnotify_close(init.sd);
    init_store_free(init.store);
    close(init.signals);
    free(init.binary);
    return init.status;
}
