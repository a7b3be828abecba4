/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Numbers as people write and read them.  Pure: no locale, no allocation, no errno.
 * The parsers return NULL, or what is wrong with the text and how to write it; *value is then untouched. */
#ifndef NMX_TOOLS_UNITS_H
#define NMX_TOOLS_UNITS_H

#include <stddef.h>
#include <stdint.h>

const char *units_count(const char *text, uint64_t *value);               /* 1000, 10k, 2.5M, 1G: exact, below 2^64 */
const char *units_seconds(const char *text, uint64_t *value_ns);          /* 2, 0.5, 20ms, 100us */
const char *units_range(const char *text, uint64_t *low, uint64_t *high); /* 60, or 60-1500 */
const char *units_mac(const char *text, uint8_t mac[6]);
const char *units_ip4(const char *text, uint8_t ip[4]);

/* Room for every text made below. */
#define UNITS_TEXT 32

/* Each writes at most UNITS_TEXT bytes to text and returns it. */
char *units_grouped(char *text, uint64_t value);                /* 12,345,678 */
char *units_scaled(char *text, double value, const char *unit); /* 12.3 Mpps */
char *units_time(char *text, uint64_t ns);                      /* 850 ns, 12.3 us, 4.56 ms, 7.89 s */

#endif
