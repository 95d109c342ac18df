/* SPDX-License-Identifier: MIT */
/*
 * Where our own binary is, asked at the start: once a package upgrade has replaced the
 * file, /proc/self/exe says "(deleted)" and names the old one.
 */
#ifndef SUPD_OS_SELFPATH_H
#define SUPD_OS_SELFPATH_H

/*
 * The absolute path by which this program was started, links in it kept, so that a link that
 * is set to a new version leads there.  ARGV0: argv[0], believed only where it leads to the
 * running binary; else what /proc/self/exe says.  To be freed.
 */
char *selfpath(const char *argv0);

#endif
