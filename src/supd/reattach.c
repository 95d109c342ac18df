/* SPDX-License-Identifier: MIT */
/*
 * Taking back what an earlier supd of this runtime directory has left running.
 *
 * The state file is replayed under the lock, so no child is still about to write
 * to it.  Each process without a recorded end is opened as a pidfd and verified
 * by its start time.  The file may have been damaged or cut short without a trace,
 * so /proc is asked for more: a session leader of the right user that carries this
 * runtime directory's random id, and its own pid, in its environment is ours too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "core/instance.h"
#include "core/record.h"
#include "core/service_keep.h"
#include "os/clock.h"
#include "os/identity.h"
#include "os/procfs.h"
#include "os/statefile.h"
#include "supd/cgroups.h"
#include "supd/events.h"
#include "supd/handover.h"
#include "supd/kept.h"
#include "supd/logs.h"
#include "supd/messages.h"
#include "supd/order.h"
#include "supd/process.h"
#include "supd/sockets.h"

/* A recorded process, or one found in /proc, that lives. */
struct survivor {
    const char *name; /* of the image, or found_name */
    char *found_name; /* NULL unless it was found in /proc */
    pid_t pid;
    uint64_t start_ticks;
    int pidfd; /* -1 once it was taken */
    enum process_part part;
    bool is_child; /* after a live upgrade */
    bool kept;     /* it is in the fd store */
    bool ended;    /* it does not live any more, but its pidfd was kept and tells how it ended */
};

struct survey {
    struct supervisor *sup;
    struct replay *replay;
    struct survivor *items; /* the recorded ones in order of name, then those found in /proc */
    size_t n;
    size_t n_recorded;
    pid_t *pids; /* of the recorded ones, in ascending order */
    int fatal;   /* a process could not be opened for another reason than its end: -errno */
};

static struct survivor *survey_push(struct survey *survey)
{
    survey->items = xreallocarray(survey->items, survey->n + 1, sizeof *survey->items);
    survey->items[survey->n] = (struct survivor){.pidfd = -1};
    return &survey->items[survey->n++];
}

static int compare_survivors(const void *a, const void *b)
{
    const struct survivor *x = a;
    const struct survivor *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (int)x->part - (int)y->part;
}

static struct survivor *survey_find(const struct survey *survey, const char *name, enum process_part part)
{
    struct survivor key = {.name = name, .part = part};
    struct survivor *found = survey->n_recorded == 0 ? NULL
                                                     : bsearch(&key, survey->items, survey->n_recorded,
                                                               sizeof *survey->items, compare_survivors);

    for (size_t i = survey->n_recorded; !found && i < survey->n; i++) {
        if (part == PART_MAIN && strcmp(survey->items[i].name, name) == 0)
            found = &survey->items[i];
    }
    return found;
}

/* The value of KEY in PID's environment is WANT? */
static bool environ_is(pid_t pid, const char *key, const char *want)
{
    char *value = procfs_environ_get(pid, key);
    bool is = value && strcmp(value, want) == 0;

    free(value);
    return is;
}

static bool find_unrecorded(void *ctx, pid_t pid)
{
    struct survey *survey = ctx;
    struct procfs_stat st;
    char own_pid[16];

    /* The cheap questions first: this is asked of every process of the machine. */
    if (bsearch(&pid, survey->pids, survey->n_recorded, sizeof pid, procfs_compare_pids))
        return true;
    if (procfs_read_stat(pid, &st) < 0 || st.session != pid || st.state == 'Z')
        return true;
    snprintf(own_pid, sizeof own_pid, "%d", pid);
    if (!environ_is(pid, "SUPD_INSTANCE", survey->sup->lock.instance) || !environ_is(pid, "SUPD_EXEC_PID", own_pid))
        return true;
    char *hook = procfs_environ_get(pid, "SUPD_HOOK");
    char *name = procfs_environ_get(pid, "SUPD_SERVICE");
    bool taken = hook || !name || !instance_name_valid(name) || survey_find(survey, name, PART_MAIN);
    free(hook);
    if (taken) {
        free(name);
        return true;
    }
    int pidfd = identity_open(pid, st.start_ticks);
    if (pidfd < 0) {
        free(name);
        return true;
    }
    log_warning("%s: process %d is not in the state file but carries our id: it is taken back", name, pid);
    struct survivor *found = survey_push(survey);
    found->found_name = name;
    found->name = name;
    found->pid = pid;
    found->start_ticks = st.start_ticks;
    found->pidfd = pidfd;
    return true;
}

/*
 * A pidfd of the recorded process, or -errno as of identity_open(): handed over by the binary before, kept in the fd
 * store, or opened anew.  A child that nobody has reaped needs none.
 */
