/* SPDX-License-Identifier: MIT */
#include "suplog/mounts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIELD_MOUNT_POINT 4 /* counted from 0 */

static bool is_octal(const char *p)
{
    return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' && p[2] <= '7';
}

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static char *unescaped(const char *field, size_t len)
{
    char *text = xmalloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (field[i] == '\\' && len - i > 3 && is_octal(field + i + 1)) {
            text[n++] = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 | (field[i + 3] - '0'));
            i += 3;
        } else {
            text[n++] = field[i];
        }
    }
    text[n] = '\0';
    return text;
}

/* The mount point in the line from P, to be freed; NULL when the line has none. */
static char *line_mount_point(const char *p)
{
    for (int field = 0; field < FIELD_MOUNT_POINT; field++) {
        p += strcspn(p, " \n");
        if (*p++ != ' ')
            return NULL;
    }
    return unescaped(p, strcspn(p, " \n"));
}

static bool lies_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (len > 0 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

char *mount_point_of(const char *mountinfo, const char *path)
{
    char *best = xstrdup("/");

    for (const char *line = mountinfo; *line != '\0';) {
        char *dir = line_mount_point(line);

        if (dir && lies_below(path, dir) && strlen(dir) >= strlen(best)) {
            free(best);
            best = dir;
        } else {
            free(dir);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return best;
}
