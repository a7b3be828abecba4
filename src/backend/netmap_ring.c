/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rings of the netmap device: sync, and waiting.
 *
 * The ring is the kernel's.  It may move tail at any time that somebody polls the descriptor, for it syncs inside of that;
 * head and cur it only moves to put them right, which is all that tells of a reset.  What it wrote into slots is checked
 * between `tail`, as of our last sync, and the ring's.
 */
#include <errno.h>

#include "backend/netmap.h"

#define LOOKS   64 /* at a ring of which all that came was dropped */
#define LOOK_MS 1  /* how long a sleep is of which no descriptor tells the end */

/* ---- slots */

static void poison_slots(const struct nm_ring *r, uint32_t from, uint32_t to, bool poison)
{
	if (!nmx__poisoning() || (poison && atomic_load_explicit(&nm_of(&r->ring)->shows_early, memory_order_relaxed)))
		return;
	for (; from != to; from = nmx__next(from, r->num_slots)) {
		uint32_t index = r->nring->slot[from].buf_idx;

		if (nm_valid_index(r, index))
			(poison ? nmx__poison : nmx__unpoison)(r->bufs + (size_t)index * r->buf_size, r->max_len);
	}
}

/* Within the region: what comes back on a pipe is what the other end has put there. */
static bool indices_valid(const struct nm_ring *r, uint32_t from, uint32_t to)
{
	for (; from != to; from = nmx__next(from, r->num_slots))
		if (!nm_valid_index(r, r->nring->slot[from].buf_idx))
			return false;
	return true;
}

int nmx__nm_ring_start(struct nm_ring *r)
{
	uint32_t head = r->nring->head, tail = r->nring->tail;

	if (head >= r->num_slots || tail >= r->num_slots || (r->ring.is_tx && !indices_valid(r, head, tail)))
		return NMX_ERR_CORRUPT;
	r->given = r->nring->cur = head;
	r->tail = r->ring.is_tx ? tail : head; /* what waits there has not been checked */
	r->skipping = false;
	r->told = 0;
	poison_slots(r, head, r->tail, false);
	return 0;
}

/* ---- sync */

/* The kernel has put the cursors right, and 0 for indices that were none. */
static int reset(struct nm_ring *r)
{
	nm_count(&r->stats.resets, 1);
	return nmx__nm_ring_start(r) < 0 ? NMX_ERR_CORRUPT : NMX_ERR_RESET;
}

/* Slots beyond `tail` that the user has got nevertheless: the kernel moved the ring's in a poll.  False: they are none. */
static bool catch_up(struct nm_ring *r, uint32_t used)
{
	uint32_t n = r->num_slots;

	if (nmx__distance(r->given, used, n) <= nmx__distance(r->given, r->tail, n))
		return true;
	if (!indices_valid(r, r->tail, used))
		return false;
	r->tail = used;
	return true;
}

/* 0 and the ring's tail, or an error.  The call itself says nothing of a ring that it reset: that shows in the cursors. */
static int enter(struct nm_ring *r, uint32_t head, uint32_t cur, uint32_t *tail)
{
	struct netmap_ring *ring = r->nring;
	uint32_t n = r->num_slots;

	nm_count(r->ring.is_tx ? &r->stats.tx_syncs : &r->stats.rx_syncs, 1);
	while (nmx__nm_sys->ioctl(r->fd, r->ring.is_tx ? NMX__NM_TXSYNC : NMX__NM_RXSYNC, NULL) < 0)
		if (errno != EINTR)
			return nmx__nm_sync_error(errno);
	if (__builtin_expect(ring->head != head || ring->cur != cur, 0))
		return reset(r);
	*tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE); /* slots up to it were written before, maybe in another thread's poll */
	if (__builtin_expect(head >= n || cur >= n || *tail >= n || !catch_up(r, r->ring.is_tx ? cur : head), 0))
		return NMX_ERR_CORRUPT;
	if (nmx__distance(r->given, head, n) > nmx__distance(r->given, r->tail, n)) /* back among slots that nobody has checked */
		return NMX_ERR_CORRUPT;
	return nmx__distance(head, *tail, n) >= nmx__distance(head, r->tail, n) ? 0 : NMX_ERR_CORRUPT; /* it only moves on */
}

/* Before the kernel gets it: netmap looks at neither on a pipe, and what we pass on is what the other end's program reads.
 * False: an index or a length is nonsense. */
static bool check_sent(struct nm_ring *r, uint32_t head, uint64_t *packets, uint64_t *bytes)
{
	for (uint32_t i = r->given; i != head; i = nmx__next(i, r->num_slots)) {
		struct netmap_slot *slot = &r->nring->slot[i];

		if (!nm_valid_index(r, slot->buf_idx) || (uint32_t)slot->len - 1 >= r->max_len)
			return false;
		if (r->offset_mask)
			slot->ptr = (slot->ptr & ~r->offset_mask) | r->offset;
		*packets += !(slot->flags & NS_MOREFRAG);
		*bytes += slot->len;
	}
	return true;
}

