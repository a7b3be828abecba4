/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings of a switch port: sync, and waiting.  A receiver waits for packets, in its own queue.  A sender that does not drop
 * waits for room in the queues of others, and says so in a map of each; whoever makes room looks there. */
#include <time.h>

#include "backend/switch.h"
#include "base/clock.h"

#define ARM_TRIES 16
#define LOOK_MS   50 /* how long a user that never sleeps may not notice that the segment was removed, and one that waits for
                      * ports of several processes, that another than the first was killed */
#define STUCK_NS  1000000 /* who has a queue's lock does not ring when it lets go: one looks again that often */

/* ---- sync */

/* Somebody removed the segment's file, and nobody else is in the switch: whoever opens that name will be elsewhere. */
static void look_for_segment(struct switch_ring *r)
{
	const struct switch_port *port = switch_of(r);
	uint32_t others = 0;

	r->looked_ms = nmx__coarse_ms();
	for (uint32_t i = 1; i <= NMX__SWITCH_PORTS; i++)
		others += i != port->number && atomic_load_explicit(&port->sw->port[i], memory_order_relaxed);
	r->stranded = others == 0 && !nmx__seg_is_linked(port->seg);
}

static int sync_rx(struct switch_ring *r)
{
	struct nmx__qend *e = &r->end;
	uint32_t before = e->index, waiting;
	int err = nmx__queue_receive(e);

	/* Room first, then the map: pairs with wait_for_room(). */
	if (e->index != before)
		for (uint32_t i = 0; i < 4; i++)
			if (__builtin_expect(atomic_load(&r->lane->waiters[i]) != 0, 0))
				nmx__lane_wake_waiters(switch_of(r)->seg, switch_of(r)->sw, r->lane);
	waiting = nmx__distance(e->ring->cur, e->tail, e->num_slots);
	if (err < 0 || waiting)
		return err < 0 ? err : (int)waiting;
	if (nmx__coarse_ms() - r->looked_ms >= LOOK_MS)
		look_for_segment(r);
	return r->stranded ? NMX_ERR_GONE : 0;
}

int nmx__switch_sync(struct nmx__ring *ring)
{
	struct switch_ring *r = switch_ring(ring);
	int err;

	if (!ring->is_tx)
		return sync_rx(r);
	err = nmx__switch_send(r, r->end.ring->head);
	if (err < 0)
		return err;
	NMX__COUNT(r->end.own, tx_syncs, 1);
	return (int)nmx__qend_space(&r->end);
}

/* ---- a sender's wait for room */

static inline bool is_held_for(const struct switch_tx *tx, uint32_t port) { return tx->held_for[port] > 0; }

/* Whether a sync would bring on what waits for this port; *stuck: if it were not for who has the lock. */
static bool could_go_on(const struct switch_ring *r, uint32_t to, uint32_t want, bool *stuck)
{
	const struct switch_port *port = switch_of(r);
	const struct switch_tx *tx = r->tx;
	const struct nmx__way *way = &tx->way[to];
	uint32_t used, room, least = tx->held_for[to];

	if (!nmx__way_leads(port->sw, way, to))
		return true; /* it has gone, or another has come: another way for what waits */
	used = atomic_load(&way->queue->tail) - atomic_load(&way->queue->head);
	room = used <= way->capacity ? way->capacity - used : way->capacity;
	/* As much as is wanted, but half a queue is worth a turn; and a packet of several slots needs so many at once. */
	least = least < want ? least : want;
	least = least < way->capacity / 2 ? least : way->capacity / 2;
	if (room < (least > tx->first_frags[to] ? least : tx->first_frags[to]))
		return false;
	if (!way->stuck || atomic_load(&way->lane->lock) != way->stuck)
		return true;
	*stuck = true;
	return false;
}

/* The map says it to whoever makes room; pairs with sync_rx(): one of the two sees the other. */
static void say_that_we_wait(const struct switch_ring *r)
{
	const struct switch_port *port = switch_of(r);
	const struct switch_tx *tx = r->tx;

	for (uint32_t to = 1; to <= NMX__SWITCH_PORTS; to++)
		if (is_held_for(tx, to) && nmx__way_leads(port->sw, &tx->way[to], to))
			atomic_fetch_or(&tx->way[to].lane->waiters[port->number / 64], 1ull << port->number % 64);
}

/* Announces the sleep: the word first, then the maps, then a look.  True: somebody has room already. */
static bool announce(struct switch_ring *r, uint32_t want, bool *stuck)
{
	bool news = false;

	nmx__bell_drain(&r->end.bell);
	nmx__sleep_begin(&r->lane->tx_sleep);
	say_that_we_wait(r);
	for (uint32_t to = 1; to <= NMX__SWITCH_PORTS && !news; to++)
		news = is_held_for(r->tx, to) && could_go_on(r, to, want, stuck);
	return news;
}

