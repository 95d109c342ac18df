/* SPDX-License-Identifier: MIT */
/*
 * The program that the end-to-end tests run as a service. Its arguments are steps, carried out in order:
 *
 *   mark FILE            append "PID STARTED" (seconds of CLOCK_MONOTONIC) to FILE
 *   alone FILE           hold a lock on FILE until the end, together with later children; if another process has it,
 *                        note that in FILE
 *   print TEXT           a line to stdout            complain TEXT   a line to stderr
 *   numbers COUNT        so many numbered lines of different lengths to stdout
 *   numbers-until FILE COUNT MICROSECONDS   the same, with a pause after each hundred, and on until FILE is there; how
 *                        many there were is appended to it
 *   lines MILLISECONDS   numbered lines to stdout for ever, one each MILLISECONDS
 *   ignore SIG           trap FILE SIG   append "PID SIG" to FILE and go on     trap-exit FILE CODE SIG   and exit CODE
 *   describe FILE        write what the process sees (ids, directory, umask, session, environment, descriptors)
 *   children N           fork N children that wait for ever; they inherit what ignore and trap have set
 *   child-mark FILE      fork a child that appends its mark to FILE and waits for ever
 *   stray                fork a child in a session of its own that waits for ever
 *   gate FIFO            wait until somebody writes a step list into FIFO, carry it out, then go on
 *   script FILE          carry out the steps that FILE holds, separated by white space
 *   born SOCKET NAME MILLISECONDS   draw an end, at random within MILLISECONDS (0: none);
 *                        send "NAME PID TIME FATE" (CLOCK_REALTIME) and a pidfd of this process to SOCKET
 *   notify TEXT          say TEXT to NOTIFY_SOCKET     newline FD   a newline to a descriptor, which is closed then
 *   keep NAME            leave a file in memory with supd as NAME (FDSTORE), and have it open, too
 *   fate                 wait for the end that was drawn
 *   thread               go on in a second thread, while the first one leaves
 *   sleep SECONDS        for-ever        exit CODE       raise SIG       core (die of SIGABRT, with a core if allowed)
 *
 * The end of the list is exit 0.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_STEPS = 64, MAX_SIGNAL = 65 };

extern char **environ;

static struct trap {
    int fd;
    int exit_code; /* -1: go on */
} traps[MAX_SIGNAL];

static struct fate {
    double seconds;
    int exit_code; /* where signal is 0 */
    int signal;
} fate;

static void run(char **step);

static int signal_number(const char *name)
{
    for (int sig = 1; sig < MAX_SIGNAL; sig++) {
        const char *abbrev = sigabbrev_np(sig);
        if (abbrev && strcmp(abbrev, name) == 0)
            return sig;
    }
    int sig = atoi(name);
    if (sig <= 0 || sig >= MAX_SIGNAL)
        errx(120, "no such signal: %s", name);
    return sig;
}

static void append(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        _exit(121);
}

static int open_append(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        err(122, "%s", path);
    return fd;
}

static void mark(const char *path)
{
    struct timespec now;
    char line[64];
    int fd = open_append(path);

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(line, sizeof(line), "%d %lld.%09ld\n", getpid(), (long long)now.tv_sec, now.tv_nsec);
    append(fd, line);
    close(fd);
}

static void alone(const char *path)
{
    char line[64];
    int fd = open_append(path);

    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return;
    snprintf(line, sizeof(line), "%d\n", getpid());
    append(fd, line);
}

static void on_signal(int sig)
{
    int saved = errno;
    char line[64];

    /* snprintf of a number and a constant string: glibc's does not allocate for these. */
    snprintf(line, sizeof(line), "%d %s\n", getpid(), sigabbrev_np(sig));
    append(traps[sig].fd, line);
    if (traps[sig].exit_code >= 0)
        _exit(traps[sig].exit_code);
    errno = saved;
}

