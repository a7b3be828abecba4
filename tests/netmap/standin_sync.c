/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a sync does, in the stand-in. */
#include "standin.h"

#include <string.h>
#include <unistd.h>

#include "support.h"

static uint32_t next(uint32_t i, uint32_t n) { return i + 1 == n ? 0 : i + 1; }
static uint32_t prev(uint32_t i, uint32_t n) { return (i ? i : n) - 1; }
static uint32_t distance(uint32_t from, uint32_t to, uint32_t n) { return to >= from ? to - from : to + n - from; }

static struct netmap_ring *ring_of(const struct kring *k) { return (struct netmap_ring *)(k->port->memory->start + k->ofs); }

static uint8_t *buf_of(const struct kring *k, const struct netmap_slot *slot)
{
	const struct memory *m = k->port->memory;

	return m->start + m->bytes - (size_t)(m->buf_num - slot->buf_idx) * m->buf_size + (slot->ptr & k->offset_mask);
}

/* ---- readiness */

/* A receive ring's descriptor is readable, a transmit ring's writable: an eventfd is not when its count is the largest. */
void standin_ready(const struct kring *k, bool ready)
{
	const uint64_t full = UINT64_MAX - 1, one = 1;
	uint64_t old;

	for (struct handle *h = standin_handles; h; h = h->next) {
		uint32_t i = (uint32_t)(k - k->port->kring[k->is_tx]);

		if (h->port != k->port || i < h->first[k->is_tx] || i >= h->end[k->is_tx])
			continue;
		(void)!read(h->fd, &old, sizeof(old));
		if (k->is_tx ? !ready : ready)
			(void)!write(h->fd, k->is_tx ? &full : &one, sizeof(old));
	}
}

void standin_show(const struct kring *k)
{
	const struct netmap_ring *ring = ring_of(k);

	standin_ready(k, ring->cur != ring->tail || (k->is_tx ? k->pipe_tail != k->hwtail && k->pipe : k->queued || (k->pipe && k->pipe_tail != k->hwtail)));
}

/* ---- what the program wrote */

/* netmap_ring_reinit() */
static void reinit(struct kring *k)
{
	struct netmap_ring *ring = ring_of(k);
	const struct memory *m = k->port->memory;

	for (uint32_t s = 0; s < k->num_slots; s++) {
		if (ring->slot[s].buf_idx < NMX__NM_FIRST_BUF || ring->slot[s].buf_idx >= m->buf_num)
			ring->slot[s].buf_idx = ring->slot[s].len = 0;
		else if (ring->slot[s].len > m->buf_size)
			ring->slot[s].len = 0;
	}
	ring->head = ring->cur = k->hwcur;
	ring->tail = k->rtail = k->hwtail;
}

/* [hwcur, hwtail] holds head, and [head, hwtail] cur; else the ring is reset, and the call says nothing. */
static bool take_cursors(struct kring *k, uint32_t *head)
{
	struct netmap_ring *ring = ring_of(k);
	uint32_t n = k->num_slots, owned = distance(k->hwcur, k->hwtail, n);

	*head = ring->head;
	if (ring->head >= n || ring->cur >= n || distance(k->hwcur, ring->head, n) > owned || distance(k->hwcur, ring->cur, n) > owned ||
	    distance(k->hwcur, ring->cur, n) < distance(k->hwcur, ring->head, n)) {
		reinit(k);
		return false;
	}
	ring->tail = k->rtail; /* whatever the program did to it */
	return true;
}

/* ---- packets that are copied */

void standin_deliver(struct kring *to, const void *data, uint32_t len, uint16_t flags)
{
	struct packet *p;

	if (!to->queue || to->queued == STANDIN_QUEUE)
		return;
	p = &to->queue[to->queued++];
	p->len = (uint16_t)len;
	p->flags = flags;
	memcpy(p->data, data, len < sizeof(p->data) ? len : sizeof(p->data));
	standin_ready(to, true);
}

