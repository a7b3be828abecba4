/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The sender's sync, first half: reads the headers, learns who is here, and sorts by destination.  Then one visit to each. */
#include "backend/switch.h"
#include "base/clock.h"
#include "base/poison.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

#define FLOOD_BURST_MS 100
#define HEADER_LEN 14 /* two addresses and a type: less is no frame */
/* Flags of a slot that ask for something, in its first 8 bytes. */
#define WORD_ASKS ((uint64_t)(NS_MOREFRAG | NS_NO_LEARN | NS_INDIRECT | NS_PORT_MASK) << 48)
#define WORD_LEN  (0xffffull << 32)

/* ---- where a packet goes */

/* What the packet before had: most come in trains. */
struct memo {
	uint64_t src, dst;
	uint32_t to, now;
	uint32_t lone; /* where what nobody knows goes: the only other port, or EVERYWHERE; 0: not looked yet */
};

/* Once, for anybody may be writing there. */
static inline uint64_t load_once(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	__asm__("" : "+r"(value));
	return value;
}

/* There is another port of that number, and it receives. */
static bool hears(struct switch_ring *r, uint32_t to)
{
	const struct switch_port *port = switch_of(r);
	struct nmx__way *way = &r->tx->way[to];

	return to != port->number && nmx__way_find(port->seg, port->sw, to, r->ring.index, way) && !way->deaf;
}

/* Where there is one other port only, all others are one: what is for it alone need not be copied. */
static uint32_t find_lone(struct switch_ring *r)
{
	const struct switch_port *port = switch_of(r);
	uint32_t most = atomic_load(&port->sw->num_ports), found = EVERYWHERE;

	for (uint32_t to = 1; to <= most && to <= NMX__SWITCH_PORTS; to++) {
		if (!hears(r, to))
			continue;
		if (found != EVERYWHERE)
			return EVERYWHERE;
		found = to;
	}
	return found;
}

/* The table names no port that it could go to (port: 0, our own, or one that has gone): for nobody, for all, or for the only
 * other one. */
static __attribute__((__noinline__)) uint32_t find_none(struct switch_ring *r, struct memo *memo, uint32_t port)
{
	if (port == switch_of(r)->number)
		return NOWHERE;
	if (nmx__mac_is_group(memo->dst))
		return EVERYWHERE;
	if (!memo->lone) /* one other port or many: where floods are limited, this is one of them */
		memo->lone = r->tx->flood_pps ? EVERYWHERE : find_lone(r);
	return memo->lone;
}

static inline uint32_t look_up(struct switch_ring *r, struct memo *memo)
{
	const struct switch_port *port = switch_of(r);
	struct nmx__fdb_seen *seen = &r->tx->found;
	uint32_t to = 0;

	if (nmx__fdb_unchanged(seen, memo->dst, memo->now))
		to = seen->port;
	else if (!nmx__mac_is_group(memo->dst))
		to = nmx__fdb_find(&port->fdb, memo->dst, memo->now, seen);
	if (unlikely(to == port->number || !to || !atomic_load_explicit(&port->sw->port[to], memory_order_relaxed)))
		to = find_none(r, memo, to);
	return to;
}

/* Of a header: learns its source, finds its destination.  *again: it is as the one before. */
static inline uint32_t destination(struct switch_ring *r, const uint8_t *header, bool learn, struct memo *memo, bool *again)
{
	const struct switch_port *port = switch_of(r);
	uint64_t dst = load_once(header) & NMX__MAC_MASK, src = load_once(header + 6) & NMX__MAC_MASK;

	*again = dst == memo->dst && src == memo->src;
	if (src != memo->src && learn) {
		memo->src = src;
		if (!nmx__mac_is_group(src) && !nmx__fdb_unchanged(&r->tx->learnt, src, memo->now))
			nmx__fdb_learn(&port->fdb, src, port->number, memo->now, &r->tx->learnt);
	}
	if (dst != memo->dst) {
		memo->dst = dst;
		memo->to = look_up(r, memo);
	}
	return memo->to;
}

static void drop(struct switch_ring *r, size_t counter) { nmx__count(r->end.own, counter, 1); }

static const uint8_t *data_of(const struct nmx__qend *e, const struct netmap_slot *slot)
{
	return slot->flags & NS_INDIRECT ? (const uint8_t *)(uintptr_t)slot->ptr : e->bufs + (size_t)slot->buf_idx * e->buf_stride;
}

static bool valid_index(const struct nmx__qend *e, uint32_t index)
{
	return index - NMX__FIRST_BUF < e->num_bufs - NMX__FIRST_BUF;
}

static uint32_t len_of(const struct netmap_slot *slot) { return (slot->flags & NS_INDIRECT) && !slot->ptr ? 0 : slot->len; }

