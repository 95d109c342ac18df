/* SPDX-License-Identifier: MIT */
#include "os/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check_main.h"

#define RECORD 256

static char dir[40];
static char path[64];
static struct statefile *state;
static uint8_t record[RECORD];

static void setup(void)
{
    strcpy(dir, "/tmp/test_state.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state", dir);
    state = NULL;
}

static void remove_in_dir(const char *name)
{
    char other[64];

    snprintf(other, sizeof other, "%s/%s", dir, name);
    unlink(other);
    rmdir(other);
}

static void teardown(void)
{
    statefile_free(state);
    remove_in_dir("state");
    remove_in_dir("state.new");
    remove_in_dir("state.bad");
    remove_in_dir("filler");
    rmdir(dir);
}

/* COUNT records of one letter each. */
struct content {
    char letter;
    size_t count;
};

static void put_content(void *ctx, struct statefile *file)
{
    const struct content *content = ctx;

    memset(record, content->letter, sizeof record);
    for (size_t i = 0; i < content->count; i++)
        statefile_put(file, record, sizeof record);
}

static int rewrite_with(char letter, size_t count)
{
    struct content content = {letter, count};

    return statefile_rewrite(state, put_content, &content);
}

static int append(char letter)
{
    memset(record, letter, sizeof record);
    return statefile_append(state, record, sizeof record);
}

/* How many bytes from DATA on are the first one's like. */
static size_t run_length(const uint8_t *data, size_t len)
{
    size_t n = 0;

    while (n < len && data[n] == data[0])
        n++;
    return n;
}

/* The file is COUNT[0] records of LETTERS[0] and so on, and nothing else. */
static void holds(const char *letters, const size_t *count)
{
    uint8_t *data;
    size_t len;
    size_t at = 0;

    ck_assert_int_eq(statefile_read(dir, &data, &len), 0);
    for (size_t i = 0; letters[i] != '\0'; i++) {
        size_t n = run_length(data + at, len - at);
        ck_assert_msg(n == count[i] * RECORD && data[at] == (uint8_t)letters[i],
                      "%zu bytes of %c at %zu, wanted %zu of %c", n, n > 0 ? data[at] : '-', at, count[i] * RECORD,
                      letters[i]);
        at += n;
    }
    ck_assert_uint_eq(at, len);
    free(data);
}

static off_t size_of(const char *name)
{
    struct stat st;

    ck_assert_int_eq(stat(name, &st), 0);
    return st.st_size;
}

START_TEST(missing_file_is_empty)
{
    uint8_t *data = record;
    size_t len = 5;

    ck_assert_int_eq(statefile_read(dir, &data, &len), 0);
    ck_assert_ptr_null(data);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(statefile_remove(dir), 0);
    statefile_set_aside(dir);

    state = statefile_new(dir);
    ck_assert_int_eq(statefile_fd(state), -1);
    ck_assert_int_eq(append('a'), -EBADF);
    ck_assert(!statefile_wants_rewrite(state));
}
END_TEST

