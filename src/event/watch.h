/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What every event loop does with a ring, whichever loop it is: one sync, one callback, and what to wait for then.
 * Compiled into each adapter; uses <nmx/...> only.
 */
#ifndef NMX_EVENT_WATCH_H
#define NMX_EVENT_WATCH_H

#include <nmx/event.h>

struct nmx__watch {
	struct nmx_rx *rx; /* one of these two */
	struct nmx_tx *tx;
	nmx_on_packets *on_packets;
	nmx_on_room *on_room;
	void *arg;
	uint32_t want; /* tx: slots that are waited for; 0: none */
	bool on;       /* rx: started; tx: there is something to be flushed or wanted */
	bool said;     /* rx: its user has started or stopped it since the callback began */
};

/* After a turn. */
enum nmx__next {
	NMX__REST, /* nothing, until the user starts, flushes or wants */
	NMX__WAIT, /* the descriptor is armed */
	NMX__AGAIN /* another turn, without waiting */
};

/* The descriptor of the ring, or an error. */
int nmx__watch_fd(const struct nmx__watch *w);

enum nmx__next nmx__watch_turn(struct nmx__watch *w);
/* Calls back with the error, or 0 for a sender that has the room it wanted: either is over then. */
void nmx__watch_end(struct nmx__watch *w, int err);

static inline void nmx__watch_start(struct nmx__watch *w, bool on)
{
	w->on = on;
	w->said = true;
}

static inline void nmx__watch_want(struct nmx__watch *w, uint32_t slots)
{
	w->on = true;
	w->want = slots ? slots : 1;
}

void nmx__watch_close_ring(struct nmx__watch *w);

#endif
