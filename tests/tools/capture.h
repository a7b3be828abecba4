/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Captures for tests: written byte by byte (so that every kind can be had), and compared by libpcap. */
#ifndef NMX_TESTS_TOOLS_CAPTURE_H
#define NMX_TESTS_TOOLS_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum capture_kind { CAPTURE_US, CAPTURE_NS, CAPTURE_US_SWAPPED, CAPTURE_NS_SWAPPED, CAPTURE_NG, NUM_CAPTURE_KINDS };
extern const char *const capture_kind_names[NUM_CAPTURE_KINDS];

struct capture {
	FILE *file;
	enum capture_kind kind;
	uint32_t packets;
};

/* link: DLT_EN10MB is 1. */
void capture_begin(struct capture *capture, const char *path, enum capture_kind kind, uint16_t link);
/* A packet of len bytes of which all are captured, the bytes made up from how many came before; at stamp_ns. */
void capture_add(struct capture *capture, uint32_t len, uint64_t stamp_ns);
void capture_end(struct capture *capture);

/* What must come out when only packets of 1 to max_len bytes can be carried. */
struct carried {
	uint64_t packets, bytes, empty, too_long;
	int link;
	bool cut; /* the capture ends badly */
};
/* False: libpcap cannot read it. */
bool capture_count(const char *path, uint64_t max_len, struct carried *carried);
/* Are the packets of `out` those of `in` that can be carried, `turns` times over, byte for byte, in order?  Counts a
 * failure if not. */
bool capture_same(const char *in, const char *out, uint64_t max_len, unsigned turns);

#endif
