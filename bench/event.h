/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Event loops as contenders.  Each loop serves one receive ring or one bare descriptor, in this process. */
#ifndef NMX_BENCH_EVENT_H
#define NMX_BENCH_EVENT_H

#include <nmx/event.h>

#include "bench.h"

struct event_loop {
	/* Receives until event_stop; returns how many turns the loop had. */
	uint64_t (*receive)(struct nmx_rx *rx, nmx_on_packets *fn, void *arg);
	/* As a program would that has no nmx: reads the eventfd when it is ready, and calls fn. */
	void (*read_events)(int fd, void (*fn)(void *arg), void *arg);
};

extern bool event_stop; /* ends the loop after this turn */
extern const struct event_loop event_uv, event_uring;

#endif
