/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Transmitting by AF_XDP.  The slots [done, hwcur) have given their buffers to the kernel, which returns them in the order
 * in which packets have left, not in that of the slots: whatever comes back goes to the first slot that waits for one.
 * So a slot is free again when a buffer has come back for it and for all before it.
 *
 * Put before take, as in xdp_rx.c: mark, then slot, then the kernel's ring; and back, slot, then mark.
 */
#include <errno.h>
#include <sys/socket.h>

#include "backend/xdp.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

static void poison_range(const struct xdp_ring *r, uint32_t from, uint32_t to, bool poison)
{
	xdp_poison_slots(r, from, nmx__distance(from, to, r->num_slots), poison);
}

/* ---- what has been sent */

/* Slots that were sent from a copy never gave their buffer away. */
static inline void step_over_copies(struct xdp_ring *r)
{
	while (r->done != r->hwcur && r->nring->slot[r->done].buf_idx)
		r->done = nmx__next(r->done, r->num_slots);
}

/* A buffer that no slot waits for is that of a copy; there is a place for each, unless a program has written into slots
 * that were not its own: then it stays marked, until the ring is closed. */
static __attribute__((__noinline__)) void come_back(struct xdp_ring *r, uint32_t index)
{
	step_over_copies(r);
	if (r->done != r->hwcur) {
		r->nring->slot[r->done].buf_idx = index;
		r->done = nmx__next(r->done, r->num_slots);
	} else if (r->num_spare < r->max_spare) {
		r->spare[r->num_spare++] = index;
	} else {
		NMX__COUNT(r->own, drop_invalid, 1);
		return;
	}
	nmx__order_for_death();
	nmx__held_take(r->held, index);
}

/* The common kind: the slot waits.  At most `most`, not beyond the end of either ring.  Everything is in locals, and the
 * order of what a recovery reads is kept by volatile: a fence would have all of them loaded again. */
static inline uint32_t reap_run(struct xdp_ring *r, uint32_t most)
{
	struct nmx__xring *ring = &r->queue->done;
	uint32_t to_end = ring->mask + 1 - (ring->own & ring->mask), slots_to_end = (r->hwcur >= r->done ? r->hwcur : r->num_slots) - r->done, count;
	const uint64_t *entry = nmx__xring_addr(ring, ring->own);
	struct netmap_slot *slot = &r->nring->slot[r->done];
	uint64_t usable = r->device_bufs - NMX__FIRST_BUF;
	uint8_t *held = r->held;

	most = most < to_end ? most : to_end;
	most = most < slots_to_end ? most : slots_to_end;
	for (count = 0; count < most; count++, entry++, slot++) {
		uint64_t index = *entry >> XDP_SHIFT;

		if (unlikely(index - NMX__FIRST_BUF >= usable) || unlikely(!nmx__held_has(held, (uint32_t)index)) || unlikely(slot->buf_idx))
			break;
		*(volatile uint32_t *)&slot->buf_idx = (uint32_t)index;
		nmx__held_take(held, (uint32_t)index);
	}
	ring->own += count;
	r->done = r->done + count < r->num_slots ? r->done + count : 0;
	return count;
}

/* A completion of any kind. */
static __attribute__((__noinline__)) void reap_one(struct xdp_ring *r)
{
	struct nmx__xring *ring = &r->queue->done;
	uint64_t index = *nmx__xring_addr(ring, ring->own++) >> XDP_SHIFT;

	if (index - NMX__FIRST_BUF >= r->device_bufs - NMX__FIRST_BUF || !nmx__held_has(r->held, (uint32_t)index))
		NMX__COUNT(r->own, drop_invalid, 1);
	else
		come_back(r, (uint32_t)index);
}

static void reap(struct xdp_ring *r)
{
	struct nmx__xring *ring = &r->queue->done;
	uint32_t ready = nmx__xring_ready(ring), count;

	if (unlikely(ready > ring->mask + 1))
		ready = 0;
	if (ready == 0)
		return;
	while (ready > 0) {
		count = reap_run(r, ready);
		ready -= count;
		if (unlikely(count == 0)) {
			reap_one(r);
			ready--;
		}
	}
	nmx__xring_consume(ring);
}

/* ---- having the kernel send */

/* In copy mode packets are sent by this call, some at a time: again until none is left.  A packet that the device did not
 * take is gone; the call says so by EBUSY.  Kernels before 6.17 show how far they are only when they are through: there it
 * is called as often as that takes.  False: the interface is in the way. */
