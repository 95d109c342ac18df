/* SPDX-License-Identifier: MIT */
/*
 * The layout that record.c writes and replay.c reads; see core/record.h.
 */
#ifndef SUPD_CORE_RECORD_FORMAT_H
#define SUPD_CORE_RECORD_FORMAT_H

#include <stdint.h>

#define RECORD_MAGIC UINT32_C(0x64726353) /* "Scrd" */
#define RECORD_VERSION 10                 /* what is written; older ones are read, and newer ones passed over */
#define RECORD_VERSION_INODE 2            /* since then SPAWN and SERVICE tell the inode of the process */
#define RECORD_VERSION_IDLE 3             /* since then SERVICE tells whether it waits for a connection */
#define RECORD_VERSION_CONTROL 4          /* since then there are roles but that of the main process, and types */
#define RECORD_VERSION_READY 5            /* since then readiness is waited for, and services tell of themselves */
#define RECORD_VERSION_HELD 6             /* since then SERVICE tells whether its stop waits for others */
#define RECORD_VERSION_WATCHDOG 7         /* since then SERVICE tells how often it gives a sign of life */
#define RECORD_VERSION_SCHEDULE 8         /* since then SERVICE tells the last due time */
#define RECORD_VERSION_MOVED 9            /* since then SERVICE tells who was named; reloads are waited for */
#define RECORD_VERSION_HEALTH 10          /* since then checks have processes, and SERVICE tells what they found */
#define HEAD_SIZE 12                      /* magic, length, type, version, crc */
#define CRC_OFFSET 8
#define NAME_MAX_SIZE RECORD_NAME_SIZE

#endif
