/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Receiving from AF_XDP.  The buffers of a ring are in three places: in slots that show packets, with the kernel (a
 * mark in `held`), or, those that the device does not know, in a spare place.  A slot that shows nothing holds none.
 *
 * A move between them is put before take, so that a buffer is always in at least one place that a recovery reads: the
 * mark is set before the slot is cleared and the buffer goes to the kernel; the slot is written before the mark is cleared.
 */
#include <sys/socket.h>

#include "backend/xdp.h"
#include "xsk/offload.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

/* ---- giving back */

/* The source that has the most need; with one there is no question. */
static inline struct xdp_source *needy_source(struct xdp_ring *r)
{
	struct xdp_source *s = &r->sources[r->next_source];

	for (uint32_t i = 0; unlikely(s->outstanding >= r->fill_target) && i < r->num_sources; i++) {
		r->next_source = r->next_source + 1 < r->num_sources ? r->next_source + 1 : 0;
		s = &r->sources[r->next_source];
	}
	return s;
}

/* A buffer that is marked and that is in no slot any more.  There are never more than all fill rings hold. */
static inline void push(struct xdp_source *s, uint32_t index)
{
	struct nmx__xring *fill = &s->queue->fill;

	*nmx__xring_addr(fill, fill->own++) = (uint64_t)index << XDP_SHIFT;
	s->outstanding++;
}

static void publish_fill(struct xdp_ring *r)
{
	for (uint32_t i = 0; i < r->num_sources; i++)
		nmx__xring_produce(&r->sources[i].queue->fill);
}

/* A buffer that the device does not know, exchanged into the ring by a forward: kept, to copy a later packet into. */
static __attribute__((__noinline__)) bool keep_spare(struct xdp_ring *r, struct netmap_slot *slot)
{
	if (xdp_is_registered(r, slot->buf_idx) || !xdp_is_valid(r, slot->buf_idx) || r->num_spare == r->max_spare)
		return false;
	r->spare[r->num_spare++] = slot->buf_idx;
	nmx__order_for_death();
	slot->buf_idx = 0;
	return true;
}

/* Slots from hwcur on to one source: at most `most`, not beyond the end of either ring, and up to one whose buffer is not
 * ours to give.  Everything is in locals, and the order of what a recovery reads is kept by volatile: a fence would have
 * all of them loaded again. */
static inline uint32_t give_run(struct xdp_ring *r, struct xdp_source *s, uint32_t most)
{
	struct nmx__xring *fill = &s->queue->fill;
	uint32_t to_end = fill->mask + 1 - (fill->own & fill->mask), usable = r->device_bufs - NMX__FIRST_BUF, done;
	struct netmap_slot *slot = &r->nring->slot[r->hwcur];
	uint64_t *entry = nmx__xring_addr(fill, fill->own);
	uint8_t *held = r->held;

	most = most < to_end ? most : to_end;
	most = most < r->num_slots - r->hwcur ? most : r->num_slots - r->hwcur;
	for (done = 0; done < most; done++, slot++, entry++) {
		uint32_t index = slot->buf_idx;

		if (unlikely(index - NMX__FIRST_BUF >= usable) || unlikely(nmx__held_has(held, index)))
			break;
		nmx__held_put(held, index);
		*(volatile uint32_t *)&slot->buf_idx = 0;
		*entry = (uint64_t)index << XDP_SHIFT;
	}
	fill->own += done;
	s->outstanding += done;
	r->hwcur = r->hwcur + done < r->num_slots ? r->hwcur + done : 0;
	return done;
}

/* [hwcur, head) goes back to the kernel.  False: a slot has lost its buffer. */
static inline bool give_back(struct xdp_ring *r)
{
	uint32_t n = r->num_slots, left = nmx__distance(r->hwcur, r->nring->head, n);
	bool good = true;

	xdp_poison_slots(r, r->hwcur, left, true);
	while (left > 0 && good) {
		struct xdp_source *s = needy_source(r);
		uint32_t room = r->num_sources == 1 || s->outstanding >= r->fill_target ? left : r->fill_target - s->outstanding;
		uint32_t done = give_run(r, s, left < room ? left : room);

		left -= done;
		if (unlikely(done == 0)) {
			good = keep_spare(r, &r->nring->slot[r->hwcur]);
			if (good) {
				r->hwcur = nmx__next(r->hwcur, n);
				left--;
			}
		}
	}
	publish_fill(r);
	return good;
}

void nmx__xdp_fill(struct xdp_ring *r)
{
	for (uint32_t i = 0; i < r->num_slots + r->max_spare; i++) {
		uint32_t *cell = i < r->num_slots ? &r->nring->slot[i].buf_idx : &r->spare[i - r->num_slots], index = *cell;

		if (!xdp_is_registered(r, index))
			continue;
		xdp_poison_buf(r, index, true);
		nmx__held_put(r->held, index);
		nmx__order_for_death();
		*cell = 0;
		push(needy_source(r), index);
	}
	r->num_spare = 0;
	publish_fill(r);
}

