/* SPDX-License-Identifier: MIT */
#include "os/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "os/kernel.h"
#include "os/procfs.h"

#define PIDFS_MAGIC 0x50494446 /* PID_FS_MAGIC of Linux 6.9 */

/*
 * From Linux 6.13's interface of pidfds, with the exit status of 6.15; here because the
 * headers of most systems are older.  The kernel takes any size from this one on.
 */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t pid;
    uint32_t tgid;
    uint32_t ppid;
    uint32_t ids[8];
    int32_t exit_code;
};

_Static_assert(sizeof(struct pidfd_info_v0) == 64, "the first published size of struct pidfd_info");

#define INFO_CGROUPID (UINT64_C(1) << 2)
#define INFO_EXIT (UINT64_C(1) << 3)
#define GET_INFO _IOWR(0xFF, 11, struct pidfd_info_v0)

static unsigned pretended_lacks;

void identity_pretend(unsigned lacks)
{
    pretended_lacks = lacks;
}

/* A wait status as the kernel keeps it for a reaped process; false: it does not tell. */
static bool reaped_status(int pidfd, int *wait_status)
{
    struct pidfd_info_v0 info = {.mask = INFO_EXIT};

    if (pidfd < 0 || pretended_lacks & IDENTITY_LACKS_EXIT)
        return false;
    if (ioctl(pidfd, GET_INFO, &info) == -1 || (info.mask & INFO_EXIT) == 0)
        return false;
    *wait_status = info.exit_code;
    return true;
}

/* To its end: with half of it every living process would count as one of an earlier boot. */
static int read_boot_id(struct epoch *epoch)
{
    size_t used = 0;
    ssize_t n;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;

    do {
        n = read(fd, epoch->boot_id + used, sizeof(epoch->boot_id) - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n == -1 && errno == EINTR));
    int err = errno;
    close(fd);
    if (n == -1 || used == 0)
        return n == -1 ? -err : -ENODATA;
    epoch->boot_id[strcspn(epoch->boot_id, "\n")] = '\0';
    return 0;
}

int identity_epoch(struct epoch *epoch, const char **what)
{
    struct stat st;
    struct procfs_stat init;

    memset(epoch, 0, sizeof(*epoch));
    *what = "/proc/sys/kernel/random/boot_id";
    int rc = read_boot_id(epoch);
    if (rc < 0)
        return rc;

    *what = "/proc/self/ns/pid";
    if (stat(*what, &st) == -1)
        return -errno;
    epoch->pidns = st.st_ino;

    *what = "/proc/1/stat";
    rc = procfs_read_stat(1, &init);
    if (rc == 0)
        epoch->init_start = init.start_ticks;
    /* Where /proc is mounted with hidepid, PID 1 is hidden from ordinary users: the rest of the epoch has to do. */
    return rc == -ESRCH || rc == -EACCES || rc == -EPERM ? 0 : rc;
}

int identity_pidfd(pid_t pid)
{
    if (pretended_lacks & IDENTITY_LACKS_PIDFD)
        return -ENOSYS;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0)
        return fd;
    /* The call itself knows no EPERM: so says a sandbox that has never heard of it. */
    return errno == EPERM ? -ENOSYS : -errno;
}

int identity_signal(int pidfd, int signo)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) == -1 ? -errno : 0;
}

/* Not reaped yet: so its number belongs to it, and what /proc says of the number it says of this process. */
static bool is_pinned(int pidfd)
{
    return identity_signal(pidfd, 0) != -ESRCH;
}

int identity_open(pid_t pid, uint64_t start_ticks)
{
    struct procfs_stat st;

    if (pid <= 0)
        return -ESRCH;
    int pidfd = identity_pidfd(pid);
    if (pidfd < 0)
        return pidfd == -EINVAL || pidfd == -ENOENT ? -ESRCH : pidfd; /* the number of a mere thread */

    int rc = procfs_read_stat(pid, &st);
    if (rc == 0 && (st.start_ticks != start_ticks || !is_pinned(pidfd)))
        rc = -ESRCH;
    if (rc < 0) {
        close(pidfd);
        return rc;
    }
    return pidfd;
}