static int send_slots(struct nm_ring *r)
{
	struct netmap_ring *ring = r->nring;
	uint32_t head = ring->head, cur = ring->cur, tail;
	bool inside = head < r->num_slots && cur < r->num_slots; /* else the kernel puts it right */
	uint64_t packets = 0, bytes = 0;
	int err;

	if (inside && !check_sent(r, head, &packets, &bytes)) {
		ring->head = ring->cur = r->given;
		nm_count(&r->stats.resets, 1);
		return NMX_ERR_RESET;
	}
	if (inside)
		poison_slots(r, r->given, head, true);
	err = enter(r, head, cur, &tail);
	if (err < 0) {
		if (inside && err != NMX_ERR_RESET)
			poison_slots(r, r->given, head, false); /* they are the user's still */
		return err;
	}
	nm_count(&r->stats.tx_packets, packets);
	nm_count(&r->stats.tx_bytes, bytes);
	r->given = head;
	if (!indices_valid(r, r->tail, tail))
		return NMX_ERR_CORRUPT;
	poison_slots(r, r->tail, tail, false);
	r->tail = tail;
	return (int)nmx__distance(cur, tail, r->num_slots);
}

/* ---- what came */

struct sifted {
	uint64_t packets, bytes, too_long, too_short, invalid;
};

/* Its data lies elsewhere in the buffer than ours. */
static bool move_data(struct nm_ring *r, struct netmap_slot *slot)
{
	uint64_t at = slot->ptr & r->offset_mask;
	uint8_t *buf = r->bufs - r->offset + (size_t)slot->buf_idx * r->buf_size;

	if (at == r->offset)
		return true;
	if (at > r->buf_size || slot->len > r->buf_size - at)
		return false;
	nmx__unpoison(buf, r->buf_size); /* and stays so: it is about to be shown */
	memmove(buf + r->offset, buf + at, slot->len);
	slot->ptr = (slot->ptr & ~r->offset_mask) | r->offset;
	return true;
}

/* Slots of the packet that begins at i, up to `end`; 0 in *why_not if it is to be shown, else what counts it. */
static uint32_t look_at_packet(struct nm_ring *r, uint32_t i, uint32_t end, struct sifted *s, uint64_t **why_not)
{
	uint32_t slots = 0, bytes = 0;
	bool more = true;

	*why_not = r->skipping ? &s->too_long : NULL;
	for (; more && i != end; i = nmx__next(i, r->num_slots), slots++) {
		struct netmap_slot *slot = &r->nring->slot[i];

		more = slot->flags & NS_MOREFRAG;
		bytes += slot->len;
		if (slot->len == 0)
			*why_not = &s->too_short;
		else if (slot->len > r->max_len || (r->offset_mask && !move_data(r, slot)))
			*why_not = &s->invalid;
		if (!*why_not && (more || slots > 0) && !r->chains)
			*why_not = &s->too_long;
	}
	if (*why_not)
		**why_not += !r->skipping; /* once a packet */
	else {
		s->packets += !more;
		s->bytes += bytes;
	}
	r->skipping = *why_not && more;
	return slots;
}

static void swap_slots(struct netmap_slot *a, struct netmap_slot *b)
{
	struct netmap_slot c = *a;

	*a = *b;
	*b = c;
	a->flags |= NS_BUF_CHANGED;
	b->flags |= NS_BUF_CHANGED;
}

/* What is not to be shown (its len is 0 now) goes before what is, where cur steps over it. */
static void step_over_dropped(struct nm_ring *r, uint32_t end)
{
	struct netmap_ring *ring = r->nring;
	uint32_t n = r->num_slots, to = end, count = nmx__distance(ring->cur, end, n), from = end;

	for (; count > 0; count--) {
		from = (from ? from : n) - 1;
		if (ring->slot[from].len == 0)
			continue;
		to = (to ? to : n) - 1;
		if (to != from)
			swap_slots(&ring->slot[to], &ring->slot[from]);
	}
	ring->cur = to;
}

static void drop_slots(struct nm_ring *r, uint32_t from, uint32_t count)
{
	for (; count > 0; count--, from = nmx__next(from, r->num_slots))
		r->nring->slot[from].len = 0;
}

