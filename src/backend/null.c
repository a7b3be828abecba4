/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* null: swallows what is sent, and supplies frames of 60 bytes (zeros, until somebody writes into the buffers) as fast
 * as they are taken.  For measuring a program without its network. */
#include <stdlib.h>

#include "backend/local.h"
#include "base/report.h"

#define SUPPLIED_LEN 60

struct null_ring {
	struct nmx__ring ring;
	struct nmx__own_ring *own;
	uint32_t hwcur;
};

struct null_port {
	struct nmx__local local;
	uint32_t num_own;
	struct nmx__own_ring *own[2 * NMX__MAX_RINGS];
};

static bool cursors_valid(const struct null_ring *r, const struct netmap_ring *ring)
{
	uint32_t n = r->own->num_slots;

	/* All slots but one are always the user's. */
	return ring->head < n && ring->cur < n && nmx__distance(r->hwcur, ring->head, n) <= nmx__distance(r->hwcur, ring->cur, n);
}

static int reset(struct null_ring *r, struct netmap_ring *ring)
{
	ring->head = ring->cur = r->hwcur;
	ring->tail = (r->hwcur ? r->hwcur : r->own->num_slots) - 1;
	NMX__COUNT(r->own, resets, 1);
	return NMX_ERR_RESET;
}

static int swallow(struct null_ring *r, struct netmap_ring *ring)
{
	uint32_t n = r->own->num_slots;
	uint64_t packets = 0, bytes = 0;

	for (uint32_t s = r->hwcur; s != ring->head; s = nmx__next(s, n)) {
		bytes += ring->slot[s].len;
		packets += !(ring->slot[s].flags & NMX_MORE);
		ring->slot[s].flags = 0;
	}
	NMX__COUNT(r->own, tx_packets, packets);
	NMX__COUNT(r->own, tx_bytes, bytes);
	NMX__COUNT(r->own, tx_syncs, 1);
	r->hwcur = ring->head;
	ring->tail = (r->hwcur ? r->hwcur : n) - 1;
	return (int)nmx__distance(ring->cur, ring->tail, n);
}

static int supply(struct null_ring *r, struct netmap_ring *ring)
{
	uint32_t n = r->own->num_slots, taken = nmx__distance(r->hwcur, ring->head, n);

	for (uint32_t s = r->hwcur; s != ring->head; s = nmx__next(s, n)) {
		ring->slot[s].len = SUPPLIED_LEN;
		ring->slot[s].flags = 0;
	}
	NMX__COUNT(r->own, rx_packets, taken);
	NMX__COUNT(r->own, rx_bytes, (uint64_t)taken * SUPPLIED_LEN);
	NMX__COUNT(r->own, rx_syncs, 1);
	r->hwcur = ring->head;
	ring->tail = (r->hwcur ? r->hwcur : n) - 1;
	return (int)nmx__distance(ring->cur, ring->tail, n);
}

static int null_sync(struct nmx__ring *base)
{
	struct null_ring *r = (struct null_ring *)base;
	struct netmap_ring *ring = nmx__own_netmap_ring(r->own);

	if (!cursors_valid(r, ring))
		return reset(r, ring);
	return base->is_tx ? swallow(r, ring) : supply(r, ring);
}

static int null_arm(struct nmx__ring *ring, uint32_t slots)
{
	(void)ring, (void)slots;
	return 1; /* always ready */
}

static void null_nothing(struct nmx__ring *ring) { (void)ring; }

static int null_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	(void)ring, (void)fds;
	return 0;
}

static void null_close(struct nmx_port *port)
{
	struct null_port *null = port->state;

	nmx__local_free(&null->local);
	free(null);
}

static int make_ring(struct nmx_port *port, struct null_port *null, bool is_tx, uint32_t index, uint32_t slots)
{
	struct null_ring *r = (struct null_ring *)nmx__port_add_ring(port, is_tx, index);
	struct netmap_ring *ring;

	if (!r)
		return NMX_ERR_NO_MEMORY;
	r->own = null->own[null->num_own++] = nmx__local_ring(&null->local, slots, is_tx);
	nmx__local_handle(port, &null->local, &r->ring, r->own);
	ring = nmx__own_netmap_ring(r->own);
	ring->tail = is_tx ? slots - 1 : 0;
	for (uint32_t i = 0; i < slots; i++)
		ring->slot[i].len = is_tx ? 0 : SUPPLIED_LEN;
	return 0;
}

static int null_open(struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	uint32_t tx = o->flags & NMX_RX_ONLY ? 0 : o->tx_rings ? o->tx_rings : 1, rx = o->flags & NMX_TX_ONLY ? 0 : o->rx_rings ? o->rx_rings : 1;
	uint32_t tx_slots = o->tx_slots ? o->tx_slots : NMX__LOCAL_SLOTS, rx_slots = o->rx_slots ? o->rx_slots : NMX__LOCAL_SLOTS;
	struct null_port *null;
	int err;

	null = calloc(1, sizeof(*null));
	if (!null)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open a null port");
	port->state = null;
	err = nmx__local_make(&null->local, port,
	                      tx * nmx__local_size(nmx__qring_bytes(tx_slots)) + rx * nmx__local_size(nmx__qring_bytes(rx_slots)),
	                      tx * tx_slots + rx * rx_slots, why);
	for (uint32_t i = 0; i < tx && err == 0; i++)
		err = make_ring(port, null, true, i, tx_slots);
	for (uint32_t i = 0; i < rx && err == 0; i++)
		err = make_ring(port, null, false, i, rx_slots);
	if (err < 0) {
		nmx__fail(why, err, ENOMEM, "cannot set up a null port");
		null_close(port);
		return err;
	}
	port->info.tx_rings = tx;
	port->info.rx_rings = rx;
	return 0;
}

static void null_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	struct null_port *null = port->state;

	nmx__local_stats(null->own, null->num_own, stats);
}

const struct nmx__backend nmx__null_backend = {
	.id = NMX_NULL,
	.ring_bytes = sizeof(struct null_ring),
	.check = nmx__local_check,
	.open = null_open,
	.close = null_close,
	.sync = null_sync,
	.arm = null_arm,
	.disarm = null_nothing,
	.poll_fds = null_poll_fds,
	.release = null_nothing,
	.stats = null_stats,
};
