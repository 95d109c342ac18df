/* SPDX-License-Identifier: MIT */
#include "os/config_read.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/suggest.h"
#include "core/event.h"
#include "core/spec.h"
#include "os/config_text.h"

const char *const config_service_internals[] = {
    "resolved-uid",       "resolved-gid",  "resolved-groups",
    "resolved-user-name", "resolved-home", "resolved-shell",
    "origin-file",        "origin-line",   NULL,
};

const char *const config_control_internals[] = {"resolved-admin-gid", "resolved-read-gid", NULL};
const char *const config_top_keys[] = {"runtime-dir", "state-dir",   "log-level",   "watch",
                                       "cgroup",      "start-slots", "check-slots", NULL};
const char *const config_control_keys[] = {"socket", "admin-group", "read-group", NULL};

#define SECTION_FLAGS (CFGF_MULTI | CFGF_TITLE)
#define TOP_SECTIONS 4

struct reader {
    cfg_opt_t *all_service; /* of a service, and of defaults */
    bool *wanted;           /* of each of them: is it needed for the present chunk? */
    cfg_opt_t *service;     /* the wanted ones */
    cfg_opt_t *control;
    cfg_opt_t *on_event;
    cfg_opt_t *top;
    unsigned chunk_line;
    unsigned error_line;
    char *error;    /* of the present chunk */
    bool premature; /* ... and it says no more than that the text has ended */
    const struct config_read_handlers *handlers;
    void *ctx;
};

/* libconfuse hands nothing of ours to its error function. */
static struct reader *current;

static size_t list_len(const char *const *list)
{
    size_t n = 0;

    while (list[n] != NULL)
        n++;
    return n;
}

/* The names of OPTS as a vector to be freed, without the strings; INTERNAL keys are at the end and left out. */
static const char **known_names(const cfg_opt_t *opts, size_t *n)
{
    size_t len = 0;
    size_t kept = 0;

    while (opts[len].name != NULL)
        len++;

    const char **names = xcalloc(len + 2, sizeof(*names));
    for (size_t i = 0; i < len; i++) {
        if (strncmp(opts[i].name, "resolved-", 9) != 0 && strncmp(opts[i].name, "origin-", 7) != 0)
            names[kept++] = opts[i].name;
    }
    *n = kept;
    return names;
}

/* "7.1:redis" -> "redis" */
static const char *plain_title(const char *title)
{
    const char *colon = title != NULL ? strchr(title, ':') : NULL;

    return colon != NULL ? colon + 1 : "";
}

static char *where(const cfg_t *cfg)
{
    const char *title = plain_title(cfg->title);

    if (cfg->title == NULL)
        return xstrdup("");
    return *title != '\0' ? xasprintf(" in %s \"%s\"", cfg->name, title) : xasprintf(" in %s", cfg->name);
}

static bool is_top_section(const char *word)
{
    return strcmp(word, "service") == 0 || strcmp(word, "defaults") == 0 || strcmp(word, "control") == 0 ||
           strcmp(word, "on-event") == 0;
}

static char *unknown_key(const cfg_t *cfg, const char *key)
{
    char *place = where(cfg);
    char *message = NULL;
    size_t n;

    if (cfg->title != NULL && spec_has_section(key, strlen(key))) {
        message = xasprintf("'%s'%s is a section: write %s { ... }", key, place, key);
    } else if (cfg->title != NULL && (is_top_section(key) || strcmp(key, "include") == 0)) {
        message = xasprintf("'%s' cannot stand%s: is a '}' missing before it?", key, place);
    } else {
        const char **names = known_names(cfg->opts, &n);
        if (cfg->title == NULL)
            names[n++] = "include";
        const char *near = suggest_nearest(key, names, n);
        message = near != NULL ? xasprintf("unknown key '%s'%s; did you mean '%s'?", key, place, near)
                               : xasprintf("unknown key '%s'%s", key, place);
        free(names);
    }
    free(place);
    return message;
}

