/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The receiving side of a command: all rings of a port, until there is a reason to end. */
#ifndef NMX_TOOLS_RECEIVER_H
#define NMX_TOOLS_RECEIVER_H

#include "live.h"
#include "port.h"

enum receive_end {
	RECEIVE_ENOUGH,    /* take() said so */
	RECEIVE_STOPPED,   /* a signal */
	RECEIVE_PEER_GONE, /* the other end has gone, and all that it sent was received */
	RECEIVE_TIMED_OUT, /* no packet for so long */
	RECEIVE_FAILED,    /* said */
};

struct receiver {
	struct port *port;
	struct live *live;
	uint64_t timeout_ns; /* 0: none */
	bool spin;           /* poll, never sleep */
	/* Receives what waits in rx.  Returns true when the command has enough. */
	bool (*take)(struct receiver *receiver, struct nmx_rx *rx, uint64_t now_ns);
	/* Nothing waits: a moment for what can be put off.  May be NULL.  True as above. */
	bool (*idle)(struct receiver *receiver);
	uint32_t ring;              /* number of the one that take() is given */
	uint64_t packets, bytes;    /* kept by take() */
	uint64_t first_ns, last_ns; /* when packets came; 0: none yet */
	uint64_t link_due_ns;       /* when the link is looked at again */
	uint64_t gone;              /* one bit a ring: its other end has gone */
};

/* "count", "stopped", ...: for summaries. */
const char *receive_end_name(enum receive_end end);

enum receive_end receive(struct receiver *receiver);

/* Seconds between the first and the last packet. */
double receive_seconds(const struct receiver *receiver);

#endif