/* ---- bringing in */

struct progress {
	uint32_t tail;
	bool refused;  /* buffers went straight back */
	uint32_t room; /* slots left */
	uint64_t packets, bytes;
};

static inline void show(struct xdp_ring *r, struct progress *p, uint32_t index, uint32_t len, uint32_t flags)
{
	struct netmap_slot *slot = &r->nring->slot[p->tail];
	uint64_t word = index | (uint64_t)len << 32 | (uint64_t)flags << 48;

	memcpy(slot, &word, sizeof(word));
	p->tail = nmx__next(p->tail, r->num_slots);
	p->room--;
	p->bytes += len;
}

/* A packet lies NMX__BUF_OFFSET into the chunk that begins with its buffer's address; what the address says beyond that
 * comes out as an index that is too large, like any other nonsense. */
static inline uint64_t index_of(const struct xdp_ring *r, const struct xdp_desc *desc)
{
	uint64_t chunk = desc->addr - r->rx_offset;

	return chunk >> XDP_SHIFT | chunk << (64 - XDP_SHIFT);
}

/* Whether a descriptor is one of a buffer that we gave; *index is then the buffer. */
static inline bool is_ours(const struct xdp_ring *r, const struct xdp_desc *desc, uint32_t *index)
{
	uint64_t i = index_of(r, desc);

	*index = (uint32_t)i;
	return i - NMX__FIRST_BUF < r->device_bufs - NMX__FIRST_BUF && nmx__held_has(r->held, *index);
}

/* Straight back to the kernel, unseen. */
static void refuse(struct xdp_source *s, struct progress *p, uint32_t index)
{
	s->outstanding--;
	push(s, index);
	p->refused = true;
}

static void show_held(struct xdp_ring *r, struct xdp_source *s, struct progress *p, uint32_t index, uint32_t len, uint32_t flags)
{
	if (r->num_spare) {
		uint32_t spare = r->spare[r->num_spare - 1];

		xdp_poison_buf(r, index, false);
		xdp_poison_buf(r, spare, false);
		memcpy(xdp_data(r, spare), xdp_data(r, index), len);
		show(r, p, spare, len, flags);
		nmx__order_for_death();
		r->spare[--r->num_spare] = 0;
		xdp_poison_buf(r, index, true);
		refuse(s, p, index);
		NMX__COUNT(r->own, rx_copied_bytes, len);
		return;
	}
	xdp_poison_buf(r, index, false);
	show(r, p, index, len, flags);
	nmx__order_for_death();
	nmx__held_take(r->held, index);
	s->outstanding--;
}

static void complete_chain(const struct xdp_ring *r, uint32_t at, uint32_t count)
{
	struct nmx__fragment fragments[NETMAP_MAX_FRAGS];

	for (uint32_t i = 0; i < count; i++, at = nmx__next(at, r->num_slots))
		fragments[i] = (struct nmx__fragment){ xdp_data(r, r->nring->slot[at].buf_idx), r->nring->slot[at].len };
	nmx__complete_checksum_of(fragments, count);
}

/* One packet that is not of the common kind: of several buffers, or nonsense, or there are spares to copy into.  Returns
 * its descriptors, or 0: it does not fit. */
static __attribute__((__noinline__)) uint32_t take_packet(struct xdp_ring *r, struct xdp_source *s, uint32_t ready, struct progress *p)
{
	struct nmx__xring *rx = &s->queue->rx;
	uint32_t count = 0, first = p->tail, index;
	bool more = true, good = true;

	for (; more && count < ready; count++) {
		const struct xdp_desc *desc = nmx__xring_desc(rx, rx->own + count);

		good = good && is_ours(r, desc, &index) && desc->len - 1 < r->max_len;
		more = (desc->options & XDP_PKT_CONTD) != 0;
	}
	if (more && count < rx->mask + 1)
		return 0; /* the rest is still coming: the kernel publishes a packet as a whole, so this does not happen */
	bool fits = count == 1 || (r->chains && count <= r->max_frags);

	if (good && !more && fits && count > p->room)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = nmx__xring_desc(rx, rx->own + i);

		if (good && !more && fits)
			show_held(r, s, p, (uint32_t)index_of(r, desc), desc->len, desc->options & XDP_PKT_CONTD ? NS_MOREFRAG : 0);
		else if (is_ours(r, desc, &index))
			refuse(s, p, index);
	}
	if (!good || more)
		NMX__COUNT(r->own, drop_invalid, 1);
	else if (!fits)
		NMX__COUNT(r->own, drop_too_long, 1);
	else {
		p->packets++;
		if (r->repair)
			complete_chain(r, first, count);
	}
	return count;
}

