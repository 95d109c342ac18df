/* SPDX-License-Identifier: MIT */
#include "supd/reload_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/helper.h"
#include "os/identity.h"

json_t *reload_errors_to_json(const struct config_errors *errors)
{
    json_t *array = json_array();

    for (size_t i = 0; i < errors->n; i++)
        json_array_append_new(array, json_pack("{s:s, s:i, s:s}", "file", errors->items[i].file, "line",
                                               (int)errors->items[i].line, "message", errors->items[i].message));
    return array;
}

static void write_or_die(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(EXIT_FAILURE);
        data += n;
        len -= (size_t)n;
    }
}

/* In the child: nothing of supd's may be used but the memory. */
static void helper_run(const char *path, int fd) __attribute__((noreturn));

static void helper_run(const char *path, int fd)
{
    struct config_errors errors;
    char kind = RELOAD_ANSWER_GOOD;
    char *text;

    /* The lock, the sockets and the clients are not to be held open by somebody who may hang. */
    dup3(fd, 3, O_CLOEXEC);
    closefrom(4);

    struct config *config = config_load(path, &errors);
    if (errors.n == 0) {
        text = config_dump(config);
    } else {
        kind = RELOAD_ANSWER_ERRORS;
        text = json_dumps(reload_errors_to_json(&errors), JSON_COMPACT);
    }
    write_or_die(3, &kind, 1);
    write_or_die(3, text, strlen(text));
    _exit(EXIT_SUCCESS);
}

int reload_helper_start(const char *path, int *answer_fd, int *pidfd)
{
    int fd = -1;
    pid_t pid = helper_fork(&fd);

    if (pid == 0)
        helper_run(path, fd);
    if (pid < 0)
        return pid;
    *answer_fd = fd;
    *pidfd = identity_pidfd(pid);
    return 0;
}