/* Puts libconfuse's errors into our words, where it is known which they are. */
static char *translate(const cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static char *translate(const cfg_t *cfg, const char *fmt, va_list ap)
{
    if (strcmp(fmt, "no such option '%s'") == 0)
        return unknown_key(cfg, va_arg(ap, const char *));
    if (strncmp(fmt, "missing title for section", 25) == 0) {
        const char *name = va_arg(ap, const char *);
        return xasprintf("'%s' is a section: write %s { ... }", name,
                         strcmp(name, "service") == 0    ? "service \"NAME\""
                         : strcmp(name, "on-event") == 0 ? "on-event \"NAME\""
                                                         : name);
    }
    if (strncmp(fmt, "missing equal sign", 18) == 0) {
        const char *name = va_arg(ap, const char *);
        return xasprintf("'%s' is no section: write %s = VALUE", name, name);
    }
    return xvasprintf(fmt, ap);
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    struct reader *r = current;

    if (r->error != NULL)
        return;
    r->premature = strcmp(fmt, "premature end of file") == 0;
    r->error = translate(cfg, fmt, ap);
    r->error_line = r->chunk_line + (unsigned)cfg->line - 1;
}

static void add_list(cfg_opt_t *opts, size_t *n, const char *name)
{
    cfg_opt_t opt = CFG_STR_LIST(name, NULL, CFGF_NODEFAULT);

    opts[(*n)++] = opt;
}

static void add_lists(cfg_opt_t *opts, size_t *n, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        add_list(opts, n, names[i]);
}

static void add_section(cfg_opt_t *opts, size_t *n, const char *name, cfg_opt_t *subopts)
{
    cfg_opt_t opt = CFG_SEC(name, subopts, SECTION_FLAGS);

    opts[(*n)++] = opt;
}

static void end_options(cfg_opt_t *opts, size_t n)
{
    cfg_opt_t end = CFG_END();

    opts[n] = end;
}

static void make_grammar(struct reader *r, bool internal)
{
    size_t n = 0;

    r->all_service = xcalloc(spec_n_keys + list_len(config_service_internals) + 1, sizeof(cfg_opt_t));
    for (size_t i = 0; i < spec_n_keys; i++)
        add_list(r->all_service, &n, spec_keys[i].name);
    if (internal)
        add_lists(r->all_service, &n, config_service_internals);
    end_options(r->all_service, n);
    r->service = xcalloc(n + 1, sizeof(cfg_opt_t));
    r->wanted = xcalloc(n + 1, sizeof(bool));

    n = 0;
    r->control = xcalloc(list_len(config_control_keys) + list_len(config_control_internals) + 1, sizeof(cfg_opt_t));
    add_lists(r->control, &n, config_control_keys);
    if (internal)
        add_lists(r->control, &n, config_control_internals);
    end_options(r->control, n);

    n = 0;
    r->on_event =
        xcalloc(list_len(event_rule_keys) + list_len(event_process_keys) + list_len(config_service_internals) + 1,
                sizeof(cfg_opt_t));
    add_lists(r->on_event, &n, event_rule_keys);
    add_lists(r->on_event, &n, event_process_keys);
    if (internal)
        add_lists(r->on_event, &n, config_service_internals);
    end_options(r->on_event, n);

    n = 0;
    r->top = xcalloc(list_len(config_top_keys) + TOP_SECTIONS + 1, sizeof(cfg_opt_t));
    add_lists(r->top, &n, config_top_keys);
    add_section(r->top, &n, "control", r->control);
    add_section(r->top, &n, "defaults", r->service);
    add_section(r->top, &n, "service", r->service);
    add_section(r->top, &n, "on-event", r->on_event);
    end_options(r->top, n);
}

/* The name as it stands in a table of ours: that of OPT lives only as long as the chunk. */
static const char *static_name(const char *name)
{
    static const char *const *const tables[] = {
        config_top_keys, config_control_keys, config_service_internals, config_control_internals, event_rule_keys,
    };
    const struct spec_key *key = spec_key_find(name);

    if (key != NULL)
        return key->name;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (size_t j = 0; tables[i][j] != NULL; j++) {
            if (strcmp(tables[i][j], name) == 0)
                return tables[i][j];
        }
    }
    return NULL;
}