/* Completed before the user sees them. */
static __attribute__((__noinline__)) void complete_singles(const struct xdp_ring *r, uint32_t at, uint32_t count)
{
	const struct netmap_slot *slots = r->nring->slot;
	uint32_t n = r->num_slots;
	uint8_t *bufs = r->bufs;

	for (; count > 0; count--, at = nmx__next(at, n))
		nmx__complete_checksum(bufs + ((size_t)slots[at].buf_idx << XDP_SHIFT), slots[at].len);
}

/* The common kind: one buffer, ours, a length that fits.  At most `most`, not beyond the end of either ring, and up to the
 * first that is anything else.  As in give_run(). */
static inline uint32_t take_run(struct xdp_ring *r, struct xdp_source *s, uint32_t most, struct progress *p)
{
	struct nmx__xring *rx = &s->queue->rx;
	uint32_t to_end = rx->mask + 1 - (rx->own & rx->mask), done;
	uint64_t usable = r->device_bufs - NMX__FIRST_BUF, longest = r->max_len, offset = r->rx_offset, bytes = 0;
	const struct xdp_desc *desc = nmx__xring_desc(rx, rx->own);
	struct netmap_slot *slot = &r->nring->slot[p->tail];
	uint8_t *held = r->held;

	most = most < to_end ? most : to_end;
	most = most < r->num_slots - p->tail ? most : r->num_slots - p->tail;
	for (done = 0; done < most; done++, slot++, desc++) {
		uint64_t chunk = desc->addr - offset, index = chunk >> XDP_SHIFT | chunk << (64 - XDP_SHIFT), len;

		memcpy(&len, &desc->len, sizeof(len)); /* and the options: any of them makes it longer than anything */
		if (unlikely(index - NMX__FIRST_BUF >= usable) || unlikely(len - 1 >= longest) || unlikely(!nmx__held_has(held, (uint32_t)index)))
			break;
		*(volatile uint64_t *)slot = index | len << 32;
		nmx__held_take(held, (uint32_t)index);
		bytes += len;
	}
	xdp_poison_slots(r, p->tail, done, false);
	if (r->repair)
		complete_singles(r, p->tail, done);
	p->tail = p->tail + done < r->num_slots ? p->tail + done : 0;
	p->room -= done;
	p->packets += done;
	p->bytes += bytes;
	s->outstanding -= done;
	return done;
}

_Static_assert(offsetof(struct xdp_desc, options) == offsetof(struct xdp_desc, len) + 4, "length and options are one word");

static inline void take_from(struct xdp_ring *r, struct xdp_source *s, struct progress *p)
{
	struct nmx__xring *rx = &s->queue->rx;
	uint32_t ready = nmx__xring_ready(rx), count = 1;

	if (ready == 0)
		return;
	if (unlikely(ready > rx->mask + 1))
		ready = 0; /* nonsense: skipped below */
	while (ready > 0 && p->room > 0 && count > 0) {
		count = r->num_spare ? 0 : take_run(r, s, ready < p->room ? ready : p->room, p);
		if (count == 0)
			count = take_packet(r, s, ready, p);
		rx->own += count;
		ready -= count;
	}
	nmx__xring_consume(rx);
}

static void kick(struct xdp_ring *r)
{
	for (uint32_t i = 0; i < r->num_sources; i++) {
		struct nmx__xsk_queue *q = r->sources[i].queue;

		if (r->busy_poll || nmx__xring_wants_kick(&q->fill))
			(void)!recvfrom(q->rx_fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
}

int nmx__xdp_receive(struct xdp_ring *r)
{
	uint32_t n = r->num_slots;
	struct progress p = { .tail = r->tail };

	if (unlikely(!xdp_cursors_valid(r)))
		return nmx__xdp_reset(r);
	NMX__COUNT(r->own, rx_syncs, 1);
	if (r->hwcur != r->nring->head && unlikely(!give_back(r)))
		return nmx__xdp_reset(r);
	p.room = n - 1 - nmx__distance(r->nring->head, r->tail, n);
	for (uint32_t i = 0; i < r->num_sources && p.room; i++)
		take_from(r, &r->sources[i], &p);
	if (unlikely(p.refused))
		publish_fill(r);
	if (unlikely(r->zero_copy || r->busy_poll))
		kick(r);
	r->nring->tail = r->tail = p.tail;
	NMX__COUNT(r->own, rx_packets, p.packets);
	NMX__COUNT(r->own, rx_bytes, p.bytes);
	return (int)nmx__distance(r->nring->cur, r->tail, n);
}
