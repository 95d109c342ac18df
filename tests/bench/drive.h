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
#include <sys/types.h>

#define DRIVE_PATIENCE (INT64_C(300) * 1000000000) /* ns; what takes longer is given up */

/* Tells WHAT, with errno, and ends the program. */
_Noreturn void drive_fail(const char *what);

/* drive_client.c: */

/* Runs COMMAND, its output thrown away; IN_CHILD, unless NULL, is called right before the exec. */
pid_t drive_run(char **command, void (*in_child)(void *ctx), void *ctx);
/*
 * Runs COMMAND so, a supd that comes back to RUNTIME with its socket at SOCKET_PATH; prints exec to lock, lock to answer,
 * and its pid.
 */
void drive_come_back(const char *runtime, const char *socket_path, char **command, void (*in_child)(void *ctx),
                     void *ctx);
/* RUNTIME SOCKET COMMAND...: starts supd again, and tells the same. */
int drive_reattach(int argc, char **argv);
/* SOCKET CLIENTS PERIOD_MS NAME: so many clients, each of which asks for the status of NAME so often; until SIGTERM. */
int drive_pollers(int argc, char **argv);

/* drive_store.c: */

/*
 * RUNTIME SOCKET BOARD COMMAND...: runs supd as systemd does, keeping what it stores; when it has stored a descriptor for
 * each worker it is killed and started again with those, and the same is told as by drive_reattach().
 */
int drive_stored(int argc, char **argv);

#endif
