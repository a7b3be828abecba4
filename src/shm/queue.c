/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>

#include "base/poison.h"
#include "shm/queue.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

static inline bool valid_index(const struct nmx__qend *e, uint32_t index)
{
	return index - NMX__FIRST_BUF < e->num_bufs - NMX__FIRST_BUF;
}

static inline struct nmx__entry *entry_at(const struct nmx__qend *e, uint32_t index)
{
	return &e->queue->entry[index & (e->capacity - 1)];
}

static inline void prefetch_entries(const struct nmx__qend *e, uint32_t count)
{
	for (uint32_t i = 0; i < count; i += 64 / sizeof(struct nmx__entry))
		nmx__prefetch_to_write(entry_at(e, e->index + i));
}

/* ---- setting up */

static size_t pending_offset(void) { return nmx__round_up(sizeof(struct nmx__own_ring), 128); }
static size_t ring_offset(uint32_t slots) { return pending_offset() + nmx__round_up(slots * sizeof(uint64_t), 128); }

size_t nmx__qring_bytes(uint32_t slots)
{
	return ring_offset(slots) + nmx__round_up(sizeof(struct netmap_ring) + slots * sizeof(struct netmap_slot), 128);
}

void nmx__qring_init(struct nmx__own_ring *own, uint32_t slots, bool is_tx)
{
	own->num_slots = slots;
	own->is_tx = is_tx;
	own->pending_ofs = (uint32_t)pending_offset();
	own->ring_ofs = (uint32_t)ring_offset(slots);
}

void nmx__qend_init(struct nmx__qend *e, struct nmx__own_ring *own, struct nmx__queue *queue)
{
	struct netmap_ring *ring = (struct netmap_ring *)((uint8_t *)own + own->ring_ofs);

	e->own = own;
	e->queue = queue;
	e->ring = ring;
	e->pending = (uint64_t *)((uint8_t *)own + own->pending_ofs);
	e->num_slots = own->num_slots;
	e->capacity = nmx__queue_capacity(own->num_slots);
	ring->buf_ofs = e->bufs - (uint8_t *)ring;
	ring->num_slots = e->num_slots;
	ring->nr_buf_size = e->buf_stride;
	ring->dir = own->is_tx; /* as the kernel does, not as its header says */
	ring->head = ring->cur = ring->tail = e->hwcur = e->tail = 0;
	if (!queue)
		return;
	/* The only time that our own index is read from shared memory: nobody else knows where the last user was. */
	e->index = atomic_load(own->is_tx ? &queue->tail : &queue->head);
	e->peer = own->is_tx ? e->index - e->capacity : e->index; /* to be looked at before anything is done */
}

/* ---- what both directions share */

void nmx__qend_poison(const struct nmx__qend *e, uint32_t from, uint32_t to, bool poison)
{
	if (!nmx__poisoning())
		return;
	for (; from != to; from = nmx__next(from, e->num_slots)) {
		uint32_t index = e->ring->slot[from].buf_idx;

		if (valid_index(e, index))
			(poison ? nmx__poison : nmx__unpoison)(e->bufs + (size_t)index * e->buf_stride, e->buf_stride);
	}
}

int nmx__qend_reset(struct nmx__qend *e)
{
	e->ring->head = e->ring->cur = e->hwcur;
	e->ring->tail = e->tail;
	NMX__COUNT(e->own, resets, 1);
	return NMX_ERR_RESET;
}

/* The other side's index, bounded: everything computed from it later relies on that.  False: it is nonsense. */
static inline bool look_at_peer(struct nmx__qend *e)
{
	bool is_tx = e->own->is_tx;
	uint32_t seen = atomic_load_explicit(is_tx ? &e->queue->head : &e->queue->tail, memory_order_acquire);
	uint32_t used = is_tx ? e->index - seen : seen - e->index;

	if (unlikely(used > e->capacity || seen - e->peer > e->capacity)) /* beyond us, or backwards */
		return false;
	e->peer = seen;
	return true;
}

