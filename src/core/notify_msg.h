/* SPDX-License-Identifier: MIT */
/*
 * One message of sd_notify(3), taken apart: lines KEY=VALUE.
 *
 * Pure: who may send what is judged elsewhere.  A line that makes no sense is
 * passed over, as systemd does; so a later protocol does no harm.
 */
#ifndef SUPD_CORE_NOTIFY_MSG_H
#define SUPD_CORE_NOTIFY_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_MSG_MAX 4096   /* bytes of a message; a longer one is none */
#define NOTIFY_FDNAME_MAX 256 /* bytes of FDNAME, the NUL included */
#define NOTIFY_STATUS_MAX 256 /* bytes of STATUS that are kept, the NUL included */

struct notify_msg {
    bool ready;
    bool reloading;
    int64_t since; /* MONOTONIC_USEC, us on the sender's clock: when RELOADING began; 0: not there */
    bool stopping;
    int32_t main_pid;  /* MAINPID; 0: not there */
    int64_t extend;    /* EXTEND_TIMEOUT_USEC, us; 0: not there */
    bool alive;        /* WATCHDOG=1 */
    bool trigger;      /* WATCHDOG=trigger */
    bool has_watchdog; /* WATCHDOG_USEC, us: */
    int64_t watchdog;
    bool store;                      /* FDSTORE=1: what comes along is to be kept */
    bool unstore;                    /* FDSTOREREMOVE=1 */
    bool no_poll;                    /* FDPOLL=0: also once nobody is at its other end */
    char fd_name[NOTIFY_FDNAME_MAX]; /* FDNAME; "": none, or one that is not valid */
    bool has_status;                 /* STATUS, perhaps an empty one: */
    char status[NOTIFY_STATUS_MAX];  /* UTF-8 without control characters */
};

/* Reads LEN bytes of TEXT.  False where they are no message at all: too long, or with a NUL inside. */
bool notify_msg_parse(const char *text, size_t len, struct notify_msg *msg);

#endif
