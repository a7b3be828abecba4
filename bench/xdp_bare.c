/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The bare loops over AF_XDP: the least that could do the same.  One acquire and one release a ring and batch, always
 * spinning, no checks, no counters but the one that is measured.  And the far side of every run, made of the same.
 */
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

static void receive_and_drop(const struct xdp_plan *plan, struct xdp_meeting *m, const char *interface, _Atomic uint64_t *counter)
{
	struct receiver r = { .filled = plan->slots };
	uint64_t count = 0;
	struct xsk x;

	xsk_open(&x, interface, XSK_RX, plan->slots, NULL);
	r.x = &x;
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		uint32_t n = take(&r, plan->batch);

		if (n > 0)
			publish(counter, count += n);
	}
	m->checksum += r.bytes;
}

/* ---- transmit */

struct sender {
	struct xsk *x;
	uint32_t put, done, first_chunk, slots;
};

/* The chunks that packets are sent from, one after the other for ever. */
static struct sender make_sender(struct xsk *x, const struct xdp_plan *plan)
{
	struct sender s = { .x = x, .first_chunk = plan->slots, .slots = plan->slots };

	for (uint32_t i = 0; i < plan->slots; i++)
		write_frame(x->umem + (size_t)(s.first_chunk + i) * CHUNK, plan->len);
	return s;
}

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

static void transmit(const struct xdp_plan *plan, struct xdp_meeting *m, const char *interface)
{
	struct sender s;
	struct xsk x;

	xsk_open(&x, interface, XSK_TX, plan->slots, NULL);
	s = make_sender(&x, plan);
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m))
		put(&s, plan->batch, plan->len);
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

static void forward(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	struct forwarder f = { .filled = plan->slots };
	struct xsk from, to;

	xsk_open(&from, "c0", XSK_RX, plan->slots, NULL);
	xsk_open(&to, "c1", XSK_TX, plan->slots, &from);
	f.from = &from;
	f.to = &to;
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		move_on(&f, plan->batch, plan->slots);
		reclaim(&f);
	}
}

/* ---- the far side */

static void generate_and_drain(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	struct receiver r = { .filled = 2 * plan->slots };
	uint64_t count = 0;
	struct xsk tx, rx;
	struct sender s;

	xsk_open(&tx, "g0", XSK_TX, plan->slots, NULL);
	xsk_open(&rx, "g1", XSK_RX, 2 * plan->slots, NULL);
	s = make_sender(&tx, plan);
	r.x = &rx;
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		put(&s, plan->batch, plan->len);
		count += take(&r, UINT32_MAX);
		publish(&m->arrived, count);
	}
	m->checksum += r.bytes;
}

void far_side(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	if (plan->job == RX_DROP)
		transmit(plan, m, "g0");
	else if (plan->job == TX)
		receive_and_drop(plan, m, "g0", &m->arrived);
	else
		generate_and_drain(plan, m);
}

/* ---- the contender */

static void bare_run(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	if (plan->job == RX_DROP)
		receive_and_drop(plan, m, "c0", &m->count);
	else if (plan->job == TX)
		transmit(plan, m, "c0");
	else
		forward(plan, m);
}

const struct contender xsk_contender = { .name = "xsk", .run = bare_run };
