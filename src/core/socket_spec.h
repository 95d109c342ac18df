/* SPDX-License-Identifier: MIT */
/*
 * One entry of the key `listen`: a socket that is opened for a service and handed to it.
 *
 *   KIND:ADDRESS[,OPTION[=VALUE]]...
 *   tcp:192.0.2.1:80   tcp:[2001:db8::1]:80   tcp:[fe80::1%eth0]:80   tcp:*:80   udp: likewise
 *   unix:/path   unix:@abstract-name   unix-dgram:   unix-seqpacket: likewise
 *
 * Pure: addresses are numbers, and nothing is looked up.  os/sockets.h opens them.
 */
#ifndef SUPD_CORE_SOCKET_SPEC_H
#define SUPD_CORE_SOCKET_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKET_SCOPE_MAX 16         /* bytes of an interface's name, the NUL included, as IF_NAMESIZE */
#define SOCKET_PATH_MAX 108         /* bytes of sun_path, the NUL included */
#define SOCKET_WORD_MAX 256         /* of a name, a user or a group, the NUL included */
#define SOCKET_ADDRESS_MAX 160      /* of what socket_spec_address() writes */
#define SOCKET_BACKLOG_DEFAULT 4096 /* the kernel cuts it to net.core.somaxconn */
#define SOCKET_MODE_DEFAULT 0666    /* as systemd's SocketMode= */

enum socket_kind {
    SOCKET_TCP,
    SOCKET_UDP,
    SOCKET_UNIX,
    SOCKET_UNIX_DGRAM,
    SOCKET_UNIX_SEQPACKET,
};

struct socket_spec {
    enum socket_kind kind;

    /* tcp and udp */
    bool any;  /* '*': every address, IPv4 and IPv6 */
    bool ipv6; /* addr holds 16 bytes, else 4; with `any` unused */
    uint8_t addr[16];
    char scope[SOCKET_SCOPE_MAX]; /* interface of a link-local address; "" = none */
    uint16_t port;
    bool reuse_port;
    bool ipv6_only;

    /* unix: a path from '/' on, or a name in the abstract namespace, without its '@' */
    bool abstract;
    char path[SOCKET_PATH_MAX];
    uint32_t mode;
    char user[SOCKET_WORD_MAX]; /* who owns the path, a name or a number; "" = supd's own user, group */
    char group[SOCKET_WORD_MAX];

    uint32_t backlog; /* of all but udp and unix-dgram */
    bool nonblocking;
    char name[SOCKET_WORD_MAX]; /* in LISTEN_FDNAMES; "" = the name of the service */
};

/*
 * Reads TEXT.  False with ERR (ERR_SIZE bytes) written: which word is wrong, and what would be right.
 */
bool socket_spec_parse(const char *text, struct socket_spec *spec, char *err, size_t err_size);

/* What socket_spec_parse() reads back to the same, shortest form; to be freed. */
char *socket_spec_format(const struct socket_spec *spec);

/* Kind and address without options, for messages and as the socket's name among those of a service.  Returns BUF. */
const char *socket_spec_address(const struct socket_spec *spec, char buf[SOCKET_ADDRESS_MAX]);

/* Is one that was opened for A of use for B?  What differs beyond that can be changed on an open socket. */
bool socket_spec_same(const struct socket_spec *a, const struct socket_spec *b);

/* Has it a file: a unix socket that is not abstract? */
bool socket_spec_has_path(const struct socket_spec *spec);

/* Is it one that takes connections, rather than datagrams? */
bool socket_spec_is_stream(const struct socket_spec *spec);

#endif