static bool kick(struct xdp_ring *r)
{
	struct nmx__xring *tx = &r->queue->tx;
	uint32_t left = nmx__xring_pending(tx), before, drops = left;
	uint32_t in_vain = 0, most_in_vain = r->queue->shows_progress ? 1 : left / XDP_LEAST_BUDGET + 1;

	if (r->zero_copy && !nmx__xring_wants_kick(tx))
		return true;
	while (left > 0) {
		before = left;
		int err = sendto(r->queue->tx_fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;

		left = nmx__xring_pending(tx);
		if (err == EBUSY)
			NMX__COUNT(r->own, drop_kernel, 1);
		if (err == ENETDOWN || err == ENXIO || err == ENODEV) {
			atomic_store(&nmx__unsent, true); /* it may come back */
			return false;
		}
		if (r->zero_copy)
			break;
		if (left < before || (err == EBUSY && drops-- > 0))
			continue;
		if (in_vain++ == most_in_vain)
			break; /* busy: nmx__xdp_go_on() */
		reap(r); /* nothing is sent while there is no place to tell of it */
	}
	if (unlikely(left > 0 && !r->zero_copy))
		atomic_store(&nmx__unsent, true);
	return true;
}

/* ---- handing over */

static void push(struct xdp_ring *r, uint32_t index, uint32_t len, uint32_t options)
{
	struct nmx__xring *tx = &r->queue->tx;

	*nmx__xring_desc(tx, tx->own++) = (struct xdp_desc){ .addr = ((uint64_t)index << XDP_SHIFT) + NMX__BUF_OFFSET, .len = len, .options = options };
}

/* Sends a copy, in a buffer that the device knows; the slot keeps its own, and is free as soon as those before it are.
 * False: no such buffer is left for now. */
static bool push_copy(struct xdp_ring *r, const struct netmap_slot *slot, uint32_t options)
{
	if (r->num_spare == 0)
		return false;
	uint32_t index = r->spare[r->num_spare - 1];

	xdp_poison_buf(r, index, false);
	xdp_poison_buf(r, slot->buf_idx, false);
	memcpy(xdp_data(r, index), xdp_data(r, slot->buf_idx), slot->len);
	nmx__held_put(r->held, index);
	nmx__order_for_death();
	r->spare[--r->num_spare] = 0;
	push(r, index, slot->len, options);
	NMX__COUNT(r->own, tx_copied_bytes, slot->len);
	return true;
}

static void push_slot(struct xdp_ring *r, struct netmap_slot *slot, uint32_t options)
{
	uint32_t index = slot->buf_idx, len = slot->len;

	nmx__held_put(r->held, index);
	nmx__order_for_death();
	slot->buf_idx = 0;
	slot->flags = 0;
	push(r, index, len, options);
}

struct packet {
	uint32_t slots;    /* 0: its end is missing */
	uint32_t foreign;  /* of them, that have to be copied */
	uint64_t bytes;
	bool empty, overlong, lost;
};

/* Whether one of the `count` slots from `at` on has the buffer, too.  Longer packets are not sent anyway. */
static bool is_among(const struct xdp_ring *r, uint32_t at, uint32_t count, uint32_t index)
{
	for (; count > 0 && count < XDP_MAX_FRAGS; count--, at = nmx__next(at, r->num_slots))
		if (r->nring->slot[at].buf_idx == index)
			return true;
	return false;
}

static struct packet look(const struct xdp_ring *r, uint32_t at)
{
	struct packet p = { 0 };
	uint32_t count = 0, first = at;
	bool more = true;

	for (; more && at != r->nring->head; at = nmx__next(at, r->num_slots)) {
		const struct netmap_slot *slot = &r->nring->slot[at];

		more = (slot->flags & NS_MOREFRAG) != 0;
		p.bytes += slot->len;
		p.empty |= slot->len == 0;
		p.overlong |= slot->len > r->max_len;
		p.lost |= !xdp_is_valid(r, slot->buf_idx) || (xdp_is_registered(r, slot->buf_idx) && nmx__held_has(r->held, slot->buf_idx)) ||
		          is_among(r, first, count, slot->buf_idx);
		count++;
		p.foreign += !xdp_is_registered(r, slot->buf_idx);
	}
	if (!more)
		p.slots = count;
	return p;
}

/* One packet of any kind.  Returns how many slots it took, 0 when it has to wait, NMX_ERR_RESET when a slot has lost its
 * buffer. */
static __attribute__((__noinline__)) int hand_over_packet(struct xdp_ring *r, uint64_t *bytes, uint32_t *packets)
{
	struct packet p = look(r, r->hwcur);
	bool good;

	if (p.slots == 0)
		return 0;
	if (p.lost)
		return NMX_ERR_RESET;
	good = !p.empty && !p.overlong && p.bytes >= XDP_MIN_LEN && p.slots <= r->max_frags;
	if (good && p.foreign > r->max_spare)
		good = false; /* can never be copied as a whole */
	if (good && p.foreign > r->num_spare)
		return 0;
	if (p.empty || p.bytes < XDP_MIN_LEN)
		NMX__COUNT(r->own, drop_too_short, 1);
	else if (!good)
		NMX__COUNT(r->own, drop_too_long, 1);
	for (uint32_t i = 0; i < p.slots; i++, r->hwcur = nmx__next(r->hwcur, r->num_slots)) {
		struct netmap_slot *slot = &r->nring->slot[r->hwcur];
		uint32_t options = i + 1 < p.slots ? XDP_PKT_CONTD : 0;

		if (!good)
			continue; /* stays where it is, and is free again in its turn */
		if (xdp_is_registered(r, slot->buf_idx))
			push_slot(r, slot, options);
		else
			(void)!push_copy(r, slot, options);
	}
	if (good) {
		*bytes += p.bytes;
		*packets += 1;
	}
	return (int)p.slots;
}

/* The common kind: one slot, a length that fits, a buffer that the device knows.  As in reap_run(). */
static inline uint32_t hand_over_run(struct xdp_ring *r, uint32_t most, uint64_t *bytes)
{
	struct nmx__xring *tx = &r->queue->tx;
	uint32_t to_end = tx->mask + 1 - (tx->own & tx->mask), usable = r->device_bufs - NMX__FIRST_BUF, count;
	uint32_t lengths = r->max_len - XDP_MIN_LEN + 1;
	struct netmap_slot *slot = &r->nring->slot[r->hwcur];
	struct xdp_desc *desc = nmx__xring_desc(tx, tx->own);
	uint8_t *held = r->held;
	uint64_t sum = 0;

	most = most < to_end ? most : to_end;
	most = most < r->num_slots - r->hwcur ? most : r->num_slots - r->hwcur;
	for (count = 0; count < most; count++, slot++, desc++) {
		uint32_t index = slot->buf_idx, len = slot->len;

		if (unlikely(index - NMX__FIRST_BUF >= usable) || unlikely(len - XDP_MIN_LEN >= lengths) ||
		    unlikely(slot->flags & NS_MOREFRAG) || unlikely(nmx__held_has(held, index)))
			break;
		nmx__held_put(held, index);
		*(volatile uint64_t *)slot = 0;
		*desc = (struct xdp_desc){ .addr = ((uint64_t)index << XDP_SHIFT) + NMX__BUF_OFFSET, .len = len };
		sum += len;
	}
	tx->own += count;
	r->hwcur = r->hwcur + count < r->num_slots ? r->hwcur + count : 0;
	*bytes += sum;
	return count;
}

/* [hwcur, head), as far as it goes. */
static inline int hand_over(struct xdp_ring *r)
{
	uint32_t packets = 0, head = r->nring->head;
	uint64_t bytes = 0;
	int more = 1;

	poison_range(r, r->hwcur, head, true);
	while (r->hwcur != head && more > 0) {
		uint32_t count = hand_over_run(r, nmx__distance(r->hwcur, head, r->num_slots), &bytes);

		packets += count;
		if (unlikely(count == 0))
			more = hand_over_packet(r, &bytes, &packets);
	}
	nmx__xring_produce(&r->queue->tx);
	NMX__COUNT(r->own, tx_packets, packets);
	NMX__COUNT(r->own, tx_bytes, bytes);
	return more < 0 ? more : 0;
}

/* The slots before `done` are the user's again; one slot always stays out, so that full and empty differ. */
static inline int show_room(struct xdp_ring *r)
{
	uint32_t before = r->tail;

	step_over_copies(r);
	r->tail = (r->done ? r->done : r->num_slots) - 1;
	r->nring->tail = r->tail;
	poison_range(r, before, r->tail, false);
	return (int)nmx__distance(r->nring->cur, r->tail, r->num_slots);
}

bool nmx__xdp_can_hand_over(const struct xdp_ring *r)
{
	struct packet p = look(r, r->hwcur);

	return p.slots > 0 && (p.lost || p.foreign <= r->num_spare || p.foreign > r->max_spare);
}

int nmx__xdp_push_on(struct xdp_ring *r)
{
	if (!kick(r))
		nmx__xdp_look_at_link(r, false);
	reap(r);
	return show_room(r);
}

int nmx__xdp_send(struct xdp_ring *r)
{
	int err = 1;
	uint32_t before;

	if (unlikely(!xdp_cursors_valid(r)))
		return nmx__xdp_reset(r);
	NMX__COUNT(r->own, tx_syncs, 1);
	/* More than once only where packets have to be copied and wait for a buffer. */
	do {
		before = r->hwcur;
		err = hand_over(r);
		if (!kick(r))
			nmx__xdp_look_at_link(r, false);
		reap(r);
	} while (unlikely(err == 0 && r->hwcur != r->nring->head && r->hwcur != before));
	return err < 0 ? nmx__xdp_reset(r) : show_room(r);
}
