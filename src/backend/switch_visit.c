/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The sender's sync, second half: one visit to the queue of a receiver, under its lock.  docs/segment-protocol.md,
 * "Switches".
 *
 * What is for this port alone moves: its buffer goes into the entry, the entry's empty one into the slot.  Of what goes to
 * several, a copy is made in the entry's empty buffer, which is the queue's before and after: no buffer changes hands.  The
 * last of several has it as if it were for that one alone.
 */
#include "backend/switch.h"
#include "base/clock.h"
#include "base/poison.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

#define LOOK_MS 50 /* how long it may go unnoticed that the owner of a full port was killed */
#define LINE 64u
#define EXPECTED 64u /* packets to where the last ones went */

struct visit {
	struct switch_ring *r;
	struct nmx__way *way;
	struct nmx__entry *entries;
	uint32_t port, mask;
	uint32_t hold;     /* of its lock; 0: not to be had */
	uint32_t tail, room; /* of the queue */
	uint32_t ordered;  /* of tx->order, ours and of visits before */
	bool looked;       /* at the queue's head */
	bool corrupt;      /* and that is nonsense */
	bool waits;        /* something for it waits: nothing may overtake it */
	enum switch_floods floods;
	uint64_t bytes;
	uint32_t packets, full, invalid, too_long, gone;
};

/* ---- one packet */

static inline struct nmx__entry *entry_at(const struct visit *v, uint32_t i) { return &v->entries[(v->tail + i) & v->mask]; }

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Packets of one slot whose buffers move, up to the first that is anything else, or finds no room, or an entry that holds
 * nonsense.  Returns its place.  What of a run lies side by side in both rings is moved in the inner loop. */
static inline uint32_t move_singles(struct visit *v, uint32_t place, uint32_t until)
{
	/* Copies, for the compiler cannot know that the stores below do not reach *v and *e. */
	const struct nmx__qend *e = &v->r->end;
	const struct switch_tx *tx = v->r->tx;
	const uint8_t *frags = tx->frags;
	uint16_t *order = tx->order + v->ordered, *run = tx->run;
	uint32_t tail = v->tail, room = v->room, mask = v->mask, usable = e->num_bufs - NMX__FIRST_BUF, most = 0, i = 0;
	uint64_t bytes = 0;

	while (i == most && place < until && room && frags[place] == 1) {
		uint32_t s = switch_slot(e, place), at = tail & mask;
		const struct netmap_slot *slots = &e->ring->slot[s];
		struct nmx__entry *entries = &v->entries[at];
		uint64_t *pending = e->pending + s;

		most = least(least(run[place], room), least(e->num_slots - s, mask + 1 - at));
		for (i = 0; i < most; i++) {
			uint32_t spare = atomic_load_explicit(&entries[i].empty, memory_order_relaxed);
			uint64_t word = nmx__slot_word(&slots[i]) & NMX__WORD_KEEP;

			if (unlikely(spare - NMX__FIRST_BUF >= usable))
				break;
			pending[i] = spare;
			atomic_store_explicit(&entries[i].full, word, memory_order_relaxed);
			order[i] = (uint16_t)(s + i);
			bytes += nmx__word_len(word);
		}
		tail += i;
		room -= i;
		order += i;
		if (i == run[place])
			place = tx->next[place + i - 1];
		else if (i) {
			run[place + i] = (uint16_t)(run[place] - i);
			place += i;
		}
	}
	v->ordered += tail - v->tail;
	v->packets += tail - v->tail;
	v->bytes += bytes;
	v->tail = tail;
	v->room = room;
	return place;
}

/* Whole lines, as buffers are: what is behind the end was the sender's own.  `then` is the buffer of the next copy, last a
 * receiver's: its lines are on their way meanwhile. */
static inline void copy_lines(uint8_t *to, const uint8_t *from, uint32_t len, const uint8_t *then)
{
	for (uint32_t at = 0; at < len; at += LINE) {
		nmx__prefetch_to_write(then + at);
		memcpy(to + at, from + at, LINE);
	}
}

/* Packets of one slot that are copied, up to the first that is anything else.  Returns its place. */
static inline uint32_t copy_singles(struct visit *v, uint32_t place, uint32_t until)
{
	const struct nmx__qend *e = &v->r->end;
	struct nmx__entry *entries = v->entries, *entry = entry_at(v, 0); /* copies, as above */
	const uint16_t *next = v->r->tx->next;
	const uint64_t *flood = v->r->tx->flood;
	uint8_t *bufs = e->bufs;
	uint32_t mask = v->mask, usable = e->num_bufs - NMX__FIRST_BUF, at = v->tail, end = at + v->room;
	uint32_t spare = atomic_load_explicit(&entry->empty, memory_order_relaxed);
	size_t stride = e->buf_stride;

	for (; place < until && at != end && flood[place] && spare - NMX__FIRST_BUF < usable; place = next[place]) {
		struct nmx__entry *after = &entries[++at & mask];
		uint32_t then = atomic_load_explicit(&after->empty, memory_order_relaxed), len = nmx__word_len(flood[place]);
		uint8_t *to = bufs + spare * stride, *from = bufs + nmx__word_index(flood[place]) * stride;

		nmx__unpoison(to, stride);
		copy_lines(to, from, len, bufs + then * stride);
		nmx__poison(to, stride);
		atomic_store_explicit(&entry->full, (uint64_t)len << 32 | spare, memory_order_relaxed);
		entry = after;
		spare = then;
	}
	v->room = end - at;
	v->tail = at;
	return place;
}