/* After the commit: the slots take what is pending for them. */
static inline void settle(struct nmx__qend *e, uint32_t first, uint32_t count)
{
	struct netmap_slot *slots = e->ring->slot;
	const uint64_t *pending = e->pending;
	uint32_t n = e->num_slots;

	nmx__order_for_death();
	for (uint32_t s = first; count > 0; count--, s = nmx__next(s, n))
		nmx__slot_set_word(&slots[s], pending[s]);
}

/* The note of the sync in flight goes, when the ring says all that it said. */
static inline void forget_txn(struct nmx__qend *e)
{
	nmx__order_for_death();
	atomic_store_explicit(&e->own->txn, 0, memory_order_relaxed);
}

/* ---- transmit */

/* Writes the batch into the entries that we own.  Nobody sees it yet.  Returns 0 or an error. */
static inline int fill_entries(struct nmx__qend *e, uint32_t count, uint64_t *bytes, uint64_t *packets)
{
	/* Copies, for the compiler cannot know that the stores below do not reach *e. */
	const struct netmap_slot *slots = e->ring->slot;
	struct nmx__entry *entries = e->queue->entry;
	uint64_t *pending = e->pending, sum = 0, chained = 0;
	uint32_t s = e->hwcur, n = e->num_slots, mask = e->capacity - 1, usable = e->num_bufs - NMX__FIRST_BUF;

	prefetch_entries(e, count);
	for (uint32_t at = e->index, end = at + count; at != end; at++, s = nmx__next(s, n)) {
		struct nmx__entry *entry = &entries[at & mask];
		uint32_t spare = atomic_load_explicit(&entry->empty, memory_order_relaxed);
		uint64_t word = nmx__slot_word(&slots[s]) & NMX__WORD_KEEP;

		if (unlikely(spare - NMX__FIRST_BUF >= usable))
			return NMX_ERR_CORRUPT;
		if (unlikely(nmx__word_index(word) - NMX__FIRST_BUF >= usable))
			return NMX_ERR_RESET;
		pending[s] = spare;
		atomic_store_explicit(&entry->full, word, memory_order_relaxed);
		sum += nmx__word_len(word);
		chained += word >> 53 & 1;
	}
	_Static_assert(NMX__WORD_MORE == 1ull << 53, "the bit of NS_MOREFRAG in a word");
	*bytes = sum;
	*packets = count - chained;
	return 0;
}

static inline int hand_over(struct nmx__qend *e, uint32_t count)
{
	uint32_t first = e->hwcur;
	uint64_t bytes, packets;
	int err = fill_entries(e, count, &bytes, &packets);

	if (unlikely(err < 0))
		return err == NMX_ERR_RESET ? nmx__qend_reset(e) : err;
	nmx__qend_poison(e, first, e->ring->head, true);
	nmx__order_for_death();
	atomic_store_explicit(&e->own->txn, nmx__txn_make(e->index + count, first, count), memory_order_relaxed);
	nmx__order_for_death();
	e->index += count;
	atomic_store(&e->queue->tail, e->index); /* the commit; pairs with look_at_peer() of the receiver */
	settle(e, first, count);
	forget_txn(e);
	e->hwcur = e->ring->head;
	NMX__COUNT(e->own, tx_packets, packets);
	NMX__COUNT(e->own, tx_bytes, bytes);
	if (unlikely(nmx__wake(&e->queue->rx_sleep, &e->peer_bell)))
		NMX__COUNT(e->own, wakeups, 1);
	return 0;
}

/* As many packets may be under way as the ring can show: all of its slots are free when, and only when, the other
 * end has taken everything. */
static inline uint32_t free_slots(const struct nmx__qend *e)
{
	uint32_t used = e->index - e->peer, most = e->num_slots - 1;

	return used < most ? most - used : 0;
}