static int open_process(struct supervisor *sup, uint64_t inode, struct survivor *process)
{
    char key[HANDOVER_KEY_MAX];
    int pidfd = -1;

    handover_key(process->name, process->part, key);
    if (sup->handover && handover_process(sup->handover, key, process->pid, &pidfd, &process->is_child)) {
        process->kept = handover_stored(sup->handover, key);
        if (pidfd >= 0 || process->is_child)
            return pidfd;
    }
    enum fdstore_found kept = fdstore_take(&sup->fdstore, process->pid, process->start_ticks, inode, &pidfd);
    if (kept == FDSTORE_NONE)
        return identity_open_recorded(process->pid, process->start_ticks, inode);
    process->kept = true;
    process->ended = kept == FDSTORE_ENDED;
    return pidfd;
}

/* False where it may live and cannot be opened. */
static bool open_one(struct survey *survey, struct survivor process, uint64_t inode)
{
    int pidfd = open_process(survey->sup, inode, &process);

    if (pidfd == -ESRCH)
        return true;
    if (pidfd < 0 && !process.is_child) {
        survey->fatal = pidfd;
        return false;
    }
    process.pidfd = pidfd;
    *survey_push(survey) = process;
    return true;
}

/* Opens every recorded process that has no recorded end. */
static void open_recorded(struct survey *survey)
{
    const struct replay *replay = survey->replay;

    for (size_t i = 0; i < replay->n; i++) {
        const struct svc_image *image = replay->images[i];
        const struct svc_proc *proc = &image->svc.proc;
        const struct svc_control *control = &image->svc.rare.control;
        const struct svc_check *check = &image->svc.rare.check;
        struct survivor process = {.name = image->name, .pid = proc->pid, .start_ticks = proc->start_ticks};

        if (image->has_process && !open_one(survey, process, proc->inode))
            return;
        process = (struct survivor){
            .name = image->name, .part = PART_CONTROL, .pid = control->pid, .start_ticks = control->start_ticks};
        if (image->has_control && !open_one(survey, process, control->inode))
            return;
        process = (struct survivor){
            .name = image->name, .part = PART_CHECK, .pid = check->pid, .start_ticks = check->start_ticks};
        if (image->has_check && !open_one(survey, process, check->inode))
            return;
    }
    survey->n_recorded = survey->n;
    survey->pids = xcalloc(survey->n + 1, sizeof(pid_t));
    for (size_t i = 0; i < survey->n; i++)
        survey->pids[i] = survey->items[i].pid;
    qsort(survey->pids, survey->n, sizeof(pid_t), procfs_compare_pids);
}

/* An empty replay stands for "there is nothing to take back". */
static void forget_replay(struct survey *survey)
{
    replay_free(survey->replay);
    survey->replay = replay_new(NULL, 0);
}

/* Judges what was read.  Returns whether processes of that time may live at all. */
static bool judge(struct survey *survey, size_t len)
{
    const struct replay *replay = survey->replay;
    const char *dir = survey->sup->runtime_dir;

    if (replay->has_epoch && !epoch_equal(&replay->epoch, &survey->sup->epoch)) {
        log_info("%s/state is of an earlier boot or an earlier life of this container: beginning afresh", dir);
        forget_replay(survey);
        return false;
    }
    if (len > 0 && (replay->records == 0 || !replay->has_epoch)) {
        log_error("%s/state makes no sense: it is kept aside as %s/state.bad", dir, dir);
        statefile_set_aside(dir);
        forget_replay(survey);
        return !survey->sup->lock.fresh;
    }
    if (replay->newer)
        log_warning("%s/state holds records of a newer version of supd, which are passed over", dir);
    if (replay->records > 0 && replay->damaged > 0)
        log_error("%s/state is damaged in %zu place%s (%zu bytes); the rest of it, %zu records, is used", dir,
                  replay->damaged, replay->damaged == 1 ? "" : "s", replay->skipped, replay->records);
    return !survey->sup->lock.fresh;
}

struct survey *survey_new(struct supervisor *sup, char *err, size_t err_size)
{
    struct survey *survey = xcalloc(1, sizeof *survey);
    uint8_t *data;
    size_t len;
    int rc = statefile_read(sup->runtime_dir, &data, &len);

    survey->sup = sup;
    if (rc < 0) {
        snprintf(err, err_size,
                 "cannot read %s/state: %s; it may tell of services that run: make it readable, or move it away if "
                 "none does",
                 sup->runtime_dir, strerror(-rc));
        free(survey);
        return NULL;
    }
    survey->replay = replay_new(data, len);
    free(data);
    bool may_live = judge(survey, len);
    open_recorded(survey);
    if (survey->fatal < 0) {
        snprintf(err, err_size, "cannot open a running service's process: %s; starting it again would double it",
                 strerror(-survey->fatal));
        survey_free(survey);
        return NULL;
    }
    if (may_live)
        procfs_each(find_unrecorded, survey);
    return survey;
}

