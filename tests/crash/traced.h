/* SPDX-License-Identifier: MIT */
/*
 * A program that is traced from its first instruction on, by a process that it does not know of: what the stepper and
 * tests/faults/fault.c begin with.
 */
#ifndef SUPD_TESTS_CRASH_TRACED_H
#define SUPD_TESTS_CRASH_TRACED_H

#define EXIT_SKIP 77 /* automake's word for a test that cannot be run here */

/*
 * Executes ARGV in this process.  Before that BE_TRACER runs in another one, which is no child of this: it seizes this
 * process, writes a byte to READY and closes it, and never returns.  Where it ends without that byte, this process
 * exits with EXIT_SKIP; with 127 where ARGV cannot be executed.
 */
_Noreturn void traced_exec(void (*be_tracer)(int ready), char **argv);

#endif
