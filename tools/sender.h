/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The sending side of a command: waits for room, notices that nobody takes anything, and sees the packets off. */
#ifndef NMX_TOOLS_SENDER_H
#define NMX_TOOLS_SENDER_H

#include "live.h"
#include "port.h"

struct sender {
	struct port *port;
	struct nmx_tx *tx; /* the ring at hand, one of these: */
	struct nmx_tx **rings;
	uint32_t num_rings, at; /* at: of the ring at hand */
	struct live *live;
	uint64_t timeout_ns;     /* give up when nothing was taken for so long; 0: never */
	uint64_t moved_ns;       /* when the other end last took something */
	uint64_t link_due_ns;    /* when the link is looked at again */
	uint32_t free_slots;     /* of the ring at hand, as of the last sync */
	uint64_t packets, bytes; /* committed; kept by the caller */
	bool peer_gone;
	bool gave_up; /* nothing was taken for timeout_ns */
	int err;      /* of a sync or a wait that failed for good */
};

/* Sends on one ring of the port, the first. */
void sender_start(struct sender *sender, struct port *port, struct live *live, uint64_t timeout_ns);
/* Or on `num` of them, from `first`; the ring at hand is the first, or what sender_go() says: a number from 0. */
void sender_use(struct sender *sender, uint32_t first, uint32_t num);
void sender_go(struct sender *sender, uint32_t ring);

/* Hands over what was committed to the ring at hand.  False: the command should end (the other end has gone, or the
 * port failed). */
bool sender_sync(struct sender *sender);

/* After a sync: waits until the ring at hand has room for `slots`.  False: the command should end (as above, a stop was
 * asked for, or nothing moved for too long). */
bool sender_wait(struct sender *sender, uint32_t slots);

/* After a sync: goes on to the next ring that has any room, or, when none has, waits until one has room for `slots`.
 * False: as sender_wait(). */
bool sender_next(struct sender *sender, uint32_t slots);

/* Waits until the other end has taken everything, for as long as it takes something; after a stop request only for a
 * moment.  Says what went wrong.  Returns how many slots were not taken. */
uint64_t sender_finish(struct sender *sender);

#endif