void survey_free(struct survey *survey)
{
    if (!survey)
        return;
    for (size_t i = 0; i < survey->n; i++) {
        if (survey->items[i].pidfd >= 0)
            close(survey->items[i].pidfd);
        free(survey->items[i].found_name);
    }
    free(survey->items);
    free(survey->pids);
    replay_free(survey->replay);
    free(survey);
}

/* One that has ended and was not reaped yet is there, but is no service that somebody has to go on with. */
static bool lives(const struct survivor *process)
{
    struct procfs_stat st;

    return !process->ended && (procfs_read_stat(process->pid, &st) < 0 || !procfs_is_dead(&st));
}

bool survey_any_alive(const struct survey *survey)
{
    for (size_t i = 0; i < survey->n; i++) {
        if (lives(&survey->items[i]))
            return true;
    }
    return false;
}

bool survey_shutdown_pending(const struct survey *survey)
{
    for (size_t i = 0; i < survey->n; i++) {
        if (!survey->items[i].ended)
            return survey->replay->shutdown;
    }
    return false;
}

const struct replay *survey_replay(const struct survey *survey)
{
    return survey->replay;
}

const struct essential_end *survey_essential(const struct survey *survey)
{
    return &survey->replay->essential;
}

/* ---- taking back ---- */

/* When a process began, from ticks since boot to our clocks. */
static struct timestamp time_of_ticks(uint64_t ticks)
{
    struct timestamp now = clock_now();
    int64_t age = clock_since_boot() - (int64_t)(ticks * (uint64_t)USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
    if (age < 0)
        age = 0;
    return (struct timestamp){.mono = now.mono - age, .wall = now.wall - age};
}

/* A service that runs but is not in the configuration any more: there to be stopped. */
static struct service *add_orphan(struct supervisor *sup, const char *name)
{
    struct spec *spec = spec_new(name);

    spec->command = strv_push(spec->command, xstrdup("(removed)"));
    spec->enabled = false;
    struct service *service = service_add(sup, spec);
    service->removing = true;
    return service;
}

/* What the state file did not tell of a process found in /proc. */
static void image_from_survivor(struct service *service, const struct survivor *found, struct svc *svc)
{
    svc->state = SVC_STARTING;
    svc->desired_up = true;
    svc->life++;
    svc->ended = false;
    svc->stop_phase = STOP_NONE;
    svc->deadline = 0;
    svc->started = time_of_ticks(found->start_ticks);
    svc->proc.pid = found->pid;
    svc->proc.start_ticks = found->start_ticks;
    svc->proc.inode = identity_inode(found->pidfd);
    svc->proc.digest = 0; /* not known: shown as stale */
    svc->proc.stop = svc_stop_params(service->spec);
    svc->group = found->pid;
}

/* A process of another user than the service's is not believed, whatever its environment says. */
static bool right_user(const struct service *service, pid_t pid)
{
    uid_t uid;
    uid_t want = service->spec->exec->ids.set ? service->spec->exec->ids.uid : geteuid();

    return procfs_uid(pid, &uid) && uid == want;
}

/* Takes over what was opened. */
static void hold(struct process *process, struct survivor *found)
{
    const char *name = process->service->spec->name;
    const char *what = found->part != PART_MAIN ? svc_role_name(process_role(process)) : "process";

    if (!found->is_child)
        log_info(found->ended ? "%s: %s %d ended while supd was away; its descriptor was kept and tells how"
                              : "%s: %s %d is taken back",
                 name, what, process_pid(process));
    process->pidfd = found->pidfd;
    found->pidfd = -1;
    if (found->is_child)
        process_inherit(process);
    if (found->kept)
        store_keep(process);
}

static void restore(struct service *service, const struct svc_image *image, struct survivor *found,
                    struct survivor *control, struct survivor *check)
{
    struct svc svc = image ? image->svc : svc_kept(service->svc);

