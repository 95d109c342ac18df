/* SPDX-License-Identifier: MIT */
/*
 * What the Check programs share: main() runs the suite that the program defines
 * as check_suite() and speaks TAP on stdout, for automake's TAP driver.
 */
#ifndef SUPD_TESTS_CHECK_MAIN_H
#define SUPD_TESTS_CHECK_MAIN_H

#include <check.h>

/* Defined by each test program. */
Suite *check_suite(void);

#endif