static void copy_fragment(const struct nmx__qend *e, const struct netmap_slot *slot, uint32_t spare)
{
	uint8_t *to = e->bufs + (size_t)spare * e->buf_stride;
	const uint8_t *from = slot->flags & NS_INDIRECT ? (const uint8_t *)(uintptr_t)slot->ptr : e->bufs + (size_t)slot->buf_idx * e->buf_stride;

	nmx__unpoison(to, e->buf_stride);
	memcpy(to, from, slot->len < e->buf_stride ? slot->len : e->buf_stride);
	nmx__poison(to, e->buf_stride);
}

/* All fragments of a packet, for which there is room.  False: an entry holds nonsense. */
static bool put_fragments(struct visit *v, uint32_t place, uint32_t n, bool copy)
{
	const struct nmx__qend *e = &v->r->end;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t s = switch_slot(e, place + i), spare = atomic_load_explicit(&entry_at(v, i)->empty, memory_order_relaxed);
		const struct netmap_slot *slot = &e->ring->slot[s];
		uint64_t rest = (uint64_t)slot->len << 32 | (i + 1 < n ? NMX__WORD_MORE : 0);

		if (spare - NMX__FIRST_BUF >= e->num_bufs - NMX__FIRST_BUF || slot->buf_idx - NMX__FIRST_BUF >= e->num_bufs - NMX__FIRST_BUF)
			return false;
		if (copy)
			copy_fragment(e, slot, spare);
		else {
			e->pending[s] = spare;
			v->r->tx->order[v->ordered + i] = (uint16_t)s;
		}
		atomic_store_explicit(&entry_at(v, i)->full, rest | (copy ? spare : slot->buf_idx), memory_order_relaxed);
		bytes += slot->len;
	}
	v->tail += n;
	v->room -= n;
	v->ordered += copy ? 0 : n;
	v->bytes += bytes;
	return true;
}

/* With the lock: what room there is. */
static void look_at_head(struct visit *v)
{
	uint32_t head = atomic_load_explicit(&v->way->queue->head, memory_order_acquire), used = v->tail - head;

	v->looked = true;
	v->corrupt = used > v->way->capacity;
	v->room = v->corrupt ? 0 : v->way->capacity - used;
	if (!v->corrupt)
		atomic_store_explicit(&v->way->lane->seen_head, head, memory_order_relaxed);
}

/* The head's line comes from the receiver: it is looked at only when what was seen of it does not do. */
static inline bool has_room(struct visit *v, uint32_t n)
{
	if (unlikely(n > v->room && !v->looked))
		look_at_head(v);
	return n <= v->room;
}

/* No room: waits, or is gone. */
static void refuse(struct visit *v, uint32_t place, uint32_t n, bool is_flood)
{
	struct switch_tx *tx = v->r->tx;

	if (is_flood || v->corrupt || !switch_of(v->r)->blocking) {
		++*(v->corrupt ? &v->invalid : &v->full);
		return;
	}
	if (tx->held_for[v->port] == 0)
		tx->first_frags[v->port] = (uint8_t)n;
	v->waits = true;
	tx->num_held += n;
	tx->held_for[v->port] = (uint16_t)(tx->held_for[v->port] + n);
	tx->first_held = place < tx->first_held ? place : tx->first_held;
	for (uint32_t i = 0; i < n; i++)
		tx->held[place + i] = true;
}

static void put_packet(struct visit *v, uint32_t place, bool is_flood)
{
	uint8_t frags = v->r->tx->frags[place];
	uint32_t n = frags & ~(uint32_t)FRAGS_COPY;
	bool copy = (frags & FRAGS_COPY) || (is_flood && v->floods == COPY_FLOODS);

	if (n > v->way->max_frags)
		v->too_long++;
	else if (v->waits || !has_room(v, n))
		refuse(v, place, n, is_flood);
	else if (!put_fragments(v, place, n, copy))
		v->invalid++;
	else
		v->packets++;
}

