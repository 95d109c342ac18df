/* SPDX-License-Identifier: MIT */
#include "os/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check_main.h"

static char base[40];
static char dir[64];
static char logs[80];
static char file[96];
static char err[512];

static void setup(void)
{
    strcpy(base, "/tmp/test_rundir.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    snprintf(dir, sizeof dir, "%s/run", base);
    snprintf(logs, sizeof logs, "%s/log", dir);
    snprintf(file, sizeof file, "%s/f", dir);
    err[0] = '\0';
}

static void teardown(void)
{
    char other[112];

    snprintf(other, sizeof other, "%s.new", file);
    unlink(other);
    unlink(file);
    rmdir(file);
    rmdir(logs);
    unlink(dir);
    rmdir(dir);
    rmdir(base);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    ck_assert_int_eq(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void prepare(void)
{
    ck_assert_msg(rundir_prepare(dir, err, sizeof err), "%s", err);
}

static void refused(const char *path, const char *place, const char *word)
{
    err[0] = '\0';
    ck_assert(!rundir_prepare(path, err, sizeof err));
    ck_assert_msg(strstr(err, place) && strstr(err, word), "'%s' names not '%s' or not '%s'", err, place, word);
}

START_TEST(is_made_with_its_modes_whatever_the_umask)
{
    umask(0777);
    prepare();
    ck_assert_uint_eq(mode_of(dir), 0755);
    ck_assert_uint_eq(mode_of(logs), 0700);
    umask(0);
    prepare();
    ck_assert_int_eq(rmdir(logs), 0);
    prepare();
    ck_assert_uint_eq(mode_of(logs), 0700);
}
END_TEST

START_TEST(tighter_modes_are_left_alone)
{
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    prepare();
    ck_assert_uint_eq(mode_of(dir), 0700);
}
END_TEST

START_TEST(writable_for_others_is_refused)
{
    static const mode_t modes[] = {0775, 0757, 0777, 01777};

    prepare();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        ck_assert_int_eq(chmod(dir, modes[i]), 0);
        refused(dir, dir, "chmod go-w");
    }
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(chmod(logs, 0770), 0);
    refused(dir, logs, "chmod go-w");
}
END_TEST

START_TEST(of_another_owner_is_refused)
{
    if (geteuid() != 0) {
        refused("/", "/", "belongs to uid 0");
        return;
    }
    prepare();
    ck_assert_int_eq(chown(logs, 65534, 65534), 0);
    refused(dir, logs, "belongs to uid 65534");
    ck_assert_int_eq(chown(logs, 0, 0), 0);
    ck_assert_int_eq(chown(dir, 65534, 65534), 0);
    refused(dir, dir, "belongs to uid 65534");

    /* And the other way round: root's, used by another. */
    ck_assert_int_eq(chown(dir, 0, 0), 0);
    ck_assert_int_eq(chmod(base, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = setuid(65534) == 0 && !rundir_prepare(dir, err, sizeof err) && strstr(err, "belongs to uid 0");
        _exit(ok ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(what_cannot_be_a_runtime_directory)
{
    refused("run/supd", "run/supd", "from / on");
    refused("", "", "from / on");

    char deep[128];
    snprintf(deep, sizeof deep, "%s/missing/run", base);
    refused(deep, deep, "make that first");

    int fd = open(dir, O_WRONLY | O_CREAT, 0644);
    ck_assert_int_ge(fd, 0);
    close(fd);
    refused(dir, dir, "Not a directory");
    ck_assert_int_eq(unlink(dir), 0);

    ck_assert_int_eq(symlink("nowhere", dir), 0);
    refused(dir, dir, "No such file or directory");
}
END_TEST

START_TEST(link_to_a_directory_of_ours_is_followed)
{
    char real[64];

    snprintf(real, sizeof real, "%s/real", base);
    ck_assert_int_eq(mkdir(real, 0755), 0);
    ck_assert_int_eq(symlink(real, dir), 0);
    prepare();
    ck_assert_uint_eq(mode_of(logs), 0700);
    rmdir(logs);
    rmdir(real);
}
END_TEST

START_TEST(default_place)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        char *path = rundir_default(err, sizeof err);
        bool ok = geteuid() != 0 || strcmp(path, "/run/supd") == 0;

        free(path);
        if (geteuid() == 0 && setuid(65534) < 0)
            _exit(2);
        setenv("XDG_RUNTIME_DIR", "/run/user/65534", 1);
        path = rundir_default(err, sizeof err);
        ok = ok && strcmp(path, "/run/user/65534/supd") == 0;
        free(path);
        setenv("XDG_RUNTIME_DIR", "relative", 1);
        ok = ok && !rundir_default(err, sizeof err) && strstr(err, "XDG_RUNTIME_DIR") && strstr(err, "-r");
        unsetenv("XDG_RUNTIME_DIR");
        ok = ok && !rundir_default(err, sizeof err) && strstr(err, "-r");
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void reads_back(const char *want, size_t want_len)
{
    char *data = NULL;
    size_t len = 0;

    ck_assert_int_eq(rundir_read_file(file, want_len + 1, &data, &len), 0);
    ck_assert_uint_eq(len, want_len);
    ck_assert_mem_eq(data, want, want_len);
    ck_assert_int_eq(data[len], '\0');
    free(data);
}

START_TEST(file_is_written_whole)
{
    size_t size = 300000;
    char *big = xmalloc(size);

    umask(0);
    prepare();
    memset(big, 'x', size);
    big[100] = '\0';
    ck_assert_int_eq(rundir_write_file(dir, "f", "one", 3), 0);
    reads_back("one", 3);
    ck_assert_uint_eq(mode_of(file), 0600);
    ck_assert_int_eq(rundir_write_file(dir, "f", big, size), 0);
    reads_back(big, size);
    ck_assert_int_eq(rundir_write_file(dir, "f", "", 0), 0);
    reads_back("", 0);
    free(big);
}
END_TEST

START_TEST(failed_write_leaves_the_old_file)
{
    char fresh[112];

    prepare();
    snprintf(fresh, sizeof fresh, "%s.new", file);
    ck_assert_int_eq(rundir_write_file(dir, "f", "old", 3), 0);

    ck_assert_int_eq(mkdir(fresh, 0700), 0);
    ck_assert_int_eq(rundir_write_file(dir, "f", "new", 3), -EISDIR);
    reads_back("old", 3);
    ck_assert_int_eq(rmdir(fresh), 0);

    ck_assert_int_eq(symlink("/dev/null", fresh), 0);
    ck_assert_int_eq(rundir_write_file(dir, "f", "new", 3), -ELOOP);
    reads_back("old", 3);
    ck_assert_int_eq(unlink(fresh), 0);

    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(mkdir(file, 0700), 0);
    ck_assert_int_eq(rundir_write_file(dir, "f", "new", 3), -EISDIR);
    ck_assert_msg(access(fresh, F_OK) < 0, "the failed attempt is left");
    ck_assert_int_eq(rundir_write_file("/nonexistent", "f", "new", 3), -ENOENT);
}
END_TEST

/* A reader beside a writer, who is killed at any moment: it is always one or the other. */
START_TEST(reader_never_sees_half_a_file)
{
    enum { SIZE = 100000 };
    char *text[2] = {xmalloc(SIZE), xmalloc(SIZE)};

    prepare();
    memset(text[0], 'a', SIZE);
    memset(text[1], 'b', SIZE);
    ck_assert_int_eq(rundir_write_file(dir, "f", text[0], SIZE), 0);
    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int i = 0;; i++)
                rundir_write_file(dir, "f", text[i % 2], SIZE);
        }
        for (int i = 0; i < 50; i++) {
            char *data;
            size_t len;

            ck_assert_int_eq(rundir_read_file(file, SIZE, &data, &len), 0);
            ck_assert_uint_eq(len, SIZE);
            ck_assert(memcmp(data, text[0], SIZE) == 0 || memcmp(data, text[1], SIZE) == 0);
            free(data);
        }
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    }
    ck_assert_int_eq(rundir_write_file(dir, "f", "end", 3), 0);
    reads_back("end", 3);
    free(text[0]);
    free(text[1]);
}
END_TEST

START_TEST(reading_is_bounded_and_never_hangs)
{
    char *data;
    size_t len;

    prepare();
    ck_assert_int_eq(rundir_read_file(file, 10, &data, &len), -ENOENT);
    ck_assert_int_eq(rundir_read_file(dir, 10, &data, &len), -EISDIR);

    ck_assert_int_eq(rundir_write_file(dir, "f", "0123456789", 10), 0);
    ck_assert_int_eq(rundir_read_file(file, 9, &data, &len), -EFBIG);
    reads_back("0123456789", 10);
    ck_assert_int_eq(rundir_read_file("/dev/zero", 100000, &data, &len), -EFBIG);

    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(mkfifo(file, 0600), 0);
    reads_back("", 0);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(symlink("/dev/null", file), 0);
    ck_assert_int_eq(rundir_read_file(file, 10, &data, &len), -ELOOP);
}
END_TEST

Suite *check_suite(void)
{
    Suite *suite = suite_create("rundir");
    TCase *tc = tcase_create("rundir");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, is_made_with_its_modes_whatever_the_umask);
    tcase_add_test(tc, tighter_modes_are_left_alone);
    tcase_add_test(tc, writable_for_others_is_refused);
    tcase_add_test(tc, of_another_owner_is_refused);
    tcase_add_test(tc, what_cannot_be_a_runtime_directory);
    tcase_add_test(tc, link_to_a_directory_of_ours_is_followed);
    tcase_add_test(tc, default_place);
    tcase_add_test(tc, file_is_written_whole);
    tcase_add_test(tc, failed_write_leaves_the_old_file);
    tcase_add_test(tc, reader_never_sees_half_a_file);
    tcase_add_test(tc, reading_is_bounded_and_never_hangs);
    suite_add_tcase(suite, tc);
    return suite;
}