/* Checks [r->tail, end), and takes out what cannot be shown.  How many slots that were, or NMX_ERR_CORRUPT. */
static int sift(struct nm_ring *r, uint32_t end)
{
	uint32_t n = r->num_slots, dropped = 0, slots;
	struct sifted s = { 0 };
	uint64_t *why_not;

	if (!indices_valid(r, r->tail, end))
		return NMX_ERR_CORRUPT;
	for (uint32_t i = r->tail; i != end; i = (i + slots) % n) {
		slots = look_at_packet(r, i, end, &s, &why_not);
		if (why_not) {
			drop_slots(r, i, slots);
			dropped += slots;
		}
	}
	if (dropped) {
		step_over_dropped(r, end);
		nm_count(&r->stats.drop_too_long, s.too_long);
		nm_count(&r->stats.drop_too_short, s.too_short);
		nm_count(&r->stats.drop_invalid, s.invalid);
	}
	nm_count(&r->stats.rx_packets, s.packets);
	nm_count(&r->stats.rx_bytes, s.bytes);
	r->tail = end;
	poison_slots(r, r->nring->cur, end, false);
	return (int)dropped;
}

/* to_give_back: what is between head and cur is nobody's frame. */
static int receive_slots(struct nm_ring *r, bool to_give_back)
{
	struct netmap_ring *ring = r->nring;
	uint32_t end = r->tail;

	for (int look = 0; look < LOOKS; look++) {
		uint32_t head = ring->head, cur = ring->cur;
		int n;

		if (head < r->num_slots)
			poison_slots(r, r->given, head, true);
		n = enter(r, head, cur, &end);
		if (n < 0)
			return n;
		r->given = head;
		n = sift(r, end);
		if (n < 0)
			return n;
		if (n == 0 || ring->cur != end || !to_give_back)
			break;
		ring->head = ring->cur; /* all that came was dropped: there may be more */
	}
	return (int)nmx__distance(ring->cur, end, r->num_slots);
}

/* What is said once by the sync that follows an arm, and what is said from then on. */
static int remember(struct nm_ring *r, int result)
{
	r->told = result == NMX_ERR_RESET || result == NMX_ERR_CORRUPT ? result : 0; /* others say so again */
	return result;
}

int nmx__nm_sync(struct nmx__ring *ring)
{
	struct nm_ring *r = nm_ring(ring);
	int n = r->told;

	if (__builtin_expect(n == 0, 1))
		n = ring->is_tx ? send_slots(r) : receive_slots(r, true);
	r->told = n == NMX_ERR_CORRUPT ? n : 0;
	return n;
}

/* ---- waiting */

/* A descriptor that has other rings too is ready for those, and would not let anybody sleep. */
static bool shares_descriptor(const struct nm_ring *r) { return nm_of(&r->ring)->single && r->ring.port->num_rings[r->ring.is_tx] > 1; }

/* A poll shows what came, so it must have been checked, and the sleep begins and ends here. */
static bool has_packets(struct nm_ring *r)
{
	struct netmap_ring *ring = r->nring;
	int n;

	if (ring->cur != r->tail)
		return true;
	n = remember(r, receive_slots(r, ring->head == ring->cur));
	return n != 0;
}

/* Of what the user holds and has not handed over, nothing comes back. */
static bool has_room(struct nm_ring *r, uint32_t slots)
{
	uint32_t n = r->num_slots, most = n - 1 - nmx__distance(r->nring->head, r->nring->cur, n);
	int room = remember(r, send_slots(r));

	return room < 0 || (uint32_t)room >= (slots < most ? slots : most);
}

/* A descriptor that is polled in somebody else's loop brings what came before we know of it: nothing stays poisoned. */
static void show_early(struct nm_port *nm)
{
	if (!atomic_exchange_explicit(&nm->shows_early, true, memory_order_relaxed))
		nmx__unpoison(nm->region.start, nm->region.bytes);
}

int nmx__nm_arm(struct nmx__ring *ring, uint32_t slots)
{
	struct nm_ring *r = nm_ring(ring);

	if (ring->fd_wanted && nmx__poisoning())
		show_early(nm_of(ring));
	if (r->told || (ring->is_tx ? has_room(r, slots) : has_packets(r)))
		return 1;
	nm_count(&r->stats.sleeps, 1);
	/* The kernel tells of the first free slot, and of no more; and of an interface's only to who handed something over when
	 * it was at the last. */
	ring->look_again_ms = shares_descriptor(r) || (ring->is_tx && (r->nring->cur != r->tail || r->nring->cur != r->nring->head)) ? LOOK_MS : 0;
	return 0;
}

void nmx__nm_disarm(struct nmx__ring *ring) { (void)ring; }

int nmx__nm_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	const struct nm_ring *r = nm_ring(ring);

	if (ring->look_again_ms || shares_descriptor(r))
		return 0;
	fds[0] = (struct pollfd){ .fd = r->fd, .events = ring->is_tx ? POLLOUT : POLLIN };
	return 1;
}