static void set_trap(const char *path, int exit_code, const char *name)
{
    int sig = signal_number(name);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    traps[sig] = (struct trap){.fd = open_append(path), .exit_code = exit_code};
    sigfillset(&action.sa_mask);
    if (sigaction(sig, &action, NULL) < 0)
        err(123, "sigaction %s", name);
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static void sleep_for(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static void describe(const char *path)
{
    char cwd[4096];
    gid_t groups[256];
    char part[4128];
    snprintf(part, sizeof(part), "%s.part", path);
    FILE *out = fopen(part, "we");
    if (!out)
        err(122, "%s", part);

    mode_t mask = umask(0);
    umask(mask);
    fprintf(out, "uid %d %d\ngid %d %d\n", getuid(), geteuid(), getgid(), getegid());
    fprintf(out, "groups");
    int count = getgroups(256, groups);
    for (int i = 0; i < count; i++)
        fprintf(out, " %d", groups[i]);
    fprintf(out, "\ncwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    fprintf(out, "umask %04o\nsid %d\npgid %d\npid %d\n", mask, getsid(0), getpgid(0), getpid());

    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int sig = 1; sig < MAX_SIGNAL; sig++) {
        struct sigaction action;
        if (sigismember(&blocked, sig) == 1)
            fprintf(out, "blocked %d\n", sig);
        if (sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            fprintf(out, "ignored %d\n", sig);
    }

    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(fds) || fd == fileno(out))
            continue;
        ssize_t n = readlinkat(dirfd(fds), entry->d_name, cwd, sizeof(cwd) - 1);
        fprintf(out, "fd %d %.*s\n", fd, (int)(n < 0 ? 0 : n), cwd);
    }
    if (fds)
        closedir(fds);
    for (char **env = environ; *env; env++)
        fprintf(out, "env %s\n", *env);
    if (fclose(out) != 0 || rename(part, path) < 0)
        err(122, "%s", path);
}

static void run_text(char *text)
{
    char *steps[MAX_STEPS + 1];
    int count = 0;

    for (char *word = strtok(text, " \t\n"); word && count < MAX_STEPS; word = strtok(NULL, " \t\n"))
        steps[count++] = word;
    steps[count] = NULL;
    run(steps);
}

static void run_file(const char *path)
{
    char text[8192];
    size_t used = 0;
    int fd;

    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        err(122, "%s", path);
    for (;;) {
        ssize_t n = read(fd, text + used, sizeof(text) - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    close(fd);
    run_text(text);
}

/* Nobody listens while supd is dead: what is said then is lost.  FD: goes along; -1: nothing does. */
static void notify(const char *text, int fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct msghdr msg = {.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &iov, .msg_iovlen = 1};
    const char *path = getenv("NOTIFY_SOCKET");
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!path || s < 0)
        errx(124, "no NOTIFY_SOCKET");
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
    }
    sendmsg(s, &msg, 0);
    close(s);
}

static void keep(const char *name)
{
    char text[256];
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        err(124, "memfd_create");
    snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
    notify(text, fd);
}

static void newline(int fd)
{
    append(fd, "\n");
    close(fd);
}

static void die_of(int sig)
{
    sigset_t set;

    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), sig);
}

static void dump_core(void)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    setrlimit(RLIMIT_CORE, &unlimited);
    die_of(SIGABRT);
}

static void fork_child(const char *mark_path, int own_session)
{
    pid_t pid = fork();

    if (pid < 0)
        err(124, "fork");
    if (pid > 0)
        return;
    if (own_session)
        setsid();
    if (mark_path)
        mark(mark_path);
    wait_for_ever();
}

static void number_lines(double milliseconds)
{
    for (unsigned long n = 1;; n++) {
        printf("%lu\n", n);
        fflush(stdout);
        sleep_for(milliseconds / 1000);
    }
}

static void write_whole(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, text, len);

        if (written < 0 && errno != EINTR)
            err(125, "write");
        text += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
}

/* At least COUNT, and until the file UNTIL is there (NULL: no more); in pieces that do not end with the lines. */
static unsigned long number_many(unsigned long count, const char *until, double microseconds)
{
    static char text[65536];
    unsigned long n = 0;
    size_t len = 0;
    size_t piece = 1;
    char xs[120];

    memset(xs, 'x', sizeof(xs));
    while (n < count || (until && (n % 100 != 0 || access(until, F_OK) != 0))) {
        len += (size_t)sprintf(text + len, "%08lu %.*s\n", n, (int)(n * 7919 % 120), xs);
        if (++n % 100 == 0)
            sleep_for(microseconds / 1e6);
        if (len < piece)
            continue;
        write_whole(text, piece);
        memmove(text, text + piece, len - piece);
        len -= piece;
        piece = piece * 48271 % 9973 + 1;
    }
    write_whole(text, len);
    return n;
}

static void number_until(const char *path, unsigned long count, double microseconds)
{
    unsigned long n = number_many(count, path, microseconds);
    FILE *file = fopen(path, "a");

    if (!file || fprintf(file, "%lu\n", n) < 0 || fclose(file) != 0)
        err(125, "%s", path);
}

static unsigned chance(unsigned below)
{
    unsigned number;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        err(125, "getrandom");
    return number % below;
}

static void draw_fate(double milliseconds)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGHUP, SIGUSR2, SIGALRM};
    enum { N_SIGNALS = sizeof(signals) / sizeof(signals[0]) };

    fate.seconds = milliseconds / 1000 * chance(1001) / 1000;
    if (chance(3) == 0)
        fate.signal = signals[chance(N_SIGNALS)];
    else
        fate.exit_code = chance(4) == 0 ? 0 : (int)chance(100) + 1;
}

