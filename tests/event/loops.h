/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The event loops behind one table, so that what they promise alike is tested alike. */
#ifndef NMX_TESTS_LOOPS_H
#define NMX_TESTS_LOOPS_H

#include <nmx/event.h>

#include "support.h"

enum loop_turn {
	LOOP_ALARM, /* it slept until time was up */
	LOOP_WOKEN, /* it slept until something came */
	LOOP_AWAKE, /* it did not sleep */
};

struct loop_kind {
	const char *label;
	void *(*open)(const char **why); /* NULL: cannot be had here, because */
	void (*close)(void *loop);       /* everything in it is closed */
	/* One turn; sleeps at most so long when there is nothing to do. */
	enum loop_turn (*turn)(void *loop, int sleep_ms);
	int (*rx_open)(void **receiver, void *loop, struct nmx_rx *rx, nmx_on_packets *fn, void *arg);
	void (*rx_stop)(void *receiver);
	void (*rx_start)(void *receiver);
	void (*rx_close)(void *receiver, nmx_on_closed *closed);
	int (*tx_open)(void **sender, void *loop, struct nmx_tx *tx, nmx_on_room *fn, void *arg);
	void (*tx_flush)(void *sender);
	void (*tx_want)(void *sender, uint32_t slots);
	void (*tx_close)(void *sender, nmx_on_closed *closed);
};

/* NULL where this build has no such adapter. */
extern const struct loop_kind *const loop_uv, *const loop_uring;

/* A turn calls back before it sleeps: so it sleeps for a moment only, where something is waited for. */
enum { LOOP_FOREVER_MS = 60000, LOOP_MOMENT_MS = 10 };
/* Turns until *done, or fails when that takes for ever. */
void loop_run(const struct loop_kind *kind, void *loop, const bool *done);
/* Turns for a while, whatever happens; how many of them were not asleep to their end. */
unsigned loop_run_for(const struct loop_kind *kind, void *loop, int ms);

#endif
