/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A link beside a model of it.  The model is what the headers promise and nothing of how it is done: a FIFO of
 * numbered fragments that pass through five places, and a spare buffer in the hand.
 *
 *   begun -> committed -> queued -> waiting -> received
 *
 * world_apply() does one operation on both and compares results; world_check() compares everything that can be seen,
 * and looks inside for buffers that are in two places, or in none.
 */
#ifndef NMX_TESTS_WORLD_H
#define NMX_TESTS_WORLD_H

#include "core/ring.h"
#include "shm/queue.h"
#include "support.h"

enum { WORLD_MAX_SLOTS = 9, WORLD_UNITS = 20 };

struct unit {
	uint32_t id;
	uint16_t len;
	bool more; /* the packet goes on in the next one */
};

struct fifo {
	struct unit at[WORLD_UNITS];
	uint32_t count;
};

struct model {
	uint32_t num_slots, capacity, max_frags;
	bool chains;
	struct fifo begun;     /* a chain by put or forward that lacks its end */
	struct fifo committed; /* for the next transmit sync */
	struct fifo queued, waiting, received;
	uint32_t space;        /* as of the last transmit sync, less what was used since */
	uint32_t reserved, left; /* of the open batch; 0: none */
	struct fifo batch;
	struct unit held;      /* len 0: an empty spare */
	uint32_t next_id, dropped;
};

struct world {
	struct link link;
	struct nmx_batch batch;
	struct nmx_buf held;
	struct model model;
};

/* Loop and pipe rings start like this; world_open() makes sure. */
struct world_ring {
	struct nmx__ring ring;
	struct nmx__qend end;
};
static inline struct world_ring *world_tx(const struct world *w) { return (struct world_ring *)w->link.tx; }
static inline struct world_ring *world_rx(const struct world *w) { return (struct world_ring *)w->link.rx; }

enum world_op {
	OP_SEND,
	OP_SEND_LONG,
	OP_RESERVE_1,
	OP_RESERVE_2,
	OP_RESERVE_ALL,
	OP_PACKET,
	OP_FRAGMENT,
	OP_COMMIT,
	OP_CANCEL,
	OP_TX_SYNC,
	OP_RX_SYNC,
	OP_RECV,
	OP_PEEK_NEXT,
	OP_WALK_BREAK,
	OP_WALK_ALL,
	OP_RECV_BATCH,
	OP_RECV_COPY,
	OP_TAKE,
	OP_PUT,
	OP_PUT_MORE,
	OP_ABANDON,
	OP_FORWARD_ONE,
	OP_FORWARD,
	WORLD_OPS
};

void world_open(struct world *w, const struct backend_row *row, uint32_t slots, bool chains);
void world_close(struct world *w);
void world_apply(struct world *w, enum world_op op);
void world_check(const struct world *w);

#endif