/* Slots of the packet at a place, at most `left`: one that lacks its end ends there.  0: a slot has lost its buffer. */
static uint32_t measure(const struct nmx__qend *e, uint32_t place, uint32_t left, bool *unfit, bool *copy)
{
	uint32_t n = 0;
	bool more = true;

	*unfit = *copy = false;
	for (; more && n < left; n++) {
		const struct netmap_slot *slot = &e->ring->slot[switch_slot(e, place + n)];

		if (!valid_index(e, slot->buf_idx))
			return 0;
		more = slot->flags & NS_MOREFRAG;
		*unfit |= len_of(slot) - 1 >= e->max_len;
		*copy |= (slot->flags & NS_INDIRECT) != 0;
	}
	*unfit |= n > e->max_frags;
	return n;
}

/* A packet that asks for something, or is none.  Returns its slots, or 0: a slot has lost its buffer. */
static __attribute__((__noinline__)) uint32_t sort_special(struct switch_ring *r, uint32_t place, uint32_t left, struct memo *memo,
                                                           uint32_t *to)
{
	const struct switch_port *port = switch_of(r);
	const struct netmap_slot *slot = &r->end.ring->slot[switch_slot(&r->end, place)];
	bool unfit, copy, again;
	uint32_t n = measure(&r->end, place, left, &unfit, &copy), forced = slot->flags >> NS_PORT_SHIFT;

	*to = NOWHERE;
	if (n == 0)
		return 0;
	if (len_of(slot) < HEADER_LEN) {
		drop(r, offsetof(struct nmx_stats, drop_too_short));
		return n;
	}
	if (unfit) {
		drop(r, offsetof(struct nmx_stats, drop_too_long));
		return n;
	}
	*to = destination(r, data_of(&r->end, slot), !(slot->flags & NS_NO_LEARN), memo, &again);
	if (forced)
		*to = forced != port->number && forced <= NMX__SWITCH_PORTS && atomic_load(&port->sw->port[forced]) ? forced : NOWHERE;
	if (*to == NOWHERE)
		drop(r, offsetof(struct nmx_stats, drop_no_port));
	r->end.ring->slot[switch_slot(&r->end, place + n - 1)].flags &= (uint16_t)~NS_MOREFRAG; /* if it lacks its end */
	r->tx->frags[place] = (uint8_t)(n | (copy ? FRAGS_COPY : 0));
	return n;
}

/* ---- sorting */

static inline void append(struct switch_tx *tx, uint32_t to, uint32_t place, uint32_t slots, bool plain)
{
	struct switch_list *list = &tx->to[to];

	tx->next[place] = NO_PLACE;
	if (list->first != NO_PLACE) {
		tx->next[list->last] = (uint16_t)place;
		list->slots = (uint16_t)(list->slots + slots);
		if (plain && list->last + 1u == place && list->run != NO_PLACE) {
			tx->run[list->run]++;
			list->last = (uint16_t)place;
			return;
		}
		list->last = (uint16_t)place;
	} else {
		*list = (struct switch_list){ .first = (uint16_t)place, .last = (uint16_t)place, .slots = (uint16_t)slots };
		tx->touched[tx->num_touched++] = (uint8_t)to;
	}
	tx->run[place] = 1;
	list->run = plain ? (uint16_t)place : NO_PLACE;
}

/* A packet of one slot that asks for nothing: with its flags, its length is none of too many bytes. */
static inline bool is_plain(uint64_t word, uint32_t longest, uint32_t usable)
{
	return (uint32_t)((word & (WORD_ASKS | WORD_LEN)) >> 32) - HEADER_LEN <= longest && nmx__word_index(word) - NMX__FIRST_BUF < usable;
}

/* From a slot on, before `end`: plain packets of these two addresses. */
static inline uint32_t length_of_train(const struct nmx__qend *e, uint32_t slot, uint32_t end, uint64_t dst, uint64_t src)
{
	const struct netmap_slot *at = &e->ring->slot[slot], *last = &e->ring->slot[end];
	const uint8_t *bufs = e->bufs;
	uint32_t longest = e->max_len - HEADER_LEN, usable = e->num_bufs - NMX__FIRST_BUF;
	size_t stride = e->buf_stride;

	for (; at < last; at++) {
		uint64_t word = nmx__slot_word(at);
		const uint8_t *header = bufs + nmx__word_index(word) * stride;

		if (!is_plain(word, longest, usable) || (((load_once(header) ^ dst) | (load_once(header + 6) ^ src)) & NMX__MAC_MASK))
			break;
	}
	return (uint32_t)(at - &e->ring->slot[slot]);
}

/* What follows a plain packet, which is the last of its list, at the next places, and is as plain, from the same host to the
 * same: into that list, all at once.  Returns how many. */
