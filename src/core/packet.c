/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Calls of <nmx/ring.h> that move a whole batch, or a packet of several slots. */
#include "core/check.h"
#include "core/ring.h"

int nmx_tx_send_long(struct nmx_tx *tx, const void *data, uint32_t len)
{
	uint32_t frags = (uint32_t)(((uint64_t)len + tx->max_len - 1) / tx->max_len);
	const uint8_t *from = data;

	if (len == 0 || frags > tx->max_frags)
		return NMX_ERR_PACKET_TOO_LARGE;
	if (tx->reserved || tx->ring->head != tx->ring->cur)
		return NMX_ERR_BUSY;
	if (nmx_tx_space(tx) < frags)
		return NMX_ERR_WOULD_BLOCK;
	for (; frags > 0; frags--) {
		struct netmap_slot *slot = &tx->ring->slot[tx->ring->cur];
		uint32_t part = len < tx->max_len ? len : tx->max_len, flags = frags > 1 ? NMX_MORE : 0;

		memcpy(tx->bufs + (size_t)slot->buf_idx * tx->buf_size, from, part);
		nmx__slot_fill(slot, part, flags);
		nmx__tx_advance(tx, flags);
		from += part;
		len -= part;
	}
	return 0;
}

/* The slots of the packet that is first in line, and its bytes; 0: none, or not all of it. */
static uint32_t first_packet(const struct nmx_rx *rx, uint32_t *bytes)
{
	const struct netmap_ring *ring = rx->ring;
	uint32_t count = 0;

	*bytes = 0;
	for (uint32_t i = ring->cur; i != ring->tail; i = nmx__next(i, rx->num_slots)) {
		*bytes += ring->slot[i].len;
		count++;
		if (!(ring->slot[i].flags & NMX_MORE))
			return count;
	}
	return 0;
}

int nmx_rx_recv_copy(struct nmx_rx *rx, void *data, uint32_t size)
{
	uint32_t bytes, slots = first_packet(rx, &bytes);
	struct nmx_frame frame;
	uint8_t *to = data;

	if (slots && bytes > size)
		return NMX_ERR_PACKET_TOO_LARGE;
	for (; slots > 0 && nmx_rx_recv(rx, &frame); slots--) {
		memcpy(to, frame.data, frame.len);
		to += frame.len;
	}
	return (int)(to - (uint8_t *)data);
}

/* One thread at a time uses the ring, so this need not be one step. */
static inline void count_copied(struct nmx_tx *tx, uint32_t bytes)
{
	uint64_t *copied = &nmx__ring_of_tx(tx)->forward_copied;

	__atomic_store_n(copied, __atomic_load_n(copied, __ATOMIC_RELAXED) + bytes, __ATOMIC_RELAXED);
}

int nmx__forward_copy(struct nmx_tx *tx, struct nmx_frame *frame)
{
	struct netmap_slot *to = &tx->ring->slot[tx->ring->cur];

	if ((uint32_t)frame->len - 1 >= tx->max_len)
		return NMX_ERR_PACKET_TOO_LARGE;
	memcpy(tx->bufs + (size_t)to->buf_idx * tx->buf_size, frame->data, frame->len);
	nmx__slot_fill(to, frame->len, frame->flags);
	count_copied(tx, frame->len);
	frame->data = NULL;
	nmx__tx_advance(tx, frame->flags);
	return 0;
}

static void count_too_long(struct nmx_tx *tx)
{
	struct nmx__ring *ring = nmx__ring_of_tx(tx);

	__atomic_fetch_add(&ring->port->forward_too_long, 1, __ATOMIC_RELAXED);
}

/* The common case, at full speed: packets of one slot, within a region, up to the first that is anything else. */
static uint32_t forward_singles(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t max)
{
	struct netmap_slot *in = rx->ring->slot, *out = tx->ring->slot;
	uint32_t from = rx->ring->cur, to = tx->ring->cur, from_tail = rx->ring->tail, to_tail = tx->ring->tail;
	uint32_t from_slots = rx->num_slots, to_slots = tx->num_slots, longest = tx->max_len, done = 0;
	uint32_t *transit = tx->transit;

	for (; done < max && from != from_tail && to != to_tail; done++) {
		struct netmap_slot *a = &in[from], *b = &out[to];

		if ((a->flags & NMX_MORE) || (uint32_t)a->len - 1 >= longest)
			break;
		nmx__exchange(transit, &b->buf_idx, &a->buf_idx);
		b->len = a->len;
		b->flags = a->flags = NS_BUF_CHANGED;
		from = nmx__next(from, from_slots);
		to = nmx__next(to, to_slots);
	}
	rx->ring->cur = from;
	tx->ring->head = tx->ring->cur = to;
	return done;
}

/* One packet of any kind.  Returns its slots, or 0: nothing waits, or there is no room for all of it. */
static uint32_t forward_packet(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t max)
{
	uint32_t bytes, slots = first_packet(rx, &bytes);
	bool fits = slots <= tx->max_frags;
	struct nmx_frame frame;

	if (slots == 0 || slots > max || (fits && slots > nmx_tx_space(tx)))
		return 0;
	for (uint32_t i = 0; i < slots && nmx_rx_peek(rx, &frame); i++) {
		if (fits && nmx_tx_forward(tx, &frame) < 0) {
			nmx_tx_abandon(tx); /* a fragment longer than a slot of tx, or empty */
			fits = false;
		}
		nmx_rx_next(rx);
	}
	if (!fits)
		count_too_long(tx);
	return slots;
}

uint32_t nmx_forward(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t max)
{
	uint32_t done = 0, more = 1;

	NMX__CHECK_CALLER(rx);
	NMX__CHECK_CALLER(tx);
	if (tx->reserved || tx->ring->head != tx->ring->cur)
		return 0; /* a batch is open, or a chain begun */
	while (more && done < max) {
		if (nmx_same_region(rx, tx))
			done += forward_singles(rx, tx, max - done);
		more = done < max ? forward_packet(rx, tx, max - done) : 0;
		done += more;
	}
	return done;
}
