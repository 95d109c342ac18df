/* SPDX-License-Identifier: MIT */
#include "core/notify_msg.h"

#include <string.h>

/* Decimal digits only; false where it is none, or past MAX. */
static bool parse_number(const char *text, size_t len, int64_t max, int64_t *number)
{
    int64_t n = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        int64_t digit = text[i] - '0';

        if (digit < 0 || digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *number = n;
    return true;
}

/* Bytes of the character that begins at TEXT; 0: it is none that UTF-8 knows. */
static size_t character_len(const unsigned char *text, size_t len)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

    if (n == 1)
        return 1;
    if ((text[0] & 0xc0) == 0x80 || text[0] > 0xf4 || n > len)
        return 0;
    uint32_t code = text[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    return code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : n;
}

/* C0, DEL, and C1, which is two bytes: none may reach a terminal. */
static bool is_control(const unsigned char *text, size_t n)
{
    return (n == 1 && (text[0] < ' ' || text[0] == 0x7f)) || (n == 2 && text[0] == 0xc2 && text[1] < 0xa0);
}

/* What is no character, or a control character, becomes '?'; what does not fit is left out, by whole characters. */
static void clean_status(const char *text, size_t len, char status[NOTIFY_STATUS_MAX])
{
    const unsigned char *in = (const unsigned char *)text;
    size_t used = 0;

    for (size_t i = 0; i < len;) {
        size_t n = character_len(in + i, len - i);
        bool shown = n > 0 && !is_control(in + i, n);
        size_t room = shown ? n : 1;

        if (used + room >= NOTIFY_STATUS_MAX)
            break;
        if (shown)
            memcpy(status + used, text + i, n);
        else
            status[used] = '?';
        used += room;
        i += n > 0 ? n : 1;
    }
    status[used] = '\0';
}

static bool is_one(const char *value, size_t len)
{
    return len == 1 && value[0] == '1';
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* Printable, and no colon, which stands between two of LISTEN_FDNAMES. */
static void parse_fd_name(const char *text, size_t len, char name[NOTIFY_FDNAME_MAX])
{
    name[0] = '\0';
    if (len >= NOTIFY_FDNAME_MAX)
        return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~' || text[i] == ':')
            return;
    }
    memcpy(name, text, len);
    name[len] = '\0';
}

static void parse_line(struct notify_msg *msg, const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    size_t key_len = equals ? (size_t)(equals - line) : len;
    const char *value = equals ? equals + 1 : line + len;
    size_t value_len = equals ? len - key_len - 1 : 0;
    int64_t number;

    if (is_word(line, key_len, "READY")) {
        msg->ready |= is_one(value, value_len);
    } else if (is_word(line, key_len, "RELOADING")) {
        msg->reloading |= is_one(value, value_len);
    } else if (is_word(line, key_len, "MONOTONIC_USEC")) {
        if (parse_number(value, value_len, INT64_MAX, &number))
            msg->since = number;
    } else if (is_word(line, key_len, "STOPPING")) {
        msg->stopping |= is_one(value, value_len);
    } else if (is_word(line, key_len, "STATUS")) {
        msg->has_status = true;
        clean_status(value, value_len, msg->status);
    } else if (is_word(line, key_len, "WATCHDOG")) {
        msg->alive |= is_one(value, value_len);
        msg->trigger |= is_word(value, value_len, "trigger");
    } else if (is_word(line, key_len, "WATCHDOG_USEC")) {
        msg->has_watchdog |= parse_number(value, value_len, INT64_MAX, &msg->watchdog);
    } else if (is_word(line, key_len, "FDSTORE")) {
        msg->store |= is_one(value, value_len);
    } else if (is_word(line, key_len, "FDSTOREREMOVE")) {
        msg->unstore |= is_one(value, value_len);
    } else if (is_word(line, key_len, "FDPOLL")) {
        msg->no_poll |= is_word(value, value_len, "0");
    } else if (is_word(line, key_len, "FDNAME")) {
        parse_fd_name(value, value_len, msg->fd_name);
    } else if (is_word(line, key_len, "MAINPID")) {
        if (parse_number(value, value_len, INT32_MAX, &number) && number > 0)
            msg->main_pid = (int32_t)number;
    } else if (is_word(line, key_len, "EXTEND_TIMEOUT_USEC")) {
        if (parse_number(value, value_len, INT64_MAX, &number))
            msg->extend = number;
    }
}

bool notify_msg_parse(const char *text, size_t len, struct notify_msg *msg)
{
    memset(msg, 0, sizeof(*msg));
    /* Some end it as a string. */
    while (len > 0 && text[len - 1] == '\0')
        len--;
    if (len > NOTIFY_MSG_MAX || memchr(text, '\0', len) != NULL)
        return false;
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end ? (size_t)(end - text) : len;

        parse_line(msg, text, line_len);
        text += line_len;
        len -= line_len;
        if (len > 0) {
            text++;
            len--;
        }
    }
    return true;
}
