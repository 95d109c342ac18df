/* SPDX-License-Identifier: MIT */
#include "supctl/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

#define BLOCK ((size_t)64 * 1024)

struct log_file {
    int opened;
    bool packed; /* it is compressed */
    int fd;      /* what is read, -1: not unpacked */
    dev_t dev;
    ino_t ino;
    off_t offset; /* of the first byte that is not in the buffer */
    char *data;
    size_t start; /* of what was not given out yet */
    size_t len;   /* of what was read */
    size_t room;
    size_t scanned; /* up to there is no newline */
    bool in_line;   /* a part of this line was given out */
};

/* ---- opening ---- */

/* O_TMPFILE would spare the name, but not every file system knows it. */
static int unnamed_file(void)
{
    const char *dir = getenv("TMPDIR");
    char *path = xasprintf("%s/supctl.XXXXXX", dir && *dir ? dir : "/var/tmp");
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd >= 0)
        unlink(path);
    free(path);
    return fd;
}

/* Writes what is unpacked of IN to TO.  0 or an errno; what could be read before damaged data was written. */
static int unpack_into(gzFile in, int to)
{
    char *block = xmalloc(BLOCK);
    int n, error = 0;

    while (error == 0 && (n = gzread(in, block, (unsigned)BLOCK)) != 0) {
        if (n < 0)
            error = EILSEQ;
        for (ssize_t done = 0, written; error == 0 && done < n; done += written) {
            written = write(to, block + done, (size_t)(n - done));
            if (written < 0)
                error = errno;
        }
    }
    free(block);
    return error;
}

static bool is_compressed(const char *path)
{
    size_t len = strlen(path);

    return len > 3 && strcmp(path + len - 3, ".gz") == 0;
}

