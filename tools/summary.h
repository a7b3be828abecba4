/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a command says at its end. */
#ifndef NMX_TOOLS_SUMMARY_H
#define NMX_TOOLS_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

/* "sent     1,000 packets, 60,000 bytes in 1.00 s: 1.00 kpps, 480 kbit/s" */
/* seconds 0: they all came at once, and there is no rate. */
void summary_line(FILE *to, const char *what, uint64_t packets, uint64_t bytes, double seconds);
void summary_json(struct json *json, uint64_t packets, uint64_t bytes, double seconds);

/* The exit code: EXIT_OK if all went well and the summary could be written. */
int summary_exit(const char *command, FILE *to, bool ok);

#endif
