/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What became of stamped packets.  A flow's sequence begins at 0: what was sent before the receiver looked counts
 * as lost.
 *
 * lost        not seen; a packet that comes after all, at most VERIFY_WINDOW behind, is taken off again
 * reordered   came after one that was sent later, on the same receive ring
 * overtaken   the same on different rings: no fault, for nothing says which of two rings is looked at first.  A flow
 *             comes on one ring where its sender uses one ring and the receiver's queues are chosen by addresses and
 *             ports (RSS); else its order is that of each ring
 * duplicate   came before, within the window
 * too_late    further behind than the window: nobody remembers whether it came before
 * corrupt     a byte is not what was sent
 * foreign     not stamped: no fault, other hosts may be talking
 * untracked   of one flow more than VERIFY_FLOWS
 */
#ifndef NMX_TOOLS_VERIFY_H
#define NMX_TOOLS_VERIFY_H

#include <stdint.h>

#include "frame.h"
#include "hist.h"

#define VERIFY_WINDOW 65536u
#define VERIFY_FLOWS  1024u
#define VERIFY_RINGS  64u /* told apart; with more, some are taken for one */

struct verify_flow {
	uint64_t next; /* one after the highest sequence seen */
	uint32_t flow;
	uint16_t run;
	bool used;
	uint64_t ring_next[VERIFY_RINGS];  /* the same as next, of each ring */
	uint64_t seen[VERIFY_WINDOW / 64]; /* of [next - VERIFY_WINDOW, next), at sequence modulo window */
};

struct verify {
	uint64_t intact, lost, reordered, overtaken, duplicate, too_late, corrupt, foreign, untracked;
	uint32_t num_flows;
	struct verify_flow *last; /* found last time */
	struct hist latency;      /* ns; of intact packets, senders on this machine only make sense */
	struct verify_flow flows[VERIFY_FLOWS];
};

struct verify *verify_new(void); /* NULL: no memory.  About 8 MiB, of which only used flows become real */
void verify_free(struct verify *verify);

/* A packet that came on a receive ring; rings of one port, or of a receiver that has only one. */
void verify_packet_on(struct verify *verify, uint32_t ring, const uint8_t *data, uint32_t len, uint64_t now_ns);
static inline void verify_packet(struct verify *verify, const uint8_t *data, uint32_t len, uint64_t now_ns)
{
	verify_packet_on(verify, 0, data, len, now_ns);
}

/* Everything that should not be. */
uint64_t verify_bad(const struct verify *verify);

void verify_json(const struct verify *verify, struct json *json);
void verify_say(const struct verify *verify, FILE *to);

#endif
