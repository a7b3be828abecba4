/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A sender and a receiver that may be killed at any instant, and what they know of each other through a shared page:
 * enough for a successor to tell what must arrive, and what was rightly lost. */
#ifndef CRASH_ACTORS_H
#define CRASH_ACTORS_H

#include <stdatomic.h>

#include "crash.h"

enum { MAX_EPOCHS = 64 };
enum role { SENDER, RECEIVER };
enum state { ABSENT, OPENING, RUNNING, QUIET, CLOSED };

/* How packets are made and what is done with them. */
enum mode {
	COPY,    /* send; receive */
	PUT,     /* spare buffers are exchanged into the ring */
	TAKE,    /* received buffers are taken, kept for a while, and sent back from the hand */
	FORWARD, /* received frames are sent back */
	MODES
};

struct actor {
	_Atomic int state;
	_Atomic int trap_open, trap_loop, trap_close; /* the director wants to be woken there, to count instructions */
	_Atomic uint64_t turns;
};

struct stage {
	struct actor actor[2];
	_Atomic int stop;  /* the sender sends no more, the receiver drains; both become quiet */
	_Atomic int leave; /* and close */
	uint32_t slots[2], extra_bufs, batch, max_len;
	enum mode mode;
	uint64_t seed;
	/* The sender's life is an epoch; packets are numbered within it. */
	_Atomic uint32_t epoch;
	_Atomic uint64_t synced[MAX_EPOCHS]; /* handed over by syncs that returned */
	_Atomic uint64_t sent_total, received_total, lost_total;
	/* The receiver's expectations: those of its life and of its predecessors'. */
	_Atomic uint32_t seen_epoch;
	_Atomic uint64_t seen_next;
	_Atomic uint64_t drop_unread; /* of the end, as last noted */
	_Atomic uint64_t credit;      /* packets that died with a receiver: counted, and not to be seen again */
};

struct part {
	struct stage *stage;
	enum role role;
};

/* Ends when told to leave. */
void act(void *part);

#endif
