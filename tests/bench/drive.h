/* SPDX-License-Identifier: MIT */
/*
 * drive: what of a measurement has to be quick, for the Python that drives it.
 *
 * Each command is a function of its own, with the arguments behind its name; it prints figures in ns, one a line, and
 * returns the exit status.
 */
#ifndef SUPD_TESTS_BENCH_DRIVE_H
#define SUPD_TESTS_BENCH_DRIVE_H

#include <stdint.h>

#define DRIVE_PATIENCE (INT64_C(300) * 1000000000) /* ns; what takes longer is given up */

/* Tells WHAT, with errno, and ends the program. */
_Noreturn void drive_fail(const char *what);

/* drive_client.c: */

/* RUNTIME SOCKET COMMAND...: starts supd again; prints exec to lock, lock to answer, and its pid. */
int drive_reattach(int argc, char **argv);
/* SOCKET CLIENTS PERIOD_MS NAME: so many clients, each of which asks for the status of NAME so often; until SIGTERM. */
int drive_pollers(int argc, char **argv);

#endif
