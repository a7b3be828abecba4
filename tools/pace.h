/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A rate, kept by the schedule of an ideal sender: packet k is due at start + k / rate. */
#ifndef NMX_TOOLS_PACE_H
#define NMX_TOOLS_PACE_H

#include <stdint.h>

#define PACE_MAX_PPS UINT64_C(10000000000) /* so that pps * CLOCK_S fits 64 bits */

struct pace {
	uint64_t pps;      /* 0: as fast as it goes */
	uint64_t start_ns; /* of the schedule */
	uint64_t sent;     /* since then */
};

void pace_start(struct pace *pace, uint64_t pps, uint64_t now_ns);

/* How many of `want` packets are due now.  A sender that was held up does not make good for more than
 * 20 ms: the schedule then starts anew. */
uint64_t pace_due(struct pace *pace, uint64_t want, uint64_t now_ns);

static inline void pace_sent(struct pace *pace, uint64_t n)
{
	pace->sent += n;
}

/* Until the next packet is due: sleeps if that is far, else returns at once (the caller polls).  Never sleeps
 * longer than a stop request may take. */
void pace_idle(const struct pace *pace, uint64_t now_ns);

/* The same for a moment in time. */
void pace_idle_until(uint64_t due_ns, uint64_t now_ns);

#endif