static struct config_entry *add_entry(struct config_section *section, const char *key, const char *marker)
{
    section->entries = xreallocarray(section->entries, section->n_entries + 1, sizeof(*section->entries));

    struct config_entry *entry = &section->entries[section->n_entries++];
    *entry = (struct config_entry){
        .key = key,
        .line = (unsigned)strtoul(marker + 1, NULL, 10),
        .kind = (enum config_entry_kind)marker[0],
    };
    return entry;
}

/* The values of an option: a marker and what belongs to it, once for each time that the key was given. */
static void take_option(struct config_section *section, cfg_opt_t *opt)
{
    unsigned n = cfg_opt_size(opt);
    const char *key = n > 0 ? static_name(opt->name) : NULL;

    for (unsigned i = 0; i < n;) {
        struct config_entry *entry = add_entry(section, key, cfg_opt_getnstr(opt, i++));
        unsigned first = i;
        while (i < n && cfg_opt_getnstr(opt, i)[0] == '=')
            i++;
        entry->n = i - first;
        entry->values = xcalloc(entry->n + 1, sizeof(*entry->values));
        for (size_t j = 0; j < entry->n; j++)
            entry->values[j] = xstrdup(cfg_opt_getnstr(opt, first + (unsigned)j) + 1);
    }
}

static struct config_section *section_new(enum config_section_type type, cfg_t *cfg, bool whole)
{
    struct config_section *section = xcalloc(1, sizeof(*section));

    section->type = type;
    section->title = xstrdup(plain_title(cfg->title));
    section->line = cfg->title != NULL ? (unsigned)strtoul(cfg->title, NULL, 10) : 0;
    section->whole = whole;
    /* libconfuse leaves a section without its options where it has no memory for them. */
    for (cfg_opt_t *opt = mem_checked(cfg->opts); opt->name != NULL; opt++) {
        if (opt->type == CFGT_STR)
            take_option(section, opt);
    }
    return section;
}

const struct config_entry *config_section_find(const struct config_section *section, const char *key)
{
    for (size_t i = 0; i < section->n_entries; i++) {
        if (strcmp(section->entries[i].key, key) == 0)
            return &section->entries[i];
    }
    return NULL;
}

void config_section_free(struct config_section *section)
{
    for (size_t i = 0; i < section->n_entries; i++) {
        for (size_t j = 0; j < section->entries[i].n; j++)
            free(section->entries[i].values[j]);
        free(section->entries[i].values);
    }
    free(section->entries);
    free(section->title);
    free(section);
}

static void take_sections(struct reader *r, cfg_t *cfg, const char *name, enum config_section_type type, bool whole)
{
    cfg_opt_t *opt = cfg_getopt(cfg, name);
    unsigned n = cfg_opt_size(opt);

    for (unsigned i = 0; i < n; i++)
        r->handlers->section(r->ctx, section_new(type, cfg_opt_getnsec(opt, i), whole || i + 1 < n));
}

static void use_all_keys(struct reader *r)
{
    size_t n = 0;

    while (r->all_service[n].name != NULL)
        n++;
    memcpy(r->service, r->all_service, (n + 1) * sizeof(*r->service));
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static void want_key(struct reader *r, const char *word, size_t len)
{
    for (size_t i = 0; r->all_service[i].name != NULL; i++) {
        const char *name = r->all_service[i].name;

        if (name[0] == word[0] && strncmp(name, word, len) == 0 && name[len] == '\0') {
            r->wanted[i] = true;
            return;
        }
    }
}

/* libconfuse copies all keys that a section can have, and compares each with each: so it is told of those only that are
 * there as words, in the same order.  What is a value and not a key does no harm. */
static void use_keys_of(struct reader *r, const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        size_t word = 0;

        while (i + word < len && is_word(text[i + word]))
            word++;
        if (word > 0)
            want_key(r, text + i, word);
        i += word + 1;
    }
    for (size_t i = 0; r->all_service[i].name != NULL; i++) {
        if (r->wanted[i])
            r->service[n++] = r->all_service[i];
        r->wanted[i] = false;
    }
    end_options(r->service, n);
}