/* Behind a packet whose turn has come, of a list whose buffers move: there, what is left of the run begins. */
static uint32_t next_to_move(const struct switch_tx *tx, uint32_t place)
{
	if (tx->run[place] > 1)
		tx->run[place + 1] = (uint16_t)(tx->run[place] - 1);
	return tx->next[place];
}

/* Packets for all, up to the first that is for this port alone.  Returns its place. */
static __attribute__((__noinline__)) uint32_t put_floods(struct visit *v, uint32_t place, uint32_t until)
{
	const struct switch_tx *tx = v->r->tx;
	uint64_t bytes = v->bytes;
	uint32_t packets = v->packets;

	while (place < until) {
		if (!v->waits)
			place = v->floods == COPY_FLOODS ? copy_singles(v, place, until) : move_singles(v, place, until);
		if (place < until) {
			put_packet(v, place, true);
			place = v->floods == COPY_FLOODS ? tx->next[place] : next_to_move(tx, place);
		}
	}
	v->packets = packets; /* they are counted once, not once a port */
	v->bytes = bytes;
	return place;
}

/* ---- the visit */

/* Both lists in the order in which the packets were sent. */
static void put_all(struct visit *v)
{
	const struct switch_tx *tx = v->r->tx;
	uint32_t own = tx->to[v->port].first, all = v->floods ? tx->to[EVERYWHERE].first : NO_PLACE;

	while (own != NO_PLACE || all != NO_PLACE) {
		if (own < all) {
			if (!v->waits)
				own = move_singles(v, own, all);
			if (own < all) {
				put_packet(v, own, false);
				own = next_to_move(tx, own);
			}
		} else
			all = put_floods(v, all, own);
	}
}

static void poison_sent(const struct visit *v, uint32_t first)
{
	const struct nmx__qend *e = &v->r->end;

	for (uint32_t i = first; nmx__poisoning() && i < v->ordered; i++)
		nmx__poison(e->bufs + (size_t)e->ring->slot[v->r->tx->order[i]].buf_idx * e->buf_stride, e->buf_stride);
}

static void wake_receiver(struct visit *v)
{
	struct switch_tx *tx = v->r->tx;
	struct nmx__way *way = v->way;
	uint32_t i = v->port % NMX__SWITCH_BELLS;

	if (__builtin_expect(atomic_load(&way->queue->rx_sleep) % 2 == 0, 1))
		return;
	if (tx->bell_word[i] != way->word || tx->bell[i].queue != way->lane_number) {
		nmx__bell_close(&tx->bell[i]);
		nmx__bell_init(&tx->bell[i], switch_of(v->r)->seg, way->record, way->lane_number, 'r');
		tx->bell_word[i] = way->word;
	}
	if (nmx__wake(&way->queue->rx_sleep, &tx->bell[i]))
		NMX__COUNT(v->r->end.own, wakeups, 1);
}

/* Publishes what was put, lets the next sender in, and gives the slots what they got for it. */
static void commit(struct visit *v, uint32_t first)
{
	struct nmx__qend *e = &v->r->end;
	struct netmap_slot *slots = e->ring->slot;
	const uint64_t *pending = e->pending;
	const uint16_t *order = v->r->tx->order;
	uint32_t moved = v->ordered - first;

	poison_sent(v, first);
	if (moved) {
		nmx__order_for_death();
		atomic_store_explicit(&e->own->target, nmx__target_make(v->way->record, v->way->lane_number, v->hold), memory_order_relaxed);
		nmx__order_for_death();
		atomic_store_explicit(&e->own->txn, nmx__txn_make(v->tail, first, moved), memory_order_relaxed);
		nmx__order_for_death();
	}
	atomic_store(&v->way->queue->tail, v->tail); /* the commit; pairs with look_at_peer() of the receiver */
	wake_receiver(v);
	nmx__way_unlock(v->way);
	nmx__order_for_death();
	for (uint32_t i = first, end = v->ordered; i < end; i++)
		nmx__slot_set_word(&slots[order[i]], pending[order[i]]);
	nmx__order_for_death();
	if (moved)
		atomic_store_explicit(&e->own->txn, 0, memory_order_relaxed);
	v->r->tx->ordered = v->ordered;
}

/* With the lock: what room there is at least.  False: the queue holds nonsense.  The head that was seen by who had the lock
 * before does, for it only moves on.  With a new port, whose queue is empty, the word still says what it said of another's:
 * that is behind the tail, and then less room is seen than there is, or too far away to be believed. */
static bool look_at_queue(struct visit *v)
{
	uint32_t used;

	v->tail = atomic_load_explicit(&v->way->queue->tail, memory_order_relaxed);
	used = v->tail - atomic_load_explicit(&v->way->lane->seen_head, memory_order_relaxed);
	v->room = v->way->capacity - used;
	if (unlikely(used > v->way->capacity))
		look_at_head(v);
	return !v->corrupt;
}