static inline uint32_t append_train(struct switch_ring *r, uint32_t place, uint32_t count, const struct memo *memo)
{
	const struct nmx__qend *e = &r->end;
	struct switch_list *list = &r->tx->to[memo->to];
	uint16_t *next = r->tx->next + place;
	uint32_t slot = switch_slot(e, place + 1), left = count - place - 1, ahead = e->num_slots - slot, n;

	n = length_of_train(e, slot, slot + (left < ahead ? left : ahead), memo->dst, memo->src);
	memset(r->tx->frags + place + 1, 1, n);
	for (uint32_t i = 0; i < n; i++)
		next[i] = (uint16_t)(place + i + 1);
	next[n] = NO_PLACE;
	r->tx->run[list->run] = (uint16_t)(r->tx->run[list->run] + n);
	list->last = (uint16_t)(place + n);
	list->slots = (uint16_t)(list->slots + n);
	return n;
}

/* 0 or NMX_ERR_RESET. */
static int sort(struct switch_ring *r, uint32_t count)
{
	const struct switch_port *port = switch_of(r);
	const struct nmx__qend *e = &r->end;
	const struct netmap_slot *slots = e->ring->slot;
	struct switch_tx *tx = r->tx;
	struct memo memo = { .src = UINT64_MAX, .dst = UINT64_MAX, .now = (uint32_t)(nmx__coarse_ms() / 1000) };
	uint32_t longest = e->max_len - HEADER_LEN, usable = e->num_bufs - NMX__FIRST_BUF;
	bool some_done = tx->num_held > 0;

	nmx__fdb_tick(&port->fdb, memo.now);
	for (uint32_t place = 0, n; place < count; place += n) {
		uint32_t slot = switch_slot(e, place), to = NOWHERE;
		uint64_t word = nmx__slot_word(&slots[slot]);
		bool plain = is_plain(word, longest, usable), again = false;

		n = 1;
		if (unlikely(some_done) && tx->done[slot])
			continue;
		if (__builtin_expect(plain, 1)) {
			tx->frags[place] = 1;
			to = destination(r, e->bufs + (size_t)nmx__word_index(word) * e->buf_stride, true, &memo, &again);
			if (unlikely(to == NOWHERE))
				drop(r, offsetof(struct nmx_stats, drop_no_port));
		} else if ((n = sort_special(r, place, count - place, &memo, &to)) == 0)
			return NMX_ERR_RESET;
		if (to == NOWHERE)
			continue;
		append(tx, to, place, n, plain);
		if (again && !some_done)
			n += append_train(r, place, count, &memo);
	}
	return 0;
}

static void forget_lists(struct switch_tx *tx)
{
	for (uint32_t i = 0; i < tx->num_touched; i++)
		tx->to[tx->touched[i]].first = NO_PLACE;
	tx->num_touched = 0;
}

/* ---- what waits */

static void clear_held(struct switch_tx *tx, uint32_t count)
{
	if (tx->num_held) {
		memset(tx->held_for, 0, sizeof(tx->held_for));
		tx->num_held = 0;
	}
	memset(tx->held, 0, count * sizeof(*tx->held));
	tx->first_held = count;
}

/* What was before the first that waits is through; behind it, all that does not wait is done. */
static void note_done(struct switch_ring *r, uint32_t count)
{
	struct switch_tx *tx = r->tx;

	for (uint32_t place = 0; place < count; place++)
		tx->done[switch_slot(&r->end, place)] = place >= tx->first_held && !tx->held[place];
}

/* ---- sync */

/* What is for everybody is counted once, wherever its copies go, and looked at once, not for each copy. */
static void look_at_floods(struct switch_ring *r)
{
	const struct nmx__qend *e = &r->end;
	struct switch_tx *tx = r->tx;
	uint64_t packets = 0, bytes = 0;

	for (uint32_t place = tx->to[EVERYWHERE].first; place != NO_PLACE; place = tx->next[place], packets++) {
		uint64_t word = nmx__slot_word(&e->ring->slot[switch_slot(e, place)]);
		bool one = tx->frags[place] == 1 && valid_index(e, nmx__word_index(word)) && nmx__word_len(word) <= e->max_len;

		tx->flood[place] = one ? word & NMX__WORD_KEEP & ~NMX__WORD_MORE : 0;
		bytes += nmx__word_len(word);
		for (uint32_t i = 1; i < (tx->frags[place] & ~(uint32_t)FRAGS_COPY); i++)
			bytes += e->ring->slot[switch_slot(e, place + i)].len;
	}
	NMX__COUNT(e->own, tx_packets, packets);
	NMX__COUNT(e->own, tx_bytes, bytes);
}

