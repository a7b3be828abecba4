/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the parts of nmx-bench-switch share.
 *
 *   one    a sender on the first processor, a receiver on the second
 *   flood  the same, and what is sent goes to FLOOD_RECEIVERS ports, all of the receiver's process
 *   two    two senders share the first processor, a receiver has the second
 *
 * A packet begins with a header of 16 bytes that every contender writes, for a switch looks at it.
 */
#ifndef NMX_BENCH_SWITCH_H
#define NMX_BENCH_SWITCH_H

#include <string.h>

#include "bench.h"
#include "pairs.h"

enum shape { ONE, FLOOD, TWO, NUM_SHAPES };
enum { FLOOD_RECEIVERS = 4, MOST_BATCH = 256, HEADER = 16 };

struct switch_plan {
	struct plan base;
	enum shape shape;
};

static inline uint32_t senders_of(const struct switch_plan *plan) { return plan->shape == TWO ? 2 : 1; }
static inline uint32_t receivers_of(const struct switch_plan *plan)
{
	return plan->shape == FLOOD ? FLOOD_RECEIVERS : 1;
}

struct switch_contender {
	struct contender is;
	void (*send)(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m,
	             uint32_t index);
	void (*receive)(const struct switch_contender *c, const struct switch_plan *plan,
	                struct meeting *m);              /* measures */
	void (*prepare)(const struct switch_plan *plan); /* in the parent; may be NULL */
	bool only_one;                                   /* takes part in ONE alone */
	/* Of nmx ports: their names, to which a number is added where there can be several (first senders, then receivers),
	 * and flags. */
	const char *tx_name, *rx_name;
	uint32_t flags;
};

extern const struct switch_contender switch_contender, blocking_contender, pipe_contender, bridge_contender,
    dpdk_switch_contender, copy_contender;

/* Waits until all processes of a run are there. */
void gather(const struct switch_plan *plan, struct meeting *m);
static inline bool is_stopped(struct meeting *m) { return atomic_load_explicit(&m->stop, memory_order_relaxed); }

struct header {
	uint8_t bytes[HEADER];
};
static inline struct header header_to(const uint8_t to[6], const uint8_t from[6])
{
	struct header h = { { 0 } };

	memcpy(h.bytes, to, 6);
	memcpy(h.bytes + 6, from, 6);
	h.bytes[12] = 0x88; /* local experimental (IEEE 802) */
	h.bytes[13] = 0xb5;
	return h;
}
/* From a sender of the shape; to a receiver, or to all. */
struct header header_of_sender(const struct switch_plan *plan, uint32_t index);
/* From a receiver to all, so that the switch learns where it is. */
struct header header_of_receiver(uint32_t index);

static inline void write_packet(uint8_t *to, const struct switch_plan *plan, const struct header *header,
                                uint64_t seed)
{
	memcpy(to, header->bytes, HEADER);
	if (plan->base.touch)
		write_payload(to + HEADER, plan->base.len - HEADER, seed);
}

/* Cost of a packet with more and more ports, and addresses: a table, and a plot in the file `svg` unless that is NULL. */
void growth(const char *directory, bool json, const char *svg);

#endif
