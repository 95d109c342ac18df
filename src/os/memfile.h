/* SPDX-License-Identifier: MIT */
/*
 * Bytes written whole, to a file or into memory that a process of ours inherits as a descriptor.
 */
#ifndef SUPD_OS_MEMFILE_H
#define SUPD_OS_MEMFILE_H

#include <stddef.h>

/* Writes LEN bytes of DATA to FD, however many write(2) takes at a time.  0 or -errno; then some may have been written. */
int memfile_write_all(int fd, const void *data, size_t len);

/*
 * A descriptor (close-on-exec, the caller's) of a memfd_create(2) file that holds LEN bytes of DATA and stands at its
 * beginning, or -errno.  NAME is what /proc shows.
 */
int memfile_new(const char *name, const void *data, size_t len);

#endif
