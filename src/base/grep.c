/* SPDX-License-Identifier: MIT */
#include "base/grep.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int compile(const char *text, size_t len, regex_t *grep)
{
    char *begin = xstrndup(text, len);
    int error = regcomp(grep, begin, REG_EXTENDED);

    free(begin);
    return error;
}

/* regcomp(3) does not tell the place: it is the one from which on no beginning of TEXT is an expression. */
static size_t place_of_error(const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        regex_t grep;

        if (compile(text, len - 1, &grep) == 0) {
            regfree(&grep);
            break;
        }
        len--;
    }
    return len > 0 ? len - 1 : 0;
}

char *grep_compile(const char *text, regex_t *grep)
{
    char why[128];
    int error = compile(text, strlen(text), grep);

    if (error == 0)
        return NULL;
    regerror(error, grep, why, sizeof why);
    const char *place = text + place_of_error(text);
    return xasprintf("'%s' is no extended regular expression: %s, at '%s'", text, why, place);
}

/*
 * REG_STARTEND: a line may hold NULs, and is not ended by one.  There is one behind it all the same, as not every
 * regexec(3), a sanitizer's for one, is content without.
 */
bool grep_matches(const regex_t *grep, const char *text, size_t len, bool unfinished)
{
    regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)len};

    return regexec(grep, text, 1, &range, REG_STARTEND | (unfinished ? REG_NOTEOL : 0)) == 0;
}