START_TEST(append_and_rewrite)
{
    struct stat st;

    umask(0);
    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 3), 0);
    ck_assert_int_eq(append('b'), 0);
    ck_assert_int_eq(append('b'), 0);
    holds("ab", (size_t[]){3, 2});

    ck_assert_int_eq(fstat(statefile_fd(state), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(fcntl(statefile_fd(state), F_GETFD), FD_CLOEXEC);
    ck_assert_int_ne(fcntl(statefile_fd(state), F_GETFL) & O_APPEND, 0);

    ck_assert_int_eq(rewrite_with('c', 1000), 0);
    ck_assert_int_eq(append('d'), 0);
    holds("cd", (size_t[]){1000, 1});
    ck_assert_int_eq(rewrite_with('e', 0), 0);
    ck_assert_int_eq(append('f'), 0);
    holds("f", (size_t[]){1});
    ck_assert_uint_eq((uint64_t)size_of(path), RECORD); /* what is kept in reserve does not show */
}
END_TEST

/* A child writes its own record to the descriptor that it inherited. */
START_TEST(children_append_beside_us)
{
    enum { CHILDREN = 20, EACH = 50 };
    size_t count[26] = {0};
    uint8_t *data;
    size_t len;
    int status;

    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 1), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            memset(record, 'b' + i, sizeof record);
            for (int k = 0; k < EACH; k++) {
                if (write(statefile_fd(state), record, sizeof record) != sizeof record)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < EACH; i++)
        ck_assert_int_eq(append('a'), 0);
    while (wait(&status) > 0)
        ck_assert_int_eq(status, 0);

    ck_assert_int_eq(statefile_read(dir, &data, &len), 0);
    ck_assert_uint_eq(len, (1 + EACH + CHILDREN * EACH) * RECORD);
    for (size_t at = 0; at < len; at += RECORD) {
        size_t whole = run_length(data + at, RECORD);
        ck_assert_msg(whole == RECORD, "a record was torn at byte %zu", at + whole);
        count[data[at] - 'a']++;
    }
    for (int i = 1; i <= CHILDREN; i++)
        ck_assert_uint_eq(count[i], EACH);
    free(data);
}
END_TEST

START_TEST(failed_rewrite_leaves_the_old_file_in_use)
{
    char fresh[72];

    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 2), 0);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    ck_assert_int_eq(mkdir(fresh, 0700), 0);
    ck_assert_int_eq(rewrite_with('b', 5), -EISDIR);
    ck_assert_int_eq(append('c'), 0);
    holds("ac", (size_t[]){2, 1});
    ck_assert_int_eq(rmdir(fresh), 0);
    ck_assert_int_eq(symlink("/dev/null", fresh), 0);
    ck_assert_int_eq(rewrite_with('b', 5), -ELOOP);
    ck_assert_int_eq(unlink(fresh), 0);

    ck_assert_int_eq(rewrite_with('d', 1), 0);
    holds("d", (size_t[]){1});
}
END_TEST

/* What a writer that was killed leaves behind is in nobody's way. */
START_TEST(rewrite_is_all_or_nothing)
{
    enum { COUNT = 400 };

    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', COUNT), 0);
    for (int round = 0; round < 60; round++) {
        int begun[2];
        char byte;

        ck_assert_int_eq(pipe(begun), 0);
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int i = 0;; i++) {
                if (rewrite_with(i % 2 ? 'a' : 'b', COUNT) < 0 || write(begun[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        close(begun[1]);
        ck_assert_int_eq(read(begun[0], &byte, 1), 1);
        for (int spin = 0; spin < round * 1000; spin++)
            __asm__ volatile("" ::: "memory");
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(begun[0]);

        uint8_t *data;
        size_t len;
        ck_assert_int_eq(statefile_read(dir, &data, &len), 0);
        ck_assert_uint_eq(len, COUNT * RECORD);
        size_t same = run_length(data, len);
        ck_assert_msg(same == len, "round %d: old and new mixed at byte %zu", round, same);
        free(data);
    }
    ck_assert_int_eq(rewrite_with('z', 1), 0);
    holds("z", (size_t[]){1});
}
END_TEST

START_TEST(wants_to_be_rewritten_once_it_has_grown)
{
    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 10), 0);
    ck_assert(!statefile_wants_rewrite(state));
    unsigned appended = 0;
    while (!statefile_wants_rewrite(state)) {
        ck_assert_int_eq(append('b'), 0);
        ck_assert_uint_lt(++appended, 10000);
    }
    ck_assert_uint_gt(appended, 4 * 10);
    ck_assert_int_eq(rewrite_with('a', 10), 0);
    ck_assert(!statefile_wants_rewrite(state));

    /* A large one may grow by a multiple of itself. */
    ck_assert_int_eq(rewrite_with('a', 4000), 0);
    for (int i = 0; i < 4000; i++)
        ck_assert_int_eq(append('b'), 0);
    ck_assert(!statefile_wants_rewrite(state));
}
END_TEST

START_TEST(set_aside_and_remove)
{
    char bad[72];

    snprintf(bad, sizeof bad, "%s.bad", path);
    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 2), 0);
    statefile_set_aside(dir);
    ck_assert_int_lt(access(path, F_OK), 0);
    ck_assert_int_eq(size_of(bad), 2 * RECORD);

    ck_assert_int_eq(rewrite_with('b', 3), 0);
    statefile_set_aside(dir);
    ck_assert_int_eq(size_of(bad), 3 * RECORD);

    ck_assert_int_eq(rewrite_with('c', 1), 0);
    ck_assert_int_eq(statefile_remove(dir), 0);
    ck_assert_int_lt(access(path, F_OK), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_lt(statefile_remove(dir), 0);
}
END_TEST

