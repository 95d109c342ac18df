/* SPDX-License-Identifier: MIT */
/*
 * The commands of supctl: each gets the command line, talks to supd, prints, and
 * returns what supctl exits with.
 */
#ifndef SUPD_SUPCTL_COMMANDS_H
#define SUPD_SUPCTL_COMMANDS_H

#include "supctl/options.h"

enum supctl_exit {
    SUPCTL_DONE = 0,
    SUPCTL_FAILED = 1,
    SUPCTL_USAGE = 2,
    SUPCTL_NOT_RUNNING = 3, /* `status NAME` only */
    SUPCTL_UNKNOWN_SERVICE = 4,
    SUPCTL_NOT_PERMITTED = 5,
    SUPCTL_UNREACHABLE = 7,
    SUPCTL_TIMED_OUT = 8,
};

typedef int (*command_fn)(const struct options *options);

/* cmd_status.c */
int cmd_status(const struct options *options);
/* cmd_top.c */
int cmd_top(const struct options *options);
/* cmd_control.c */
int cmd_start(const struct options *options);
int cmd_stop(const struct options *options);
int cmd_restart(const struct options *options);
int cmd_reload(const struct options *options);
int cmd_signal(const struct options *options);
int cmd_reset(const struct options *options);
int cmd_scale(const struct options *options);
int cmd_pause(const struct options *options);
int cmd_rotate(const struct options *options);
int cmd_resume(const struct options *options);
/* cmd_rolling.c: restart --rolling */
int rolling_restart(const struct options *options);
int cmd_enable(const struct options *options);
int cmd_disable(const struct options *options);
/* cmd_logs.c */
int cmd_logs(const struct options *options);
/* cmd_events.c */
int cmd_events(const struct options *options);
/* cmd_reread.c */
int cmd_reread(const struct options *options);
/* cmd_supd.c */
int cmd_tree(const struct options *options);
int cmd_why(const struct options *options);
int cmd_info(const struct options *options);
int cmd_shutdown(const struct options *options);
int cmd_upgrade(const struct options *options);
int cmd_version(const struct options *options);

#endif