int nmx__queue_send(struct nmx__qend *e)
{
	uint32_t n = e->num_slots, room, tail;

	if (unlikely(!nmx__qend_cursors_valid(e, e->ring->head, e->ring->cur)))
		return nmx__qend_reset(e);
	uint32_t count = nmx__distance(e->hwcur, e->ring->head, n);
	if (count) {
		int err = hand_over(e, count);

		if (unlikely(err < 0))
			return err;
	}
	NMX__COUNT(e->own, tx_syncs, 1);
	if ((count == 0 || free_slots(e) < n / 2) && unlikely(!look_at_peer(e)))
		return NMX_ERR_CORRUPT;
	/* Only what the queue has room for is the user's: so what is committed can always be handed over. */
	room = free_slots(e);
	tail = e->hwcur + room < n ? e->hwcur + room : e->hwcur + room - n;
	nmx__qend_poison(e, e->tail, tail, false);
	e->ring->tail = e->tail = tail;
	return 0;
}

bool nmx__queue_has_room(struct nmx__qend *e, uint32_t slots)
{
	uint32_t n = e->num_slots, used = e->index - atomic_load(&e->queue->head);
	uint32_t begun = nmx__distance(e->ring->head, e->ring->cur, n), most;

	/* What is nonsense is news too: the next sync says so. */
	if (used > e->capacity || begun >= n)
		return true;
	most = n - 1 - begun; /* a chain that lacks its end keeps its slots, whatever the other end takes */
	return used + begun + (slots < most ? slots : most) < n;
}

/* ---- receive */

struct progress {
	uint32_t entries; /* of the queue that are done with */
	uint32_t slots;   /* of the ring that will be filled */
	uint64_t bytes, packets;
};

/* The fast path: packets of one slot, up to the first that is anything else. */
static inline void take_singles(struct nmx__qend *e, uint32_t most, struct progress *p)
{
	const struct netmap_slot *slots = e->ring->slot;
	struct nmx__entry *entries = e->queue->entry;
	uint64_t *pending = e->pending, bytes = 0;
	uint32_t s = e->tail, n = e->num_slots, mask = e->capacity - 1, usable = e->num_bufs - NMX__FIRST_BUF;
	uint32_t at = e->index, end = at + most, longest = e->max_len;

	prefetch_entries(e, most);
	for (; at != end; at++, s = nmx__next(s, n)) {
		struct nmx__entry *entry = &entries[at & mask];
		uint64_t word = atomic_load_explicit(&entry->full, memory_order_relaxed);
		uint32_t spare = slots[s].buf_idx;

		/* One compare for length and flags: any flag makes it longer than anything. */
		if (unlikely(nmx__word_index(word) - NMX__FIRST_BUF >= usable || (uint32_t)(word >> 32) - 1 >= longest ||
		             spare - NMX__FIRST_BUF >= usable))
			break;
		pending[s] = word;
		atomic_store_explicit(&entry->empty, spare, memory_order_relaxed);
		bytes += nmx__word_len(word);
	}
	p->entries = p->slots = at - e->index;
	p->packets = p->entries;
	p->bytes = bytes;
}

/* Steps over entries: their own buffers go back as empty ones. */
static void refuse(struct nmx__qend *e, uint32_t at, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct nmx__entry *entry = entry_at(e, at + i);

		atomic_store_explicit(&entry->empty, nmx__word_index(atomic_load_explicit(&entry->full, memory_order_relaxed)),
		                      memory_order_relaxed);
	}
}

/* The other end must not get what a program of ours wrote into its slots. */
static bool spares_valid(const struct nmx__qend *e, uint32_t s, uint32_t count)
{
	for (; count > 0; count--, s = nmx__next(s, e->num_slots))
		if (!valid_index(e, e->ring->slot[s].buf_idx))
			return false;
	return true;
}

/* One packet of any kind.  Returns 1 when it is done with, 0 when it must wait for room, NMX_ERR_CORRUPT, or
 * NMX_ERR_RESET when a slot that it would go to has lost its buffer.  Words are read once, into words[]: the sender
 * could still be changing them. */