/* TEXT and a pidfd of ours, in one datagram. */
static void send_self(const char *path, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof(address),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.buf,
                             .msg_controllen = sizeof(control.buf)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (sock < 0 || pidfd < 0 || strlen(path) >= sizeof(address.sun_path))
        err(126, "%s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pidfd, sizeof(int));
    if (sendmsg(sock, &message, 0) < 0)
        err(126, "%s", path);
    close(pidfd);
    close(sock);
}

static void born(const char *path, const char *name, double milliseconds)
{
    struct timespec now;
    char end[32] = "-";
    char text[256];

    if (milliseconds > 0) {
        draw_fate(milliseconds);
        snprintf(end, sizeof(end), "%s %d", fate.signal ? "signaled" : "exited",
                 fate.signal ? fate.signal : fate.exit_code);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof(text), "%s %d %lld.%09ld %s", name, getpid(), (long long)now.tv_sec, now.tv_nsec, end);
    send_self(path, text);
}

static void meet_fate(void)
{
    sleep_for(fate.seconds);
    if (fate.signal)
        die_of(fate.signal);
    exit(fate.exit_code);
}

static void *run_in_thread(void *step)
{
    run(step);
    exit(EXIT_SUCCESS);
}

static void go_on_in_thread(char **step)
{
    pthread_t thread;

    errno = pthread_create(&thread, NULL, run_in_thread, step);
    if (errno)
        err(120, "pthread_create");
    syscall(SYS_exit, 0);
}

static char *argument(char ***step)
{
    char *arg = *++*step;

    if (!arg)
        errx(120, "a step lacks an argument");
    return arg;
}

static void run_step(char ***step)
{
    const char *name = **step;

    if (strcmp(name, "mark") == 0) {
        mark(argument(step));
    } else if (strcmp(name, "alone") == 0) {
        alone(argument(step));
    } else if (strcmp(name, "print") == 0) {
        printf("%s\n", argument(step));
        fflush(stdout);
    } else if (strcmp(name, "complain") == 0) {
        fprintf(stderr, "%s\n", argument(step));
    } else if (strcmp(name, "lines") == 0) {
        number_lines(atof(argument(step)));
    } else if (strcmp(name, "numbers") == 0) {
        number_many(strtoul(argument(step), NULL, 10), NULL, 0);
    } else if (strcmp(name, "numbers-until") == 0) {
        const char *path = argument(step);
        unsigned long count = strtoul(argument(step), NULL, 10);
        number_until(path, count, atof(argument(step)));
    } else if (strcmp(name, "ignore") == 0) {
        signal(signal_number(argument(step)), SIG_IGN);
    } else if (strcmp(name, "trap") == 0) {
        const char *path = argument(step);
        set_trap(path, -1, argument(step));
    } else if (strcmp(name, "trap-exit") == 0) {
        const char *path = argument(step);
        int code = atoi(argument(step));
        set_trap(path, code, argument(step));
    } else if (strcmp(name, "describe") == 0) {
        describe(argument(step));
    } else if (strcmp(name, "children") == 0) {
        for (int left = atoi(argument(step)); left > 0; left--)
            fork_child(NULL, 0);
    } else if (strcmp(name, "child-mark") == 0) {
        fork_child(argument(step), 0);
    } else if (strcmp(name, "stray") == 0) {
        fork_child(NULL, 1);
    } else if (strcmp(name, "gate") == 0 || strcmp(name, "script") == 0) {
        run_file(argument(step));
    } else if (strcmp(name, "born") == 0) {
        const char *path = argument(step);
        const char *who = argument(step);
        born(path, who, atof(argument(step)));
    } else if (strcmp(name, "notify") == 0) {
        notify(argument(step), -1);
    } else if (strcmp(name, "newline") == 0) {
        newline(atoi(argument(step)));
    } else if (strcmp(name, "keep") == 0) {
        keep(argument(step));
    } else if (strcmp(name, "fate") == 0) {
        meet_fate();
    } else if (strcmp(name, "thread") == 0) {
        go_on_in_thread(*step + 1);
    } else if (strcmp(name, "sleep") == 0) {
        sleep_for(atof(argument(step)));
    } else if (strcmp(name, "for-ever") == 0) {
        wait_for_ever();
    } else if (strcmp(name, "exit") == 0) {
        exit(atoi(argument(step)));
    } else if (strcmp(name, "raise") == 0) {
        die_of(signal_number(argument(step)));
    } else if (strcmp(name, "core") == 0) {
        dump_core();
    } else {
        errx(120, "no such step: %s", name);
    }
}

static void run(char **step)
{
    for (; *step; step++)
        run_step(&step);
}

int main(int argc, char **argv)
{
    (void)argc;
    run(argv + 1);
    return EXIT_SUCCESS;
}