/* Older kernels give all pidfds the one inode of anonymous files.  There is one pidfs: it is asked what it is once. */
static bool is_pidfs(int pidfd, dev_t dev)
{
    static dev_t pidfs; /* 0: not seen yet */
    struct statfs fs;

    if (pidfs != 0)
        return dev == pidfs;
    if (fstatfs(pidfd, &fs) == -1 || fs.f_type != PIDFS_MAGIC)
        return false;
    pidfs = dev;
    return true;
}

bool identity_has_memory(pid_t pid)
{
#ifdef SYS_move_pages
    /* Where none of its pages is asked for, nothing is done but to look whether there can be any. */
    return syscall(SYS_move_pages, pid, 0UL, NULL, NULL, NULL, 0) == 0;
#else
    (void)pid;
    return false;
#endif
}

uint64_t identity_inode(int pidfd)
{
    struct stat st;

    if (pidfd < 0 || pretended_lacks & IDENTITY_LACKS_INODE)
        return 0;
    return fstat(pidfd, &st) == 0 && is_pidfs(pidfd, st.st_dev) ? st.st_ino : 0;
}

bool identity_inode_tells(uint64_t inode)
{
    return inode != 0 && sizeof(ino_t) >= sizeof(inode);
}

/* The inode alone says whose descriptor it is, since no other process of this boot has it: /proc need not be asked. */
static int open_by_inode(pid_t pid, uint64_t inode)
{
    int pidfd = pid > 0 ? identity_pidfd(pid) : -ESRCH;

    if (pidfd < 0)
        return pidfd == -EINVAL || pidfd == -ENOENT ? -ESRCH : pidfd;
    if (identity_inode(pidfd) == inode)
        return pidfd;
    close(pidfd);
    return -ESRCH;
}

int identity_open_recorded(pid_t pid, uint64_t start_ticks, uint64_t inode)
{
    if (identity_inode_tells(inode))
        return open_by_inode(pid, inode);
    int pidfd = identity_open(pid, start_ticks);
    if (pidfd < 0 || inode == 0 || identity_inode(pidfd) == inode)
        return pidfd;
    close(pidfd);
    return -ESRCH;
}

uint64_t identity_cgroup(int pidfd)
{
    struct pidfd_info_v0 info = {.mask = INFO_CGROUPID};

    if (pidfd < 0 || ioctl(pidfd, GET_INFO, &info) == -1 || (info.mask & INFO_CGROUPID) == 0)
        return 0;
    return info.cgroupid;
}

void identity_exit_from_wait_status(int wait_status, struct exit_info *exit)
{
    if (WIFEXITED(wait_status)) {
        exit->how = EXIT_HOW_EXITED;
        exit->code = WEXITSTATUS(wait_status);
        exit->signal = 0;
        exit->core = false;
        return;
    }
    exit->how = EXIT_HOW_SIGNALED;
    exit->code = 0;
    exit->signal = WTERMSIG(wait_status);
    exit->core = WCOREDUMP(wait_status);
}

bool identity_has_ended(int pidfd, pid_t pid, uint64_t start_ticks)
{
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    struct procfs_stat st;

    if (pidfd >= 0)
        return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLIN | POLLHUP)) != 0;
    int rc = procfs_read_stat(pid, &st);
    if (rc < 0)
        return rc == -ESRCH;
    return st.start_ticks != start_ticks || procfs_is_dead(&st);
}

bool identity_have_process_status(void)
{
    static enum { NOT_ASKED, HERE, MISSING } status;

    if (status == NOT_ASKED)
        status = kernel_is_at_least(5, 17) ? HERE : MISSING;
    return (pretended_lacks & IDENTITY_LACKS_PROCESS_STATUS) == 0 && status == HERE;
}

