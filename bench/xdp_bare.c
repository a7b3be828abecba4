/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The bare loops over AF_XDP, spinning: as a contender, and as the far side of every run. */
#include "xdp_bare.h"

/* Chunks that are with the kernel or on the way back: as many as a receive ring of nmx has, for more of them are better
 * against loss and worse for the caches. */
static uint32_t receive_chunks(const struct xdp_plan *plan) { return 2 * plan->slots; }

/* ---- receive and drop */

static void receive_and_drop(const struct xdp_plan *plan, struct xdp_meeting *m, const char *interface, _Atomic uint64_t *counter)
{
	struct receiver r = { .filled = receive_chunks(plan) };
	uint64_t count = 0;
	struct xsk x;

	xsk_open(&x, interface, XSK_RX, receive_chunks(plan), NULL);
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

/* The chunks that packets are sent from, one after the other for ever. */
static struct sender make_sender(struct xsk *x, const struct xdp_plan *plan)
{
	struct sender s = { .x = x, .first_chunk = plan->slots, .slots = plan->slots };

	for (uint32_t i = 0; i < plan->slots; i++)
		write_frame(x->umem + (size_t)(s.first_chunk + i) * CHUNK, plan->len);
	return s;
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

static void forward(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	struct forwarder f = { .filled = receive_chunks(plan) };
	struct xsk from, to;

	xsk_open(&from, "c0", XSK_RX, receive_chunks(plan), NULL);
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
	if (plan->job == RX_FED)
		feed(plan, m, "g0");
	else if (plan->job == RX_DROP)
		transmit(plan, m, "g0");
	else if (plan->job == TX)
		receive_and_drop(plan, m, "g0", &m->arrived);
	else
		generate_and_drain(plan, m);
}

/* ---- the contender */

static void bare_run(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	if (only_receives(plan->job))
		receive_and_drop(plan, m, "c0", &m->count);
	else if (plan->job == TX)
		transmit(plan, m, "c0");
	else
		forward(plan, m);
}

const struct xdp_contender xsk_contender = { .is = { "xsk", NULL }, .run = bare_run };