    if (found && found->found_name) {
        if (service->removing || !right_user(service, found->pid)) {
            log_warning("%s: process %d is left alone: it is not the service's by its user or configuration",
                        found->name, found->pid);
            found = NULL;
        } else {
            image_from_survivor(service, found, &svc);
        }
    }
    service_restore(service, &svc);
    if (found)
        hold(&service->main, found);
    if (control)
        hold(process_of(service, PART_CONTROL), control);
    if (check)
        hold(process_of(service, PART_CHECK), check);
}

/* Its cgroup tells of a life that the state file does not. */
static void restore_leftovers(struct service *service)
{
    struct svc svc = svc_kept(service->svc);

    log_warning("%s: the state file does not tell of processes that are in its cgroup: they are ended",
                service->spec->name);
    svc.state = SVC_RUNNING;
    svc.life++;
    svc.began = true;
    svc.ended = true;
    svc.started = clock_now();
    svc.ended_at = svc.started.mono;
    svc.exit = (struct exit_info){.how = EXIT_HOW_UNKNOWN, .at = svc.started.wall};
    svc.proc.stop = svc_stop_params(service->spec);
    svc.group = SVC_GROUP_UNKNOWN;
    svc.group_start = 1;
    service_restore(service, &svc);
}

/* How the process is to be ended may have changed with the configuration. */
static void tell_config(struct service *service)
{
    struct svc_stop_params stop = service->removing ? service->svc->proc.stop : svc_stop_params(service->spec);

    service_event(service, &(struct svc_event){.type = SVC_EV_CONFIG, .stop = stop});
}

/* What has become of a process that was recorded, and not its end. */
static void tell_fate(struct process *process)
{
    if (process->is_child) {
        store_add(process);
    } else if (process->pidfd >= 0) {
        process_tell_adopted(process);
        process_watch_adopted(process);
        store_add(process);
    } else {
        log_warning("%s: its %s ended while supd was away; the status is not known", process->service->spec->name,
                    process_role(process) == ROLE_SERVICE ? "process" : svc_role_name(process_role(process)));
        process_tell_exited(process, (struct exit_info){.how = EXIT_HOW_UNKNOWN}, NULL, 0, NULL);
    }
}

/* All are restored: now tell each what became of its processes, and let it go on. */
static void resume(struct service *service)
{
    uint32_t control = svc_rare(service->svc)->control.number;
    uint32_t check = svc_rare(service->svc)->check.number;

    if (svc_has_process(service->svc))
        tell_fate(&service->main);
    /* Unless what became of the main process has ended that too. */
    if (svc_has_control(service->svc) && svc_rare(service->svc)->control.number == control)
        tell_fate(process_of(service, PART_CONTROL));
    if (svc_has_check(service->svc) && svc_rare(service->svc)->check.number == check)
        tell_fate(process_of(service, PART_CHECK));
    tell_config(service);
    if (service->removing)
        service_remove(service, REMOVAL_BY_CONFIG);
    /* Also for one to be removed: of its group something may be left that has to be waited for. */
    service_event(service, &(struct svc_event){.type = SVC_EV_BOOT});
    messages_resume(service);
}

/* What those that are new require is wanted, too; before the first record, so that a crash does not lose half of it. */
static void pull_fresh(struct supervisor *sup, const struct replay *replay)
{
    size_t n;
    size_t fresh = 0;
    struct service **services = services_list(sup, &n);

    for (size_t i = 0; i < n; i++) {
        if (!replay_find(replay, services[i]->spec->name) && !services[i]->removing)
            services[fresh++] = services[i];
    }
    order_pull_fresh(sup, services, fresh);
    free(services);
}

bool reattach(struct supervisor *sup, struct survey *survey, char *err, size_t err_size)
{
    struct replay *replay = survey->replay;

    for (size_t i = 0; i < replay->n; i++) {
        const char *name = replay->images[i]->name;

        if (!service_find(sup, name) && !logs_add_suplog(sup, name))
            add_orphan(sup, name);
    }
    for (size_t i = 0; i < survey->n; i++) {
        if (!service_find(sup, survey->items[i].name) && !logs_add_suplog(sup, survey->items[i].name))
            add_orphan(sup, survey->items[i].name);
    }
    services_sort(sup);
    order_build(sup);
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link)) {
        const struct svc_image *image = replay_find(replay, s->spec->name);
        struct survivor *found = survey_find(survey, s->spec->name, PART_MAIN);

        if (image || found) {
            restore(s, image, found, survey_find(survey, s->spec->name, PART_CONTROL),
                    survey_find(survey, s->spec->name, PART_CHECK));
            cgroups_attach(s);
        } else if (cgroups_has_earlier(s)) {
            restore_leftovers(s);
            cgroups_attach(s);
        }
        sockets_recover(s);
        kept_recover(s, image);
        messages_recover(s);
        logs_recover(s);
    }

    pull_fresh(sup, replay);
    events_restore(sup, replay);

    /* From here on there is a state file that tells the same as the old one. */
    int rc = persist_begin(sup);
    if (rc < 0) {
        snprintf(err, err_size, "cannot write %s/state: %s", sup->runtime_dir, strerror(-rc));
        return false;
    }
    sup->reattaching = true;
    persist_gather(sup);
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link))
        resume(s);
    persist_gathered(sup);
    sup->reattaching = false;
    events_resume(sup);
    /* What was above them may have been made anew with supd, and the configuration may be another. */
    for (struct service *s = TAILQ_FIRST(&sup->services); s; s = TAILQ_NEXT(s, link))
        cgroups_apply(s);
    cgroups_clean(sup);
    messages_clean(sup);
    logs_resume(sup);
    store_clean(sup);
    return true;
}