static void send_on(struct kring *k, const struct netmap_slot *slot)
{
	struct port *from = k->port;
	uint32_t i = (uint32_t)(k - from->kring[1]);

	if (slot->buf_idx < NMX__NM_FIRST_BUF || slot->buf_idx >= from->memory->buf_num || slot->len > from->memory->buf_size)
		return;
	if (from->kind == SWITCH_PORT)
		standin_switch_send(from, buf_of(k, slot), slot->len, i, slot->flags & NS_MOREFRAG);
	else if (from->kind == NIC && i >= from->rings[1])
		from->host_received++;
	else if (from->peer && from->peer->has_rings && !from->peer->gone)
		standin_deliver(&from->peer->kring[0][i % from->peer->rings[0]], buf_of(k, slot), slot->len, slot->flags & NS_MOREFRAG);
}

static void tx_sync(struct kring *k, uint32_t head)
{
	struct netmap_ring *ring = ring_of(k);

	for (; k->hwcur != head; k->hwcur = next(k->hwcur, k->num_slots)) {
		send_on(k, &ring->slot[k->hwcur]);
		ring->slot[k->hwcur].flags &= (uint16_t)~NS_BUF_CHANGED;
	}
	k->hwtail = prev(head, k->num_slots);
}

static void rx_sync(struct kring *k, uint32_t head)
{
	struct netmap_ring *ring = ring_of(k);
	uint32_t n = k->num_slots, taken = 0;

	for (; k->hwcur != head; k->hwcur = next(k->hwcur, n))
		ring->slot[k->hwcur].flags &= (uint16_t)~NS_BUF_CHANGED;
	for (; taken < k->queued && next(k->hwtail, n) != head; taken++) {
		const struct packet *p = &k->queue[taken];
		struct netmap_slot *slot = &ring->slot[k->hwtail];

		if (slot->buf_idx >= NMX__NM_FIRST_BUF && slot->buf_idx < k->port->memory->buf_num)
			memcpy(buf_of(k, slot), p->data, p->len < sizeof(p->data) ? p->len : sizeof(p->data));
		slot->len = p->len;
		slot->flags = p->flags;
		k->hwtail = next(k->hwtail, n);
	}
	k->queued -= taken;
	memmove(k->queue, k->queue + taken, k->queued * sizeof(*k->queue));
}

/* ---- pipes: slots change places, packets stay */

static void pipe_tx_sync(struct kring *k, uint32_t head)
{
	struct netmap_ring *ring = ring_of(k), *to = ring_of(k->pipe);
	bool whole = false;
	uint32_t end = k->hwcur;

	k->hwtail = k->pipe_tail;
	for (; k->hwcur != head; k->hwcur = next(k->hwcur, k->num_slots)) {
		to->slot[k->hwcur] = ring->slot[k->hwcur];
		ring->slot[k->hwcur].flags &= (uint16_t)~NS_BUF_CHANGED;
		if (!(ring->slot[k->hwcur].flags & NS_MOREFRAG)) {
			whole = true;
			end = next(k->hwcur, k->num_slots);
		}
	}
	if (whole) {
		k->pipe->pipe_tail = end;
		standin_ready(k->pipe, true);
	}
}

static void pipe_rx_sync(struct kring *k, uint32_t head)
{
	struct netmap_ring *ring = ring_of(k), *from = ring_of(k->pipe);
	bool released = k->hwcur != head;

	k->hwtail = k->pipe_tail;
	for (; k->hwcur != head; k->hwcur = next(k->hwcur, k->num_slots)) {
		from->slot[k->hwcur] = ring->slot[k->hwcur];
		ring->slot[k->hwcur].flags &= (uint16_t)~NS_BUF_CHANGED;
	}
	if (released) {
		k->pipe->pipe_tail = prev(head, k->num_slots);
		standin_ready(k->pipe, true);
	}
}

/* ---- all */

void standin_sync(struct kring *k)
{
	uint32_t head;

	if (take_cursors(k, &head)) {
		if (k->pipe)
			(k->is_tx ? pipe_tx_sync : pipe_rx_sync)(k, head);
		else
			(k->is_tx ? tx_sync : rx_sync)(k, head);
		ring_of(k)->tail = k->rtail = k->hwtail;
	}
	standin_show(k);
}

void standin_arrive(struct port *port, bool from_host, uint32_t ring, const void *data, uint32_t len, uint16_t flags)
{
	pthread_mutex_lock(&standin.lock);
	standin_deliver(&port->kring[0][from_host ? port->rings[0] + ring : ring], data, len, flags);
	pthread_mutex_unlock(&standin.lock);
}
