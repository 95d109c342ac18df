/* SPDX-License-Identifier: MIT */
/*
 * The inputs that are kept, through the target that each is for: those that once
 * showed a fault, and some of each kind.  Each runs in a process of its own, so
 * that one which kills it is one failed test.  $top_srcdir names the tree, unless files
 * TARGET/NAME are given as arguments.  The output is TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "core/proto.h"
#include "fuzz/fuzz.h"

#define LIMIT 60 /* seconds for one input */

static unsigned n_done;
static unsigned n_failed;

/* The whole file, to be freed: a block of its size and no byte more, for the sanitizers to guard. */
static uint8_t *read_input(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    uint8_t *data = xmalloc((size_t)st.st_size);
    ssize_t n = read(fd, data, (size_t)st.st_size);
    if (n != st.st_size) {
        fprintf(stderr, "%s: cannot be read whole\n", path);
        exit(EXIT_FAILURE);
    }
    close(fd);
    *size = (size_t)n;
    return data;
}

static void replay(const struct fuzz_target *target, const char *path)
{
    const char *name = strrchr(path, '/');
    size_t size;
    uint8_t *data = read_input(path, &size);
    int status = -1;

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(LIMIT);
        target->run(data, size);
        free(data);
        exit(EXIT_SUCCESS);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    bool good = status == 0;
    n_failed += !good;
    printf("%sok %u - %s%s\n", good ? "" : "not ", ++n_done, target->name, name ? name : path);
    free(data);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_all(const struct fuzz_target *target, const char *top)
{
    char *dir = xasprintf("%s/tests/fuzz/corpus/%s", top, target->name);
    struct dirent **entries;
    int n = scandir(dir, &entries, is_visible, alphasort);

    if (n < 0)
        fprintf(stderr, "%s: %s\n", dir, strerror(errno));
    printf("%sok %u - there are inputs for %s\n", n > 0 ? "" : "not ", ++n_done, target->name);
    n_failed += n <= 0;
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", dir, entries[i]->d_name);
        replay(target, path);
        free(path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    free(dir);
}

int main(int argc, char **argv)
{
    const char *top = getenv("top_srcdir");

    proto_init();
    for (int i = 1; i < argc; i++) {
        char *folder = xstrndup(argv[i], strcspn(argv[i], "/"));
        const struct fuzz_target *target = fuzz_target_find(folder);
        free(folder);
        if (!target) {
            fprintf(stderr, "%s: call it in the folder of the corpus, with TARGET/NAME\n", argv[i]);
            return EXIT_FAILURE;
        }
        replay(target, argv[i]);
    }
    for (size_t i = 0; argc == 1 && i < fuzz_n_targets; i++)
        replay_all(&fuzz_targets[i], top ? top : ".");
    printf("1..%u\n", n_done);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