static __attribute__((__noinline__)) int take_packet(struct nmx__qend *e, uint32_t avail, uint32_t room, struct progress *p)
{
	uint64_t words[NETMAP_MAX_FRAGS];
	uint32_t at = e->index + p->entries, left = avail - p->entries, count = 0, s;
	bool more = true, empty = false, overlong = false;
	uint64_t bytes = 0;

	while (more && count < left) {
		uint64_t word = atomic_load_explicit(&entry_at(e, at + count)->full, memory_order_relaxed) & NMX__WORD_KEEP;

		if (!valid_index(e, nmx__word_index(word)))
			return NMX_ERR_CORRUPT;
		more = (word & NMX__WORD_MORE) != 0;
		empty |= nmx__word_len(word) == 0;
		overlong |= nmx__word_len(word) > e->max_len;
		bytes += nmx__word_len(word);
		if (count < NETMAP_MAX_FRAGS)
			words[count] = word;
		count++;
	}
	if (more || overlong || empty || count > e->max_frags || (count > 1 && !e->chains)) {
		refuse(e, at, count);
		p->entries += count;
		if (more || overlong) /* a chain without its end was never sent by us either */
			NMX__COUNT(e->own, drop_invalid, 1);
		else if (empty)
			NMX__COUNT(e->own, drop_too_short, 1);
		else
			NMX__COUNT(e->own, drop_too_long, 1);
		return 1;
	}
	if (count > room - p->slots)
		return 0;
	s = (e->tail + p->slots) % e->num_slots;
	if (!spares_valid(e, s, count))
		return NMX_ERR_RESET;
	for (uint32_t i = 0; i < count; i++, s = nmx__next(s, e->num_slots)) {
		e->pending[s] = words[i];
		atomic_store_explicit(&entry_at(e, at + i)->empty, e->ring->slot[s].buf_idx, memory_order_relaxed);
	}
	p->entries += count;
	p->slots += count;
	p->bytes += bytes;
	p->packets++;
	return 1;
}

/* Publishes that p->entries have been taken, and moves the ring's tail. */
static inline void take_over(struct nmx__qend *e, const struct progress *p)
{
	uint32_t first = e->tail, tail = first + p->slots;

	nmx__order_for_death();
	if (p->slots)
		atomic_store_explicit(&e->own->txn, nmx__txn_make(e->index + p->entries, first, p->slots), memory_order_relaxed);
	nmx__order_for_death();
	e->index += p->entries;
	atomic_store(&e->queue->head, e->index); /* the commit; pairs with look_at_peer() of the sender */
	settle(e, first, p->slots);
	tail = tail < e->num_slots ? tail : tail - e->num_slots;
	nmx__qend_poison(e, first, tail, false);
	e->ring->tail = e->tail = tail;
	forget_txn(e); /* after the tail: what came in and is nowhere else would die uncounted */
	NMX__COUNT(e->own, rx_packets, p->packets);
	NMX__COUNT(e->own, rx_bytes, p->bytes);
	if (unlikely(nmx__wake(&e->queue->tx_sleep, &e->peer_bell)))
		NMX__COUNT(e->own, wakeups, 1);
}

int nmx__queue_receive(struct nmx__qend *e)
{
	uint32_t n = e->num_slots, head = e->ring->head, room, avail;
	struct progress p;
	int more = 1;

	if (unlikely(!nmx__qend_cursors_valid(e, head, e->ring->cur)))
		return nmx__qend_reset(e);
	nmx__qend_poison(e, e->hwcur, head, true);
	e->hwcur = head;
	e->ring->tail = e->tail; /* the user may have written it */
	NMX__COUNT(e->own, rx_syncs, 1);
	if (e->peer == e->index && unlikely(!look_at_peer(e)))
		return NMX_ERR_CORRUPT;
	avail = e->peer - e->index;
	room = n - 1 - nmx__distance(head, e->tail, n);
	take_singles(e, avail < room ? avail : room, &p);
	while (unlikely(more == 1 && p.entries < avail && p.slots < room))
		more = take_packet(e, avail, room, &p);
	if (p.entries)
		take_over(e, &p);
	if (unlikely(more == NMX_ERR_RESET))
		return nmx__qend_reset(e);
	return more < 0 ? more : 0;
}

void nmx__queue_released(struct nmx__qend *e)
{
	if (!e->own->is_tx && nmx__qend_cursors_valid(e, e->ring->head, e->ring->cur))
		nmx__qend_poison(e, e->hwcur, e->ring->head, true);
}

bool nmx__queue_has_packets(struct nmx__qend *e) { return atomic_load(&e->queue->tail) != e->index; }
