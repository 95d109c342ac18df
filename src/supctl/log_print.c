/* SPDX-License-Identifier: MIT */
#include "supctl/log_print.h"

#include <stdio.h>

#include "core/proto.h"
#include "supctl/text.h"

const char *log_print_colour(size_t number)
{
    static const char *const codes[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m",
                                        "\033[96m", "\033[93m", "\033[92m", "\033[95m", "\033[94m"};

    return codes[number % (sizeof codes / sizeof *codes)];
}

static void print_json(const struct log_source *source, const struct log_line *line)
{
    json_t *object = json_object();

    json_object_set_new(object, "time", line->stamp ? proto_text(line->stamp, line->stamp_len) : json_null());
    json_object_set_new(object, "service", proto_string(source->service));
    json_object_set_new(object, "stream", proto_string(line->stream ? line->stream : source->stream));
    json_object_set_new(object, "message", proto_text(line->message, line->message_len));
    text_print_json(object);
    json_decref(object);
}

static void print_mark(const struct log_printer *printer, const struct log_source *source, size_t number)
{
    printf("%s%-*s |%s ", printer->colour ? log_print_colour(number) : "", (int)printer->width, source->label,
           printer->colour ? "\033[0m" : "");
}

static void print_text(struct log_printer *printer, const char *text, size_t len)
{
    if (!printer->terminal) {
        fwrite(text, 1, len, stdout);
        return;
    }
    buf_reset(&printer->text);
    log_line_add_visible(&printer->text, text, len, printer->colour);
    fwrite(printer->text.data, 1, printer->text.len, stdout);
}

/* A line that has an end by itself: what is whole, and what would be followed by the line of another. */
static bool ends(const struct log_printer *printer, const struct log_piece *piece)
{
    return piece->ends || (printer->marks && piece->len < LOG_FILE_LINE_MAX);
}

static void print_line(struct log_printer *printer, const struct log_source *source, size_t number)
{
    const struct log_piece *piece = &source->piece;
    const char *text = piece->data;
    size_t len = piece->len;
    struct log_line line;

    log_line_read(&line, piece->data, piece->len);
    if (piece->begins && printer->in_line)
        putchar('\n');
    if (piece->begins && printer->marks)
        print_mark(printer, source, number);
    if (piece->begins)
        text = log_line_shown(&line, &printer->spare, &len);
    print_text(printer, text, len);
    printer->in_line = !ends(printer, piece);
    if (!printer->in_line)
        putchar('\n');
    log_line_clear(&line);
}

void log_print(struct log_printer *printer, const struct log_source *source, size_t number)
{
    struct log_line line;

    if (!printer->json) {
        print_line(printer, source, number);
        return;
    }
    log_line_read(&line, source->piece.data, source->piece.len);
    print_json(source, &line);
    log_line_clear(&line);
}

void log_printer_clear(struct log_printer *printer)
{
    buf_free(&printer->text);
    buf_free(&printer->spare);
}
