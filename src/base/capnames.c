/* SPDX-License-Identifier: MIT */
#include "base/capnames.h"

#include <stddef.h>
#include <strings.h>

#include "base/suggest.h"

/* By the kernel's number, linux/capability.h. */
static const char *const names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

#define N_NAMES ((int)(sizeof(names) / sizeof(names[0])))
#define PREFIX_LEN 4 /* of "CAP_" */

int capability_from_name(const char *name)
{
    for (int i = 0; i < N_NAMES; i++) {
        if (strcasecmp(name, names[i]) == 0 || strcasecmp(name, names[i] + PREFIX_LEN) == 0)
            return i;
    }
    return -1;
}

const char *capability_to_name(int number)
{
    return number >= 0 && number < N_NAMES ? names[number] : NULL;
}

const char *capability_suggest(const char *word)
{
    const char *shorter[N_NAMES];

    if (strncasecmp(word, names[0], PREFIX_LEN) == 0)
        return suggest_nearest(word, names, (size_t)N_NAMES);
    for (int i = 0; i < N_NAMES; i++)
        shorter[i] = names[i] + PREFIX_LEN;
    return suggest_nearest(word, shorter, (size_t)N_NAMES);
}
