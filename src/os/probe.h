/* SPDX-License-Identifier: MIT */
/*
 * Looking whether a service is ready, without waiting for anything.
 */
#ifndef SUPD_OS_PROBE_H
#define SUPD_OS_PROBE_H

#include <stdbool.h>

#include "core/socket_spec.h"

/* Is there anything at PATH? */
bool probe_path(const char *path);

/* A new empty file at PATH (0600, close-on-exec) in place of what is there, open to read and to append; or -errno. */
int probe_line_new(const char *path);
/* Has somebody written a line into the file at PATH?  -errno: it is not there, or cannot be read. */
int probe_line(const char *path);

/* A connection to ADDRESS, an IP address, that is begun: the caller's descriptor (close-on-exec); or -errno. */
int probe_connect(const struct socket_spec *address);
/* 1: somebody has accepted it.  0: not yet.  -errno: nobody will. */
int probe_connected(int fd);

#endif
