/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The bare loops over AF_XDP, a turn of each: the least that could do the same.  One acquire and one release a ring and
 * batch, no checks, no counters, nothing that anybody could use by mistake or rightly for anything else.
 */
#ifndef NMX_BENCH_XDP_BARE_H
#define NMX_BENCH_XDP_BARE_H

#include "xdp.h"

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t acquire(_Atomic uint32_t *index) { return atomic_load_explicit(index, memory_order_acquire); }
static inline void release(_Atomic uint32_t *index, uint32_t value) { atomic_store_explicit(index, value, memory_order_release); }

/* ---- receive and drop */

struct receiver {
	struct xsk *x;
	uint32_t taken, filled;
	uint64_t bytes;
};

/* Takes up to `most` packets and gives their chunks back; returns how many. */
static inline uint32_t take(struct receiver *r, uint32_t most)
{
	struct xsk_ring *rx = &r->x->rx, *fill = &r->x->fill;
	uint32_t n = least(acquire(rx->producer) - r->taken, most);

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_desc(rx, r->taken + i);

		r->bytes += d->len;
		*xsk_addr(fill, r->filled + i) = d->addr;
	}
	r->taken += n;
	r->filled += n;
	release(rx->consumer, r->taken);
	release(fill->producer, r->filled);
	return n;
}

/* ---- transmit */

struct sender {
	struct xsk *x;
	uint32_t put, done, first_chunk, slots;
};

/* Sends a batch; when there is no room for it, only has the kernel go on. */
static inline void put(struct sender *s, uint32_t batch, uint32_t len)
{
	struct xsk_ring *tx = &s->x->tx, *comp = &s->x->comp;

	s->done = acquire(comp->producer);
	release(comp->consumer, s->done);
	if (s->slots - (s->put - s->done) >= batch) {
		for (uint32_t i = 0; i < batch; i++) {
			struct xdp_desc *d = xsk_desc(tx, s->put + i);

			d->addr = (uint64_t)(s->first_chunk + ((s->put + i) & tx->mask)) * CHUNK;
			d->len = len;
			d->options = 0;
		}
		s->put += batch;
		release(tx->producer, s->put);
	}
	xsk_kick(s->x);
}

/* ---- forward */

struct forwarder {
	struct xsk *from, *to;
	uint32_t taken, filled, put, done;
};

/* Chunks that have been sent from go back into the fill ring that they came from. */
static inline void reclaim(struct forwarder *f)
{
	struct xsk_ring *comp = &f->to->comp, *fill = &f->from->fill;
	uint32_t n = acquire(comp->producer) - f->done;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_addr(fill, f->filled + i) = *xsk_addr(comp, f->done + i);
	f->filled += n;
	f->done += n;
	release(comp->consumer, f->done);
	release(fill->producer, f->filled);
}

static inline void move_on(struct forwarder *f, uint32_t batch, uint32_t slots)
{
	struct xsk_ring *rx = &f->from->rx, *tx = &f->to->tx;
	uint32_t n = least(acquire(rx->producer) - f->taken, batch);

	n = least(n, slots - (f->put - acquire(tx->consumer)));
	for (uint32_t i = 0; i < n; i++)
		*xsk_desc(tx, f->put + i) = *xsk_desc(rx, f->taken + i);
	if (n > 0) {
		f->taken += n;
		f->put += n;
		release(rx->consumer, f->taken);
		release(tx->producer, f->put);
	}
	if (f->put != f->done)
		xsk_kick(f->to);
}

#endif