/* Their lines come from the receiver, which takes longer than to sort. */
void nmx__switch_expect(const struct switch_ring *r, uint32_t count)
{
	const struct nmx__way *way = &r->tx->way[r->tx->visited];
	struct nmx__queue *q = way->queue;
	uint32_t tail, mask = way->capacity - 1;

	if (!nmx__way_leads(switch_of(r)->sw, way, r->tx->visited)) /* the memory of who has gone may be given back */
		return;
	tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	for (uint32_t i = 0; i < count && i < EXPECTED; i += 64 / sizeof(struct nmx__entry))
		nmx__prefetch_to_write(&q->entry[(tail + i) & mask]);
}

static uint32_t slots_of(const struct switch_list *list) { return list->first == NO_PLACE ? 0 : list->slots; }

/* All that will be written, and that the receiver has. */
static void prefetch(const struct visit *v)
{
	const struct switch_list *lists = v->r->tx->to;
	uint32_t most = slots_of(&lists[v->port]) + (v->floods ? slots_of(&lists[EVERYWHERE]) : 0);

	nmx__prefetch_to_write(&v->way->queue->tail);
	for (uint32_t i = 0; i < most && i < v->room; i += 64 / sizeof(struct nmx__entry))
		nmx__prefetch_to_write(entry_at(v, i));
}

/* Nothing can be brought there: `counter` has one more for each packet; NULL: as where there is no room. */
static void give_up(struct visit *v, uint32_t *counter)
{
	const struct switch_tx *tx = v->r->tx;

	for (uint32_t place = tx->to[v->port].first; place != NO_PLACE; place = tx->next[place])
		if (counter)
			++*counter;
		else
			refuse(v, place, tx->frags[place] & ~(uint32_t)FRAGS_COPY, false);
	for (uint32_t place = v->floods ? tx->to[EVERYWHERE].first : NO_PLACE; place != NO_PLACE; place = tx->next[place])
		if (counter != &v->gone) /* who is gone misses nothing */
			++*(counter ? counter : &v->full);
}

static void count(const struct visit *v)
{
	struct nmx__own_ring *own = v->r->end.own;

	NMX__COUNT(own, tx_packets, v->packets);
	NMX__COUNT(own, tx_bytes, v->bytes);
	if (!unlikely(v->full | v->invalid | v->too_long | v->gone))
		return;
	NMX__COUNT(own, drop_full, v->full);
	NMX__COUNT(own, drop_invalid, v->invalid);
	NMX__COUNT(own, drop_too_long, v->too_long);
	NMX__COUNT(own, drop_no_port, v->gone);
	if (v->full)
		atomic_fetch_add_explicit(&v->way->lane->drop_full, v->full, memory_order_relaxed);
}

void nmx__switch_look_at_owner(struct switch_ring *r, struct nmx__way *way)
{
	struct nmx__segment *seg = switch_of(r)->seg;
	nmx__end_t owner = atomic_load(&seg->records[way->record].end[1]);
	int64_t now = nmx__coarse_ms();

	if (now - way->looked_ms < LOOK_MS)
		return;
	way->looked_ms = now;
	if (!owner || nmx__end_member(owner) >= NMX__MAX_MEMBERS || nmx__member_alive(seg, nmx__end_member(owner)) ||
	    !nmx__seg_trylock(seg))
		return;
	(void)!nmx__recover_dead(seg, NULL);
	nmx__seg_unlock(seg);
}

void nmx__switch_visit(struct switch_ring *r, uint32_t to, enum switch_floods floods)
{
	const struct switch_port *port = switch_of(r);
	struct switch_tx *tx = r->tx;
	struct visit v = { .r = r, .way = &tx->way[to], .port = to, .ordered = tx->ordered, .floods = floods };
	uint32_t before;

	if (!nmx__way_find(port->seg, port->sw, to, r->ring.index, v.way) || v.way->deaf) {
		give_up(&v, &v.gone);
	} else if ((v.hold = nmx__way_lock(port->seg, v.way, &tx->patience)) == 0) {
		give_up(&v, NULL); /* as good as full */
	} else if (!nmx__way_leads(port->sw, v.way, to) || !look_at_queue(&v)) {
		bool there = nmx__way_leads(port->sw, v.way, to);

		nmx__way_unlock(v.way);
		give_up(&v, there ? &v.invalid : &v.gone);
	} else {
		before = v.tail;
		v.entries = v.way->queue->entry;
		v.mask = v.way->capacity - 1;
		prefetch(&v);
		put_all(&v);
		if (v.tail != before)
			commit(&v, tx->ordered);
		else
			nmx__way_unlock(v.way);
	}
	tx->to[to].first = NO_PLACE;
	tx->visited = to;
	count(&v);
	if (unlikely(v.full || v.waits))
		nmx__switch_look_at_owner(r, v.way);
}