START_TEST(what_cannot_be_read_is_told)
{
    uint8_t *data;
    size_t len;

    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(statefile_read(dir, &data, &len), -EISDIR);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    ck_assert_int_eq(statefile_read(dir, &data, &len), -ELOOP);
}
END_TEST

START_TEST(short_write_is_told)
{
    struct rlimit limit = {.rlim_cur = 3 * RECORD + 100, .rlim_max = RLIM_INFINITY};

    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 3), 0);
    ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(append('b'), -ENOSPC);
    ck_assert_int_eq(append('b'), -EFBIG);
    ck_assert_int_eq(rewrite_with('c', 10), -EFBIG);
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(append('d'), 0);
    ck_assert_int_eq(size_of(path), 3 * RECORD + 100 + RECORD);
}
END_TEST

/* A file system of 1 MiB over DIR, in a mount namespace of our own; false where we may not. */
static bool mount_small(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    return mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0755") == 0;
}

static size_t fill_up(void)
{
    static char block[4096];
    char filler[64];
    size_t written = 0;
    ssize_t n;

    snprintf(filler, sizeof filler, "%s/filler", dir);
    int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ck_assert_int_ge(fd, 0);
    while ((n = write(fd, block, sizeof block)) > 0)
        written += (size_t)n;
    ck_assert_int_eq(errno, ENOSPC);
    close(fd);
    return written;
}

START_TEST(full_file_system)
{
    if (!mount_small()) {
        printf("# full_file_system is skipped: no mount namespace of our own: %s\n", strerror(errno));
        fflush(stdout);
        return;
    }
    state = statefile_new(dir);
    ck_assert_int_eq(rewrite_with('a', 2), 0);
    fill_up();

    /* The reserve: records go on for a good while, as long as somebody asks for no new file. */
    size_t appended = 0;
    int rc;
    while ((rc = append('b')) == 0) {
        statefile_wants_rewrite(state);
        ck_assert_uint_lt(++appended, 10000);
    }
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_msg(appended >= 100, "only %zu records found room", appended);
    ck_assert_int_eq(rewrite_with('c', 100), -ENOSPC);
    char fresh[72];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    ck_assert_msg(access(fresh, F_OK) < 0, "the failed attempt is left");

    remove_in_dir("filler");
    ck_assert_int_eq(append('d'), 0);
    ck_assert_int_eq(rewrite_with('e', 3), 0);
    holds("e", (size_t[]){3});
    statefile_free(state);
    state = NULL;
    ck_assert_int_eq(umount2(dir, MNT_DETACH), 0);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("statefile");
    TCase *tc = tcase_create("statefile");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, missing_file_is_empty);
    tcase_add_test(tc, append_and_rewrite);
    tcase_add_test(tc, children_append_beside_us);
    tcase_add_test(tc, failed_rewrite_leaves_the_old_file_in_use);
    tcase_add_test(tc, rewrite_is_all_or_nothing);
    tcase_add_test(tc, wants_to_be_rewritten_once_it_has_grown);
    tcase_add_test(tc, set_aside_and_remove);
    tcase_add_test(tc, what_cannot_be_read_is_told);
    tcase_add_test(tc, short_write_is_told);
    tcase_add_test(tc, full_file_system);
    suite_add_tcase(suite, tc);
    return suite;
}