/* The time on processors of the first thread of PID, in nanoseconds; 0 where the kernel does not tell. */
static uint64_t first_thread_time(pid_t pid)
{
    char path[32];
    uint64_t ns;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    FILE *fp = fopen(path, "re");
    if (fp == NULL)
        return 0;
    if (fscanf(fp, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(fp);
    return ns;
}

bool identity_is_success(pid_t pid)
{
    clockid_t clock;
    struct timespec all;

    if (identity_have_process_status())
        return true;
    /* No thread comes and goes without having run. */
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &all) == -1)
        return false;
    return first_thread_time(pid) == (uint64_t)all.tv_sec * USEC_PER_SEC * 1000 + (uint64_t)all.tv_nsec;
}

/*
 * The status of a zombie from /proc.  The pidfd is asked first whether the process has
 * ended: the leader of a threaded program is shown as a zombie while its threads live on.
 */
static bool zombie_status(int pidfd, pid_t pid, uint64_t start_ticks, int *wait_status)
{
    struct procfs_stat st;

    if (!identity_has_ended(pidfd, pid, start_ticks) || procfs_read_stat(pid, &st) < 0)
        return false;
    if ((st.state != 'Z' && st.state != 'X') || st.start_ticks != start_ticks)
        return false;
    if (pidfd >= 0 && !is_pinned(pidfd))
        return false;
    if (st.exit_code == 0 && !(procfs_have_ptrace_cap() && identity_have_process_status()))
        return false;
    *wait_status = st.exit_code;
    return true;
}

bool identity_exit_status(int pidfd, pid_t pid, uint64_t start_ticks, struct exit_info *exit)
{
    int wait_status;

    if (reaped_status(pidfd, &wait_status))
        exit->source = EXIT_SOURCE_PIDFD;
    else if (zombie_status(pidfd, pid, start_ticks, &wait_status))
        exit->source = EXIT_SOURCE_PROC;
    else
        return false;
    identity_exit_from_wait_status(wait_status, exit);
    return true;
}

struct usage identity_zombie_usage(pid_t pid, uint64_t start_ticks)
{
    struct procfs_stat st;
    int64_t ticks = sysconf(_SC_CLK_TCK);

    if (procfs_read_stat(pid, &st) < 0 || !procfs_is_dead(&st) || st.start_ticks != start_ticks)
        return (struct usage){0};
    return (struct usage){
        .cpu_from = USAGE_PROC,
        .rest_from = USAGE_PROC,
        .cpu_user = (int64_t)(st.utime + st.waited_utime) * USEC_PER_SEC / ticks,
        .cpu_system = (int64_t)(st.stime + st.waited_stime) * USEC_PER_SEC / ticks,
        .faults_minor = st.faults_minor,
        .faults_major = st.faults_major,
    };
}

/*
 * Kernels from 6.13 to 6.14 have the ioctl without the status, and no kernel tells
 * for a living process what it will tell later: so a child is made, ends and is reaped.
 */
static bool probe_pidfd_exit(void)
{
    siginfo_t info;
    sigset_t all;
    sigset_t before;
    int wait_status;
    bool have = false;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* the child must not run our handlers */
    pid_t pid = fork();
    if (pid == 0)
        _exit(1);
    if (pid > 0) {
        int pidfd = identity_pidfd(pid);
        waitid(P_PID, (id_t)pid, &info, WEXITED);
        if (pidfd >= 0) {
            have = reaped_status(pidfd, &wait_status) && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 1;
            close(pidfd);
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return have;
}

bool identity_have_pidfd_exit(void)
{
    static int answer = -1;

    if (pretended_lacks & (IDENTITY_LACKS_EXIT | IDENTITY_LACKS_PIDFD))
        return false;
    if (answer == -1)
        answer = probe_pidfd_exit();
    return answer != 0;
}
