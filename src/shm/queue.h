/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A ring of this process on one side of a descriptor queue: moving batches across.  docs/segment-protocol.md, 1 to 5
 * and 20, 21.  Every packet of a pipe passes through here, so: no calls, no locks, one pass over the batch before the
 * commit and one after it.
 */
#ifndef NMX_SHM_QUEUE_H
#define NMX_SHM_QUEUE_H

#include "shm/bell.h"

struct nmx__qend {
	struct nmx__queue *queue;
	struct netmap_ring *ring;    /* in the own file, like the next two */
	struct nmx__own_ring *own;
	uint64_t *pending;           /* [slot]: what it will hold after the commit, as a slot's first 8 bytes */
	uint8_t *bufs;
	uint32_t buf_stride, num_bufs;
	uint32_t num_slots, capacity; /* capacity of the queue */
	uint32_t max_len, max_frags;
	bool chains;                 /* receive: packets of several slots are shown */
	uint32_t index;              /* our index of the queue: tail for a sender, head for a receiver */
	uint32_t peer;               /* the other one, when last looked at */
	uint32_t hwcur;              /* transmit: first slot not handed over; receive: first slot not given back */
	uint32_t tail;               /* as we wrote it into the ring: what is there may have been overwritten */
	struct nmx__bell bell, peer_bell; /* ours, to sleep on; theirs, to ring */
};

/* Bytes that a ring needs in an own file, and where its parts are in them. */
size_t nmx__qring_bytes(uint32_t slots);
void nmx__qring_init(struct nmx__own_ring *own, uint32_t slots, bool is_tx);

/* Behind them, of a ring whose slots in flight are listed: the list. */
static inline size_t nmx__order_bytes(uint32_t slots) { return nmx__round_up(slots * sizeof(uint16_t), 128); }
static inline uint16_t *nmx__own_order(struct nmx__own_ring *own) { return (uint16_t *)((uint8_t *)own + own->order_ofs); }

static inline struct netmap_ring *nmx__own_netmap_ring(struct nmx__own_ring *own)
{
	return (struct netmap_ring *)((uint8_t *)own + own->ring_ofs);
}

/* Ties both together.  bufs and what follows from options are set by the caller before.  queue: NULL for a ring that sends
 * on others' queues. */
void nmx__qend_init(struct nmx__qend *end, struct nmx__own_ring *own, struct nmx__queue *queue);

/* Hands [hwcur, head) of a transmit ring over, and brings tail up to date.  0, or NMX_ERR_RESET, NMX_ERR_CORRUPT; on an
 * error nothing was handed over. */
NMX_MUST_CHECK int nmx__queue_send(struct nmx__qend *end);

/* Gives [hwcur, head) of a receive ring back and brings in what there is and fits.  Errors as above. */
NMX_MUST_CHECK int nmx__queue_receive(struct nmx__qend *end);

/* The user of a receive ring has given it back: its frames are dead. */
void nmx__queue_released(struct nmx__qend *end);

/* News for a receiver: the queue holds packets.  For a sender: that many slots of the ring could be free.  Reads the
 * other side's index with seq_cst, for use between nmx__sleep_begin() and the sleep. */
bool nmx__queue_has_packets(struct nmx__qend *end);
bool nmx__queue_has_room(struct nmx__qend *end, uint32_t slots);

/* head and cur are the user's to write: netmap(4) resets a ring whose cursors left [hwcur, tail], and so do we. */
static inline bool nmx__qend_cursors_valid(const struct nmx__qend *e, uint32_t head, uint32_t cur)
{
	uint32_t n = e->num_slots, owned = nmx__distance(e->hwcur, e->tail, n);

	return head < n && cur < n && nmx__distance(e->hwcur, cur, n) <= owned &&
	       nmx__distance(e->hwcur, head, n) <= nmx__distance(e->hwcur, cur, n);
}
/* That reset: returns NMX_ERR_RESET. */
int nmx__qend_reset(struct nmx__qend *end) __attribute__((__cold__));
/* Under AddressSanitizer: buffers of slots [from, to) are, or are not, to be touched. */
void nmx__qend_poison(const struct nmx__qend *end, uint32_t from, uint32_t to, bool poison);

/* ---- what a slot says, in its first 8 bytes: buf_idx, len, flags */

#define NMX__WORD_MORE ((uint64_t)NS_MOREFRAG << 48)
#define NMX__WORD_KEEP (NMX__WORD_MORE | 0xffffffffffffull) /* what others see of it */

static inline uint32_t nmx__word_index(uint64_t word) { return (uint32_t)word; }
static inline uint32_t nmx__word_len(uint64_t word) { return (uint32_t)(word >> 32) & 0xffff; }
static inline uint64_t nmx__slot_word(const struct netmap_slot *slot)
{
	uint64_t word;

	memcpy(&word, slot, sizeof(word));
	return word;
}
static inline void nmx__slot_set_word(struct netmap_slot *slot, uint64_t word) { memcpy(slot, &word, sizeof(word)); }

/* Entries were last written by the other side.  Asking for all lines of a batch at once, to write, lets the transfers
 * overlap; and a line that is read first and written later would cross twice. */
static inline void nmx__prefetch_to_write(const void *line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line)); /* the builtin needs a compiler flag to emit it */
#else
	__builtin_prefetch(line, 1);
#endif
}

/* Of a transmit ring, when a batch has been handed over: its program will write another like it into the next slots, headers
 * first.  Their buffers were far away for so long that no cache of ours has them: they are asked for all at once. */
#define NMX__MOST_AHEAD 64u
static inline void nmx__prefetch_slots(const struct nmx__qend *e, uint32_t first, uint32_t count)
{
	const struct netmap_slot *slots = e->ring->slot;
	uint32_t n = e->num_slots, ahead = count < NMX__MOST_AHEAD ? count : NMX__MOST_AHEAD;

	for (uint32_t s = first; ahead > 0; ahead--, s = nmx__next(s, n))
		nmx__prefetch_to_write(e->bufs + (size_t)slots[s].buf_idx * e->buf_stride);
}

/* Free slots of a transmit ring as of the last send; slots waiting in a receive ring. */
static inline uint32_t nmx__qend_space(const struct nmx__qend *end)
{
	return nmx__distance(end->ring->cur, end->tail, end->num_slots);
}

/* What was written before it is in memory before what is written after it, for whoever looks after our death.  The
 * processor keeps that order for itself; it is the compiler that must. */
static inline void nmx__order_for_death(void) { atomic_signal_fence(memory_order_seq_cst); }

/* Adds to one of the ring's counters (a field of struct nmx_stats).  This thread is the only writer. */
static inline void nmx__count(struct nmx__own_ring *own, size_t field, uint64_t n)
{
	_Atomic uint64_t *counter = &own->counters.at[field / sizeof(uint64_t)];

	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
#define NMX__COUNT(own, field, n) nmx__count(own, offsetof(struct nmx_stats, field), n)

#endif