/* libconfuse's scanner ends the process by exit(3) where it has no memory: not a death that supd would be started after. */
static void at_exit(void)
{
    if (current != NULL)
        mem_checked(NULL);
}

static void watch_for_exit(void)
{
    static bool watched;

    if (!watched && atexit(at_exit) != 0)
        mem_checked(NULL);
    watched = true;
}

static cfg_t *parse(struct reader *r, char *text, size_t len, int *rc)
{
    watch_for_exit();
    errno = 0;
    cfg_t *cfg = mem_checked(cfg_init(r->top, CFGF_NONE));
    FILE *fp = mem_checked(fmemopen(text, len, "r"));

    cfg_set_error_function(cfg, on_error);
    current = r;
    *rc = cfg_parse_fp(cfg, fp);
    /* Then a section of its may be missing, of which it would take hold when it is freed. */
    if (errno == ENOMEM)
        mem_checked(NULL);
    current = NULL;
    fclose(fp);
    return cfg;
}

static void forget_error(struct reader *r)
{
    free(r->error);
    r->error = NULL;
    r->premature = false;
}

static bool on_chunk(void *ctx, char *text, size_t len, unsigned line, enum config_chunk_end end)
{
    struct reader *r = ctx;
    int rc;

    r->chunk_line = line;
    use_keys_of(r, text, len);
    cfg_t *cfg = parse(r, text, len, &rc);
    if (rc != CFG_SUCCESS) {
        /* The words for it are found among all keys. */
        cfg_free(cfg);
        forget_error(r);
        use_all_keys(r);
        cfg = parse(r, text, len, &rc);
    }

    /* That a text which we have cut off ends too early is no news. */
    bool failed = rc != CFG_SUCCESS && (end == CHUNK_WHOLE || !r->premature);
    bool complete = !failed && end != CHUNK_CUT_IN_SECTION;
    r->handlers->section(r->ctx, section_new(CONFIG_TOP, cfg, true));
    take_sections(r, cfg, "control", CONFIG_CONTROL, complete);
    take_sections(r, cfg, "defaults", CONFIG_DEFAULTS, complete);
    take_sections(r, cfg, "service", CONFIG_SERVICE, complete);
    take_sections(r, cfg, "on-event", CONFIG_ON_EVENT, complete);
    cfg_free(cfg);

    if (failed)
        r->handlers->error(r->ctx, r->error != NULL ? r->error_line : line,
                           r->error != NULL ? r->error : "it cannot be read");
    forget_error(r);
    return !failed;
}

static void on_include(void *ctx, const char *pattern, unsigned line)
{
    struct reader *r = ctx;

    r->handlers->include(r->ctx, pattern, line);
}

static void on_text_error(void *ctx, unsigned line, const char *message)
{
    struct reader *r = ctx;

    r->handlers->error(r->ctx, line, message);
}

void config_read(const char *text, size_t len, bool internal, const struct config_read_handlers *handlers, void *ctx)
{
    static const struct config_text_handlers text_handlers = {on_chunk, on_include, on_text_error};
    struct reader r = {.handlers = handlers, .ctx = ctx};

    make_grammar(&r, internal);
    config_text_read(text, len, &text_handlers, &r);
    free(r.top);
    free(r.control);
    free(r.service);
    free(r.all_service);
    free(r.wanted);
    free(r.on_event);
}
