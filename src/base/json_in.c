/* SPDX-License-Identifier: MIT */
#include "base/json_in.h"

#include <string.h>

#include "base/utf8.h"

static bool skip_value(struct json_in *in, struct json_piece *piece, unsigned depth);

static void skip_blanks(struct json_in *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

/* Behind blanks. */
static bool take(struct json_in *in, char c)
{
    skip_blanks(in);
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static bool skip_word(struct json_in *in, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0)
        return false;
    in->at += len;
    return true;
}

static bool skip_digits(struct json_in *in)
{
    const char *first = in->at;

    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > first;
}

static bool at_one_of(const struct json_in *in, char a, char b)
{
    return in->at < in->end && (*in->at == a || *in->at == b);
}

static bool skip_number(struct json_in *in)
{
    if (at_one_of(in, '-', '-'))
        in->at++;
    if (at_one_of(in, '0', '0'))
        in->at++; /* no digit may follow, which who reads on finds */
    else if (!skip_digits(in))
        return false;
    if (at_one_of(in, '.', '.')) {
        in->at++;
        if (!skip_digits(in))
            return false;
    }
    if (!at_one_of(in, 'e', 'E'))
        return true;
    in->at++;
    if (at_one_of(in, '+', '-'))
        in->at++;
    return skip_digits(in);
}

/* Four digits, as a number; -1: they are none. */
static long code_unit(const struct json_in *in)
{
    long unit = 0;

    if (in->end - in->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = in->at[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Behind "\u".  A half of a surrogate pair stands for nothing alone. */
static bool skip_code(struct json_in *in)
{
    long unit = code_unit(in);

    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return false;
    in->at += 4;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    if (!skip_word(in, "\\u"))
        return false;
    unit = code_unit(in);
    if (unit < 0xdc00 || unit > 0xdfff)
        return false;
    in->at += 4;
    return true;
}

/* Behind a backslash. */
static bool skip_escape(struct json_in *in)
{
    if (in->at == in->end)
        return false;
    char c = *in->at++;

    return c == 'u' ? skip_code(in) : c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* One character that is not plain, of a string. */
static bool skip_special(struct json_in *in)
{
    unsigned char c = (unsigned char)*in->at;

    if (c == '\\') {
        in->at++;
        return skip_escape(in);
    }
    if (c < 0x20)
        return false;
    size_t n = utf8_length(in->at, (size_t)(in->end - in->at));
    in->at += n;
    return n > 0;
}

static bool skip_string(struct json_in *in, bool *plain)
{
    *plain = true;
    in->at++;
    for (;;) {
        while (in->at < in->end && is_plain(*in->at))
            in->at++;
        if (in->at == in->end)
            return false;
        if (*in->at == '"')
            break;
        *plain = false;
        if (!skip_special(in))
            return false;
    }
    in->at++;
    return true;
}

static bool skip_key(struct json_in *in)
{
    bool plain;

    skip_blanks(in);
    return in->at < in->end && *in->at == '"' && skip_string(in, &plain) && take(in, ':');
}

/* An array, or an object, from its bracket on. */
static bool skip_nested(struct json_in *in, bool is_object, unsigned depth)
{
    char closing = is_object ? '}' : ']';
    struct json_piece piece;

    if (depth == JSON_IN_DEPTH)
        return false;
    in->at++;
    if (take(in, closing))
        return true;
    do {
        if ((is_object && !skip_key(in)) || !skip_value(in, &piece, depth + 1))
            return false;
    } while (take(in, ','));
    return take(in, closing);
}

static bool skip_value(struct json_in *in, struct json_piece *piece, unsigned depth)
{
    skip_blanks(in);
    if (in->at == in->end)
        return false;
    *piece = (struct json_piece){.text = in->at};

    bool whole;
    switch (*in->at) {
    case '"':
        piece->kind = JSON_IN_STRING;
        whole = skip_string(in, &piece->plain);
        break;
    case '[':
        piece->kind = JSON_IN_ARRAY;
        whole = skip_nested(in, false, depth);
        break;
    case '{':
        piece->kind = JSON_IN_OBJECT;
        whole = skip_nested(in, true, depth);
        break;
    case 'n':
        whole = skip_word(in, "null");
        break;
    case 't':
        whole = skip_word(in, "true");
        break;
    case 'f':
        whole = skip_word(in, "false");
        break;
    default:
        piece->kind = JSON_IN_NUMBER;
        whole = skip_number(in);
        break;
    }
    piece->len = (size_t)(in->at - piece->text);
    return whole;
}

bool json_in_value(struct json_in *in, struct json_piece *piece)
{
    return skip_value(in, piece, 0);
}

bool json_in_array(struct json_in *in)
{
    return take(in, '[');
}

bool json_in_next(struct json_in *in, bool first, bool *more)
{
    *more = !take(in, ']');
    return !*more || first || take(in, ',');
}

bool json_in_ended(struct json_in *in)
{
    skip_blanks(in);
    return in->at == in->end;
}

bool json_piece_is(const struct json_piece *piece, const char *text)
{
    return strlen(text) == piece->len && memcmp(text, piece->text, piece->len) == 0;
}