/* Packets that may go to everybody now: so many a second, and after a pause a tenth of a second's at once. */
static uint64_t floods_allowed(struct switch_tx *tx)
{
	uint64_t most = tx->flood_pps * (FLOOD_BURST_MS + 0ull) + 1000;
	int64_t now = nmx__now_ms(), past = tx->flood_ms ? now - tx->flood_ms : FLOOD_BURST_MS;

	tx->flood_ms = now;
	tx->flood_allowed += (uint64_t)(past < FLOOD_BURST_MS ? past : FLOOD_BURST_MS) * tx->flood_pps;
	if (tx->flood_allowed > most)
		tx->flood_allowed = most;
	return tx->flood_allowed / 1000;
}

/* Leaves of the floods as many as are allowed. */
static void limit_floods(struct switch_ring *r)
{
	struct switch_tx *tx = r->tx;
	struct switch_list *list = &tx->to[EVERYWHERE];
	uint64_t allowed = floods_allowed(tx), passed = 0, dropped = 0;

	for (uint32_t place = list->first; place != NO_PLACE; place = tx->next[place])
		if (passed < allowed) {
			passed++;
			tx->run[place] = 1; /* any may be the last now */
			list->last = (uint16_t)place;
		} else
			dropped++;
	tx->flood_allowed -= 1000 * passed;
	if (passed)
		tx->next[list->last] = NO_PLACE;
	else
		list->first = NO_PLACE;
	NMX__COUNT(r->end.own, drop_flood, dropped);
}

/* Copies for all ports but the last, which gets the buffers. */
static void flood(struct switch_ring *r)
{
	uint32_t most = atomic_load(&switch_of(r)->sw->num_ports), last = NOWHERE;

	if (r->tx->flood_pps)
		limit_floods(r);
	if (r->tx->to[EVERYWHERE].first == NO_PLACE)
		return;
	look_at_floods(r);
	for (uint32_t to = 1; to <= most && to <= NMX__SWITCH_PORTS; to++)
		if (hears(r, to)) {
			if (last != NOWHERE)
				nmx__switch_visit(r, last, COPY_FLOODS);
			last = to;
		}
	if (last != NOWHERE)
		nmx__switch_visit(r, last, MOVE_FLOODS);
}

static int forward(struct switch_ring *r, uint32_t count)
{
	struct switch_tx *tx = r->tx;
	bool blocking = switch_of(r)->blocking, some_done = tx->num_held > 0;
	int err;

	nmx__switch_expect(r, count);
	err = sort(r, count);
	if (err == 0) {
		tx->ordered = 0;
		tx->patience = NMX__PATIENCE;
		if (blocking)
			clear_held(tx, count);
		if (unlikely(tx->to[EVERYWHERE].first != NO_PLACE))
			flood(r); /* with what is for one port alone in its place among it */
		for (uint32_t i = 0; i < tx->num_touched; i++)
			if (tx->touched[i] != EVERYWHERE && tx->to[tx->touched[i]].first != NO_PLACE)
				nmx__switch_visit(r, tx->touched[i], NO_FLOODS);
		if (blocking && (some_done || tx->num_held))
			note_done(r, count);
	}
	forget_lists(tx);
	return err;
}

/* What the last sync took is ours: what waits of it goes on waiting. */
static __attribute__((__cold__)) int reset(struct switch_ring *r)
{
	int err = nmx__qend_reset(&r->end);

	r->end.ring->head = r->end.ring->cur = r->tx->head;
	nmx__qend_poison(&r->end, r->end.hwcur, r->tx->head, true);
	return err;
}

int nmx__switch_send(struct switch_ring *r, uint32_t head)
{
	struct nmx__qend *e = &r->end;
	uint32_t n = e->num_slots, count = nmx__distance(e->hwcur, head, n), tail;
	bool exchanges = false;

	if (unlikely(!nmx__qend_cursors_valid(e, head, e->ring->cur) || count < nmx__distance(e->hwcur, r->tx->head, n)))
		return reset(r);
	if (r->tx->num_held)
		nmx__qend_poison(e, e->hwcur, head, false); /* what waits was handed over, and is read again */
	if (count) {
		exchanges = e->ring->slot[head ? head - 1 : n - 1].flags & NS_BUF_CHANGED;
		if (unlikely(forward(r, count) < 0))
			return reset(r);
	}
	r->tx->head = head;
	e->hwcur = r->tx->num_held ? switch_slot(e, r->tx->first_held) : head;
	tail = e->hwcur ? e->hwcur - 1 : n - 1;
	nmx__qend_poison(e, tail, head, true);
	nmx__qend_poison(e, head, tail, false);
	e->ring->tail = e->tail = tail;
	if (!exchanges) /* what is in the slots now, it would not touch */
		nmx__prefetch_slots(e, head, count);
	return 0;
}
