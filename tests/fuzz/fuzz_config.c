/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/instance_template.h"
#include "os/config.h"
#include "os/config_build.h"

static void on_section(void *ctx, struct config_section *section)
{
    config_build_add_section(ctx, 0, section);
}

/* Other files are no part of an input. */
static void on_include(void *ctx, const char *pattern, unsigned line)
{
    (void)ctx;
    FUZZ_CHECK(pattern && line > 0);
}

static void on_error(void *ctx, unsigned line, const char *message)
{
    config_build_error(ctx, 0, line, "%s", message);
}

static void check_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        FUZZ_CHECK(errors->items[i].file);
        FUZZ_CHECK(errors->items[i].message && errors->items[i].message[0] != '\0');
    }
}

static void check_same_services(const struct config *a, const struct config *b)
{
    FUZZ_CHECK(a->services.n == b->services.n);
    for (size_t i = 0; i < a->services.n; i++) {
        const struct spec *one = a->services.items[i];
        const struct spec *other = b->services.items[i];

        FUZZ_CHECK(strcmp(one->name, other->name) == 0);
        for (size_t k = 0; k < spec_n_keys; k++)
            FUZZ_CHECK(spec_key_equal(one, other, &spec_keys[k]));
        FUZZ_CHECK(spec_process_digest(one) == spec_process_digest(other));
    }
}

static void check_same_templates(const struct config *a, const struct config *b)
{
    FUZZ_CHECK(a->n_templates == b->n_templates);
    for (size_t i = 0; i < a->n_templates; i++) {
        const struct instance_template *one = a->templates[i];
        const struct instance_template *other = b->templates[i];

        FUZZ_CHECK(strcmp(one->base->name, other->base->name) == 0 && one->n_raw == other->n_raw);
        for (size_t k = 0; k < spec_n_keys; k++) {
            const struct instance_raw *raw = instance_template_raw(one, &spec_keys[k]);
            const struct instance_raw *same = instance_template_raw(other, &spec_keys[k]);

            FUZZ_CHECK((raw != NULL) == (same != NULL));
            FUZZ_CHECK(raw ? raw->is_list == same->is_list && strv_equal(raw->values, same->values)
                           : spec_key_equal(one->base, other->base, &spec_keys[k]));
        }
    }
}

/* What a supd with this configuration would keep must mean the same to the one that comes after it. */
static void check_dump(const struct config *config)
{
    struct config_errors errors;
    char *dump = config_dump(config);
    struct config *again = config_load_dump("dump", dump, strlen(dump), &errors);

    if (errors.n > 0)
        fprintf(stderr, "dump:%u: %s\n%s", errors.items[0].line, errors.items[0].message, dump);
    FUZZ_CHECK(errors.n == 0);
    const char *name;
    FUZZ_CHECK(config_settings_diff(&config->settings, &again->settings, &name, 1) == 0);
    check_same_services(config, again);
    check_same_templates(config, again);
    char *dump_again = config_dump(again);
    FUZZ_CHECK(strcmp(dump, dump_again) == 0);
    free(dump_again);
    free(dump);
    config_free(again);
    config_errors_clear(&errors);
}

static void check(struct config *config, struct config_errors *errors)
{
    check_errors(errors);
    if (errors->n == 0)
        check_dump(config);
    config_free(config);
    config_errors_clear(errors);
}

void fuzz_config(const uint8_t *data, size_t size)
{
    static const struct config_read_handlers handlers = {on_section, on_include, on_error};
    struct config_build *build = config_build_new(false);
    struct config_errors errors;

    config_build_add_file(build, "fuzz.conf");
    config_read((const char *)data, size, false, &handlers, build);
    struct config *config = config_build_finish(build, &errors);
    check(config, &errors);
}

void fuzz_dump(const uint8_t *data, size_t size)
{
    struct config_errors errors;
    struct config *config = config_load_dump("config.good", (const char *)data, size, &errors);

    check(config, &errors);
}
