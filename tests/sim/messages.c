/* SPDX-License-Identifier: MIT */
/*
 * What main processes say by sd_notify(3), and the model of src/supd/messages.c, which hears it: that they are ready,
 * and that they are alive.
 */
#include "sim.h"

/* ---- who says it ---- */

static bool is_kept(const struct world *w)
{
    return w->running || w->keeps_sockets;
}

static bool can_speak(const struct proc *p)
{
    return p->kind == KIND_MAIN && p->stage == PROC_EXECED && p->speaks && !p->frozen && !p->doomed && !p->hung;
}

void messages_forked(struct world *w, struct proc *p, const struct spec *spec)
{
    p->speaks = spec_notify_access(spec) != NOTIFY_NONE;
    p->says_ready = spec->life->ready.kind == READY_NOTIFY;
    /* The socket is empty, whatever stood there was of an earlier life. */
    w->mail[p->service] = (struct mail){.open = p->speaks, .stored = true, .uid = p->uid};
}

bool messages_say_ready(struct world *w, struct proc *p)
{
    struct mail *mail = &w->mail[p->service];

    if (!can_speak(p) || !p->says_ready || p->told_ready)
        return false;
    p->told_ready = true;
    sim_trace(w, "  process %d says that it is ready%s", p->pid, is_kept(w) ? "" : ", to nobody");
    if (is_kept(w) && mail->open && mail->uid == p->uid)
        mail->ready = true;
    w->seen.unheard += !is_kept(w);
    return true;
}

/* ---- who hears it ---- */

void messages_read(struct world *w, struct service *s)
{
    struct mail *mail = &w->mail[service_index(w, s)];
    const struct proc *p = kernel_find(w, s->main.pidfd);
    bool ready = mail->ready && p && p->uid == mail->uid;
    /* Who is well has said so in time. */
    bool alive = p && can_speak(p) && p->uid == mail->uid && s->svc.rare.watchdog > 0;

    if (alive)
        model_event(w, s, (struct svc_event){.type = SVC_EV_ALIVE, .life = s->svc.life});
    if (ready) {
        w->seen.readies++;
        model_event(w, s, (struct svc_event){.type = SVC_EV_READY, .life = s->svc.life});
    }
    /* Only now, for supd may die before it has recorded what follows. */
    mail->ready = false;
}

bool messages_turn(struct world *w, struct service *s)
{
    if (!w->mail[service_index(w, s)].ready)
        return false;
    messages_read(w, s);
    return true;
}

int64_t messages_next_timer(struct world *w, const struct service *s)
{
    const struct proc *p = kernel_find(w, s->main.pidfd);

    /* Where all are well it would be set for ever. */
    return p && (can_speak(p) || p->frozen) ? 0 : s->svc.rare.watchdog_at;
}

bool messages_watchdog_turn(struct world *w, struct service *s)
{
    const struct proc *p = kernel_find(w, s->main.pidfd);

    if (s->svc.rare.watchdog_at == 0 || w->now.mono < s->svc.rare.watchdog_at)
        return false;
    messages_read(w, s);
    if (p && p->frozen)
        model_event(w, s, (struct svc_event){.type = SVC_EV_ALIVE, .life = s->svc.life});
    model_event(w, s, (struct svc_event){.type = SVC_EV_WATCHDOG, .life = s->svc.life});
    return true;
}

/* ---- over the death of supd ---- */

void messages_supd_is_gone(struct world *w)
{
    for (int i = 0; i < SERVICES; i++) {
        /* What was heard and could not be recorded: the socket was taken out of the store. */
        if (!w->keeps_sockets || !w->mail[i].stored || w->supd.services[i].unrecorded)
            w->mail[i] = (struct mail){.uid = w->mail[i].uid};
    }
}

bool messages_recover(struct world *w, struct service *s)
{
    struct mail *mail = &w->mail[service_index(w, s)];
    bool kept = mail->open;

    if (spec_notify_access(s->spec) == NOTIFY_NONE || !svc_is_busy(&s->svc))
        return false;
    mail->open = true;
    mail->stored = kept;
    return !kept;
}

void messages_resume(struct world *w, struct service *s, bool lost)
{
    if (!lost)
        return;
    if (!svc_awaits_ready(&s->svc) || s->spec->life->ready.kind == READY_NOTIFY)
        model_event(w, s, (struct svc_event){.type = SVC_EV_UNHEARD, .life = s->svc.life});
    /* Not before that is recorded; where it cannot be, messages_supd_is_gone() sees that. */
    w->mail[service_index(w, s)].stored = true;
}
