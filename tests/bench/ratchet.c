/* SPDX-License-Identifier: MIT */
/*
 * ratchet SCENARIO: what supd does most, a fixed number of times, without the kernel.
 *
 * test_ratchet.py has valgrind count the instructions between the entry of ratchet_measured() and its return, which
 * are the same every time, and compares them with those in ratchet.txt.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "core/proto.h"
#include "core/record.h"
#include "core/service.h"
#include "os/config.h"

#define SERVICES 1000
#define RESTARTS 1000
#define RECORDS 10000

struct scenario {
    const char *name;
    void (*prepare)(void);
    void (*run)(void);
};

static struct timestamp now = {.mono = 1000 * USEC_PER_SEC, .wall = 5000 * USEC_PER_SEC};
static uint64_t rng = 1;
static struct spec *spec;
static struct svc svc;
static uint8_t *records;
static size_t records_len;
static char config_path[] = "/tmp/supd-ratchet-XXXXXX";

/* ---- 1,000 restarts: the decisions, and their records ---- */

static void feed(struct svc_event event)
{
    uint8_t record[RECORD_MAX];
    struct svc_actions actions;
    struct svc next = svc;

    event.life = svc.life;
    now.mono += USEC_PER_MSEC;
    now.wall += USEC_PER_MSEC;
    svc_step(&next, spec, &event, now, &rng, &actions);
    svc = next;
    for (size_t i = 0; i < actions.n; i++) {
        if (actions.items[i].type == ACT_RECORD)
            record_encode_service(record, spec->name, &svc);
    }
}

static void fork_and_exec(int32_t pid)
{
    struct svc_stop_params stop = svc_stop_params(spec);
    uint8_t record[RECORD_MAX];

    feed((struct svc_event){.type = SVC_EV_SLOT});
    size_t len = record_encode_spawn(record, ROLE_SERVICE, spec->name, &svc, 1, &stop, now);
    record_finish_spawn(record, len, pid, (uint64_t)pid, (uint64_t)pid);
    feed((struct svc_event){.type = SVC_EV_FORKED, .pid = pid, .inode = (uint64_t)pid, .digest = 1, .stop = stop});
    feed((struct svc_event){.type = SVC_EV_EXECED, .start_ticks = (uint64_t)pid});
}

static void prepare_service(void)
{
    spec = spec_new("web");
    spec->command = strv_push(spec->command, xstrdup("/usr/bin/web"));
    spec_own_life(spec)->restart = RESTART_ALWAYS;
    spec_own_life(spec)->restart_delay = 0;
    svc_init(&svc, spec, now);
    feed((struct svc_event){.type = SVC_EV_START});
    fork_and_exec(1000);
}

static void restart(void)
{
    const struct exit_info end = {.how = EXIT_HOW_EXITED, .code = 1, .source = EXIT_SOURCE_WAIT};

    for (int32_t pid = 1001; pid <= 1000 + RESTARTS; pid++) {
        feed((struct svc_event){.type = SVC_EV_EXITED, .exit = end, .start_ticks = (uint64_t)pid - 1});
        feed((struct svc_event){.type = SVC_EV_GROUP});
        fork_and_exec(pid);
    }
    if (svc.state != SVC_RUNNING || svc.restarts != RESTARTS) {
        fprintf(stderr, "ratchet: %llu restarts, %s\n", (unsigned long long)svc.restarts, svc_state_name(svc.state));
        exit(1);
    }
}

/* ---- the status of 1,000 ---- */

static void tell_status(void)
{
    const struct proto_service service = {
        .name = spec->name,
        .svc = &svc,
        .spec = spec,
        .now = now,
        .usage = {.known = true, .memory = 7340032, .cpu = 50000, .tasks = 5},
        .memory_max = -1,
    };
    struct json_out out = {0};

    json_out_open(&out, '[');
    for (int i = 0; i < SERVICES; i++)
        proto_service_object(&out, &service);
    json_out_close(&out, ']');
    if (out.text.len < SERVICES * (size_t)100) {
        fprintf(stderr, "ratchet: an answer of %zu bytes\n", out.text.len);
        exit(1);
    }
    buf_free(&out.text);
}

/* ---- the replay of 10,000 records ---- */

static void prepare_records(void)
{
    struct epoch epoch = {.boot_id = "ratchet", .pidns = 1, .init_start = 1};
    char name[32];

    prepare_service();
    records = xmalloc((RECORDS + 1) * (size_t)RECORD_MAX);
    records_len = record_encode_header(records, &epoch);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(name, sizeof name, "service-%d", i % SERVICES);
        records_len += record_encode_service(records + records_len, name, &svc);
    }
}

static void replay(void)
{
    struct replay *replay = replay_new(records, records_len);

    if (replay->n != SERVICES || replay->damaged > 0) {
        fprintf(stderr, "ratchet: %zu services, %zu damaged\n", replay->n, replay->damaged);
        exit(1);
    }
    replay_free(replay);
}

/* ---- a configuration of 1,000 services ---- */

static void prepare_config(void)
{
    int fd = mkstemp(config_path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (file == NULL) {
        perror("ratchet");
        exit(1);
    }
    for (int i = 0; i < SERVICES; i++)
        fprintf(file, "service \"s%d\" {\n    command = {\"/bin/sleep\", \"%d\"}\n    restart-delay = 1s\n}\n", i, i);
    fclose(file);
}

static void read_config(void)
{
    struct config_errors errors;
    struct config *config = config_load(config_path, &errors);

    unlink(config_path);
    if (errors.n > 0 || config->services.n != SERVICES) {
        fprintf(stderr, "ratchet: %zu services, %zu errors\n", config->services.n, errors.n);
        exit(1);
    }
    config_errors_clear(&errors);
    config_free(config);
}

/* Its name is known to test_ratchet.py. */
void ratchet_measured(const struct scenario *scenario);

__attribute__((noinline)) void ratchet_measured(const struct scenario *scenario)
{
    scenario->run();
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"restarts", prepare_service, restart},
        {"status", prepare_service, tell_status},
        {"replay", prepare_records, replay},
        {"config", prepare_config, read_config},
    };

    json_object_seed(1); /* else the order of hashing differs from run to run */
    for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0)
            continue;
        scenarios[i].prepare();
        ratchet_measured(&scenarios[i]);
        return 0;
    }
    fprintf(stderr, "usage: ratchet restarts|status|replay|config\n");
    return 2;
}