static void forget_watch(struct switch_ring *r)
{
	if (r->tx->watch < 0)
		return;
	nmx__process_unwatch(r->tx->watch);
	r->tx->watch = -1;
	r->ring.fds_changed = true;
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* A descriptor that tells of the member's death.  A hint: the number of a process may be somebody else's by now, and then
 * it tells at once, or never.  What it does not tell, a look does. */
static void watch(struct switch_ring *r, struct nmx__way *way, uint32_t member)
{
	struct switch_tx *tx = r->tx;

	if (tx->watch < 0 || tx->watched != member) {
		forget_watch(r);
		tx->watch = nmx__process_watch(atomic_load(&switch_of(r)->seg->members[member].pid));
		tx->watched = member;
		r->ring.fds_changed = true;
		way->looked_ms = 0; /* it may have died before there was something to watch: look now */
	} else if (is_readable(tx->watch))
		way->looked_ms = 0;
	nmx__switch_look_at_owner(r, way);
	if (is_readable(tx->watch))
		forget_watch(r);
}

/* Has the owner of a port that is waited for died?  And who will tell when it does: a descriptor for the first process,
 * which mostly is the only one, and time for the others. */
static void look_at_owners(struct switch_ring *r)
{
	const struct nmx__segment *seg = switch_of(r)->seg;
	uint32_t first = NMX__MAX_MEMBERS;

	r->ring.look_again_ms = 0;
	for (uint32_t to = 1; to <= NMX__SWITCH_PORTS; to++) {
		struct nmx__way *way = &r->tx->way[to];
		nmx__end_t owner = is_held_for(r->tx, to) ? atomic_load(&seg->records[way->record].end[1]) : 0;
		uint32_t member = nmx__end_member(owner);

		if (!owner || member >= NMX__MAX_MEMBERS || member == seg->member)
			continue;
		if (first == NMX__MAX_MEMBERS)
			watch(r, way, first = member);
		else
			nmx__switch_look_at_owner(r, way);
		if (member != first || r->tx->watch < 0)
			r->ring.look_again_ms = LOOK_MS;
	}
}

/* 1: there are so many free slots, or the next sync says why not; 0: announced. */
static int wait_for_room(struct switch_ring *r, uint32_t slots)
{
	const struct nmx__qend *e = &r->end;
	uint32_t begun = nmx__distance(e->ring->head, e->ring->cur, e->num_slots), most;

	if (begun >= e->num_slots || r->tx->num_held == 0)
		return 1; /* nonsense, which the sync says; or all is free */
	most = e->num_slots - 1 - begun;
	slots = slots < most ? slots : most;
	for (int tries = 0; tries < ARM_TRIES && r->tx->num_held && nmx__qend_space(&r->end) < slots; tries++) {
		bool stuck = false;

		look_at_owners(r);
		if (!announce(r, slots, &stuck)) {
			if (!stuck)
				return 0;
			nmx__sleep_end(&r->lane->tx_sleep);
			nanosleep(&(struct timespec){ .tv_nsec = STUCK_NS }, NULL);
			return 1;
		}
		nmx__sleep_end(&r->lane->tx_sleep);
		if (nmx__switch_send(r, r->tx->head) < 0)
			return 1;
	}
	return 1;
}

/* ---- waiting */

int nmx__switch_arm(struct nmx__ring *ring, uint32_t slots)
{
	struct switch_ring *r = switch_ring(ring);
	int news;

	if (nmx__bell_reader(&r->end.bell) < 0)
		return NMX_ERR_NO_MEMORY;
	look_for_segment(r);
	if (ring->is_tx)
		news = wait_for_room(r, slots);
	else if (r->stranded || nmx__queue_has_packets(&r->end))
		return 1;
	else {
		nmx__bell_drain(&r->end.bell);
		nmx__sleep_begin(&r->end.queue->rx_sleep);
		news = nmx__queue_has_packets(&r->end);
		if (news)
			nmx__sleep_end(&r->end.queue->rx_sleep);
	}
	if (news == 0)
		NMX__COUNT(r->end.own, sleeps, 1);
	return news;
}

void nmx__switch_disarm(struct nmx__ring *ring)
{
	struct switch_ring *r = switch_ring(ring);

	nmx__sleep_end(ring->is_tx ? &r->lane->tx_sleep : &r->end.queue->rx_sleep);
}

int nmx__switch_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	struct switch_ring *r = switch_ring(ring);
	int n = 0, bell = nmx__bell_reader(&r->end.bell);

	if (bell < 0)
		return NMX_ERR_NO_MEMORY;
	fds[n++] = (struct pollfd){ .fd = bell, .events = POLLIN };
	if (r->tx && r->tx->watch >= 0)
		fds[n++] = (struct pollfd){ .fd = r->tx->watch, .events = POLLIN };
	return n;
}

void nmx__switch_release(struct nmx__ring *ring)
{
	struct switch_ring *r = switch_ring(ring);

	if (ring->is_tx)
		forget_watch(r);
	else
		nmx__queue_released(&r->end);
}
