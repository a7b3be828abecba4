/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Forwarding between two ports, both ways, in one thread; or between several such pairs.
 *
 * pair   ports 2 * i and 2 * i + 1: what one receives the other sends
 * way    from a port to the other of its pair: there is one for each port
 * lane   a receive ring of a way, and the transmit ring that it goes to: ring i to ring i modulo their number
 *
 * A packet is released only when it has been handed on: what finds no room stays first in line, in its receive ring,
 * and that ring's sender is held up in turn.  A lane sleeps on its receive ring; with packets in hand and no room for
 * them, on its transmit ring instead.
 */
#ifndef NMX_TOOLS_BRIDGE_H
#define NMX_TOOLS_BRIDGE_H

#include "live.h"
#include "port.h"

enum bridge_end {
	BRIDGE_STOPPED, /* a signal */
	BRIDGE_ENDED,   /* nothing will come any more: captures have an end */
	BRIDGE_FAILED,  /* said */
};

struct bridge_way {
	struct port *from, *to;
	bool same_region; /* buffers can be exchanged */
	bool exchange;    /* and are */
	/* Results. */
	uint64_t packets, bytes;
	uint64_t copied;         /* bytes, by the ports or here */
	uint64_t copied_here;    /* for -c */
	uint64_t too_long;       /* could never pass, seen while copying: the library counts the others */
	uint64_t left, not_sent; /* packets in hand at the end; slots that `to` did not get rid of */
};

struct bridge_lane {
	struct bridge_way *way;
	uint32_t in_index, out_index;
	struct nmx_rx *in;
	struct nmx_tx *out;
	bool ended;    /* nothing will come */
	bool full;     /* packets in hand do not fit */
	uint32_t want; /* then: free slots to wait for */
};

#define BRIDGE_PORTS 4
struct bridge {
	struct port *ports[BRIDGE_PORTS];
	uint32_t num_ports; /* even */
	struct live *live;
	uint32_t burst; /* slots that a lane may move before the next has its turn */
	bool force_copy;
	struct bridge_way ways[BRIDGE_PORTS]; /* by the port that they come from */
	struct bridge_lane *lanes;
	struct nmx_wait_entry *entries; /* one a lane */
	uint32_t num_lanes, first;      /* which lane begins: each in turn, that none be favoured */
	struct nmx_stats before[BRIDGE_PORTS]; /* of each port, when it began */
	uint64_t gone[BRIDGE_PORTS];    /* of each port, a bit a ring: has said that its other end has gone */
	void (*each_second)(void *arg); /* may be NULL */
	void *each_second_arg;
};

/* The ports are open, both kinds of rings not needed.  Returns EXIT_OK, or says why not. */
int bridge_start(struct bridge *bridge, struct port *const *ports, uint32_t num_ports, uint32_t burst, bool force_copy);
/* Until a signal, an error or the end of a capture; then hands on what it has in hand, within a moment. */
enum bridge_end bridge_run(struct bridge *bridge, struct live *live);
void bridge_free(struct bridge *bridge);

#endif