struct log_file *log_file_open(const char *path, int *error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *error = fd < 0 || fstat(fd, &st) < 0 ? errno : S_ISREG(st.st_mode) ? 0 : ESPIPE;
    if (*error != 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct log_file *file = xcalloc(1, sizeof *file);
    file->opened = fd;
    file->packed = is_compressed(path);
    file->fd = file->packed ? -1 : fd;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    return file;
}

void log_file_close(struct log_file *file)
{
    if (!file)
        return;
    log_file_put_away(file);
    close(file->opened);
    free(file->data);
    free(file);
}

int log_file_unpack(struct log_file *file)
{
    if (file->fd >= 0)
        return 0;
    int copy = fcntl(file->opened, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || lseek(copy, 0, SEEK_SET) < 0) {
        int error = errno;
        if (copy >= 0)
            close(copy);
        return error;
    }
    gzFile in = mem_checked(gzdopen(copy, "rb"));
    int to = unnamed_file();
    int error = to < 0 ? errno : unpack_into(in, to);
    /* The end of the file is missing where it is still being written. */
    if (gzclose(in) != Z_OK && error == 0)
        error = EILSEQ;
    if (to >= 0 && error != 0 && error != EILSEQ)
        close(to);
    else
        file->fd = to;
    return error;
}

void log_file_put_away(struct log_file *file)
{
    if (!file->packed || file->fd < 0)
        return;
    close(file->fd);
    file->fd = -1;
}

bool log_file_is(const struct log_file *file, const struct stat *st)
{
    return file->dev == st->st_dev && file->ino == st->st_ino;
}

off_t log_file_size(const struct log_file *file)
{
    struct stat st;

    return file->fd >= 0 && fstat(file->fd, &st) == 0 ? st.st_size : 0;
}

int log_file_fd(const struct log_file *file)
{
    return file->opened;
}

/* ---- forward ---- */

void log_file_seek(struct log_file *file, off_t offset)
{
    file->offset = offset;
    file->start = file->len = file->scanned = 0;
    file->in_line = false;
}

/* Where data is next, from OFFSET on; OFFSET itself where the file system does not know. */
static off_t next_data(int fd, off_t offset, off_t size)
{
    off_t data = lseek(fd, offset, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO && offset < size ? size : offset;
    return data;
}

/* Room for half a block at least behind what is there. */
static void make_room(struct log_file *file)
{
    size_t have = file->len - file->start;

    if (file->room - file->len >= BLOCK / 2)
        return;
    if (file->start > 0) {
        memmove(file->data, file->data + file->start, have);
        file->scanned -= file->start;
        file->start = 0;
        file->len = have;
    }
    if (file->room - file->len >= BLOCK / 2)
        return;
    file->room = file->room > 0 ? file->room * 2 : BLOCK;
    file->data = xrealloc(file->data, file->room);
}

/* Reads on.  False at the end; *HOLE: what follows lies behind one. */
static bool read_on(struct log_file *file, bool *hole)
{
    off_t size = log_file_size(file);

    *hole = false;
    if (size < file->offset)
        log_file_seek(file, 0);
    off_t data = next_data(file->fd, file->offset, size);
    if (data > file->offset) {
        *hole = true;
        file->offset = data;
        return true;
    }
    make_room(file);
    ssize_t n;
    do
        n = pread(file->fd, file->data + file->len, file->room - file->len, file->offset);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    file->len += (size_t)n;
    file->offset += n;
    return true;
}

/* Gives LEN bytes out, and takes SKIP more away. */
static bool give(struct log_file *file, struct log_piece *piece, size_t len, bool ends, size_t skip)
{
    *piece = (struct log_piece){.data = file->data + file->start, .len = len, .begins = !file->in_line, .ends = ends};
    file->in_line = !ends;
    file->start += len + skip;
    file->scanned = file->start;
    return true;
}

bool log_file_next(struct log_file *file, struct log_piece *piece)
{
    bool hole = false;

    for (;;) {
        size_t have = file->len - file->start;
        char *newline = have > 0 ? memchr(file->data + file->scanned, '\n', file->len - file->scanned) : NULL;

        if (newline)
            return give(file, piece, (size_t)(newline - file->data) - file->start, true, 1);
        file->scanned = file->len;
        if (hole && (have > 0 || file->in_line))
            return give(file, piece, have, true, 0);
        if (have >= LOG_FILE_LINE_MAX)
            return give(file, piece, LOG_FILE_LINE_MAX, false, 0);
        if (!read_on(file, &hole))
            return false;
    }
}

bool log_file_rest(struct log_file *file, struct log_piece *piece)
{
    return file->len > file->start && give(file, piece, file->len - file->start, false, 0);
}

/* ---- backward ---- */

#define BACK_ROOM (LOG_FILE_LINE_MAX + BLOCK)

struct log_back {
    const struct log_file *file;
    char *data;    /* BACK_ROOM bytes, filled from their end */
    size_t start;  /* the first of them that is in use */
    size_t end;    /* behind the last that belongs to the line that is looked for */
    off_t at;      /* where the byte at `start` stands in the file */
    bool in_line;  /* the line has a byte at least, be it only its newline */
    bool had_hole; /* there is one before `at` */
};

struct log_back *log_back_new(const struct log_file *file)
{
    struct log_back *back = xcalloc(1, sizeof *back);

    back->file = file;
    back->data = xmalloc(BACK_ROOM);
    back->start = back->end = BACK_ROOM;
    back->at = log_file_size(file);
    return back;
}

void log_back_free(struct log_back *back)
{
    if (!back)
        return;
    free(back->data);
    free(back);
}

/* Room for N bytes before what is there; what goes over the longest line goes at its end. */
static void make_room_before(struct log_back *back, size_t n)
{
    if (back->start >= n)
        return;
    size_t have = back->end - back->start;
    size_t kept = have < LOG_FILE_LINE_MAX ? have : LOG_FILE_LINE_MAX;
    memmove(back->data + BACK_ROOM - kept, back->data + back->start, kept);
    back->start = BACK_ROOM - kept;
    back->end = BACK_ROOM;
}

/* Reads the block before, and returns how much that is; 0 at the beginning, or at a hole. */
static size_t read_before(struct log_back *back)
{
    size_t n = back->at % (off_t)BLOCK > 0 ? (size_t)(back->at % (off_t)BLOCK) : BLOCK;

    if (back->at == 0 || back->had_hole)
        return 0;
    off_t block = back->at - (off_t)n;
    off_t data = next_data(back->file->fd, block, back->at);
    if (data > block) {
        back->had_hole = true;
        n = data < back->at ? (size_t)(back->at - data) : 0;
        block = data < back->at ? data : back->at;
    }
    make_room_before(back, n);
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(back->file->fd, back->data + back->start - n + done, n - done, block + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    /* Truncated just now: what is gone cannot be shown. */
    memset(back->data + back->start - n + done, '\n', n - done);
    back->start -= n;
    back->at = block;
    return n;
}

/* The end of the data in the last extent that begins between FROM and TO; 0 where there is none. */
static off_t end_of_data(int fd, off_t from, off_t to)
{
    off_t end = 0;

    for (off_t data = next_data(fd, from, to); data < to; data = next_data(fd, end, to)) {
        end = lseek(fd, data, SEEK_HOLE);
        if (end < 0 || end >= to)
            return to;
    }
    return end;
}

/* Goes over the hole, in steps that grow, to the end of data before it.  False at the beginning of the file. */
static bool leave_hole(struct log_back *back)
{
    off_t from = back->at;
    off_t end = 0;

    for (off_t step = (off_t)BLOCK; from > 0 && end == 0; step *= 2) {
        from = from > step ? from - step : 0;
        end = end_of_data(back->file->fd, from, back->at);
    }
    back->at = end;
    back->had_hole = false;
    return end > 0;
}

static bool give_line(struct log_back *back, size_t from, const char **line, size_t *len, off_t *start)
{
    size_t n = back->end - from;

    *line = back->data + from;
    *len = n < LOG_FILE_LINE_MAX ? n : LOG_FILE_LINE_MAX;
    *start = back->at + (off_t)(from - back->start);
    back->end = from;
    back->in_line = false;
    return true;
}

bool log_back_next(struct log_back *back, const char **line, size_t *len, off_t *start)
{
    size_t searched = back->end; /* from there on is no newline */

    for (;;) {
        /* The newline that ends the line. */
        if (!back->in_line && back->end > back->start) {
            back->in_line = true;
            back->end -= back->data[back->end - 1] == '\n';
            searched = back->end;
        }
        char *newline = searched > back->start ? memrchr(back->data + back->start, '\n', searched - back->start) : NULL;
        if (newline)
            return give_line(back, (size_t)(newline - back->data) + 1, line, len, start);
        size_t fresh = read_before(back);
        if (fresh > 0) {
            searched = back->start + fresh < back->end ? back->start + fresh : back->end;
            continue;
        }
        if (back->in_line)
            return give_line(back, back->start, line, len, start);
        if (back->at == 0 || (back->had_hole && !leave_hole(back)))
            return false;
    }
}
