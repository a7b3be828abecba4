/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The lock of a queue with many senders, and what its word says about the dead. */
#include <sched.h>

#include "base/clock.h"
#include "shm/switch.h"

#define YIELDS  32 /* the last tries: the holder may wait for a processor, perhaps ours */
#define LOOK_MS 50 /* at the life of a holder who does not let go */

/* ---- the way to a queue */

bool nmx__way_find(const struct nmx__segment *seg, const struct nmx__switch *sw, uint32_t port, uint32_t hint, struct nmx__way *way)
{
	uint64_t word = atomic_load_explicit(&sw->port[port], memory_order_acquire);
	struct nmx__record_geometry g;
	struct nmx__record *record;

	if (__builtin_expect(word && word == way->word, 1))
		return true;
	*way = (struct nmx__way){ .word = 0 };
	if (!word || word >> 32 >= NMX__MAX_RECORDS)
		return false;
	record = &seg->records[word >> 32];
	/* Perhaps of another by now: then the word has changed, and under the lock that shows. */
	if (!nmx__record_read(seg, record, &g) || g.kind != NMX__RECORD_PORT)
		return false;
	way->record = (uint32_t)(word >> 32);
	way->lane_number = hint % g.rings[0];
	way->lane = &record->lane[way->lane_number];
	way->queue = nmx__record_queue(seg, record, &g, 0, way->lane_number);
	way->capacity = nmx__queue_capacity(g.slots[0]);
	way->max_frags = g.slots[0] - 1 < NETMAP_MAX_FRAGS ? g.slots[0] - 1 : NETMAP_MAX_FRAGS;
	way->deaf = atomic_load(&record->flags) & NMX__RECORD_DEAF;
	way->word = word;
	return true;
}

/* ---- the lock */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* 0: taken; otherwise who has it. */
static inline uint32_t try_lock(struct nmx__way *way, uint32_t hold)
{
	uint32_t seen = atomic_load_explicit(&way->lane->lock, memory_order_relaxed);

	if (seen == 0 && atomic_compare_exchange_strong(&way->lane->lock, &seen, hold)) /* pairs with nmx__port_leave() */
		return 0;
	return seen;
}

/* Once its holder is dead: its recovery lets go of the lock, and is ours to do as anybody's. */
static bool recover_holder(struct nmx__segment *seg, uint32_t seen)
{
	uint32_t member = nmx__hold_member(seen);

	if (member >= NMX__MAX_MEMBERS || nmx__member_alive(seg, member) || !nmx__seg_trylock(seg))
		return false;
	(void)!nmx__recover_dead(seg, NULL);
	nmx__seg_unlock(seg);
	return true;
}

static __attribute__((__noinline__)) bool lock_contended(struct nmx__segment *seg, struct nmx__way *way, uint32_t hold, uint32_t seen,
                                                         uint32_t *patience)
{
	for (; *patience && seen && seen != way->stuck; --*patience) {
		(void)(*patience > YIELDS ? relax() : (void)sched_yield());
		seen = try_lock(way, hold);
	}
	if (!seen)
		return true;
	/* Since it was last found alive and not letting go, it has not: we do not wait for it a second time. */
	if (seen == way->stuck && nmx__coarse_ms() - way->looked_ms < LOOK_MS)
		return false;
	way->stuck = seen;
	way->looked_ms = nmx__coarse_ms();
	return recover_holder(seg, seen) && try_lock(way, hold) == 0;
}

uint32_t nmx__way_lock(struct nmx__segment *seg, struct nmx__way *way, uint32_t *patience)
{
	uint32_t hold = nmx__hold_make(seg->member, atomic_fetch_add_explicit(&seg->holds, 1, memory_order_relaxed));
	uint32_t seen = try_lock(way, hold);

	return __builtin_expect(seen == 0, 1) || lock_contended(seg, way, hold, seen, patience) ? hold : 0;
}

void nmx__way_unlock(struct nmx__way *way) { atomic_store_explicit(&way->lane->lock, 0, memory_order_release); }

/* ---- death */

bool nmx__target_committed(const struct nmx__segment *seg, uint64_t target, uint64_t txn)
{
	uint32_t number = nmx__target_record(target), lane = nmx__target_lane(target);
	struct nmx__record_geometry g;
	const struct nmx__record *record;

	if (number >= NMX__MAX_RECORDS)
		return false;
	record = &seg->records[number];
	/* It lets go only after the commit.  And while it holds on, the record stays what it was. */
	if (atomic_load(&record->lane[lane].lock) != nmx__target_hold(target) || !nmx__record_read(seg, record, &g) || lane >= g.rings[0] ||
	    g.kind != NMX__RECORD_PORT)
		return true;
	return (int32_t)(atomic_load(&nmx__record_queue(seg, record, &g, 0, lane)->tail) - nmx__txn_committed(txn)) >= 0;
}

/* Killed between its commit and the bell, it left a receiver that sleeps beside a packet. */
static void wake_receiver(struct nmx__segment *seg, struct nmx__record *record, uint32_t lane)
{
	struct nmx__record_geometry g;
	struct nmx__bell bell;

	if (!atomic_load(&record->live) || !nmx__record_read(seg, record, &g) || g.kind != NMX__RECORD_PORT || lane >= g.rings[0])
		return;
	nmx__bell_init(&bell, seg, nmx__record_index(seg, record), lane, 'r');
	nmx__wake(&nmx__record_queue(seg, record, &g, 0, lane)->rx_sleep, &bell);
	nmx__bell_close(&bell);
}

void nmx__lanes_release(struct nmx__segment *seg, uint32_t member)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		for (uint32_t lane = 0; lane < NMX__PORT_RINGS; lane++) {
			uint32_t seen = atomic_load(&seg->records[i].lane[lane].lock);

			if (!seen || nmx__hold_member(seen) != member)
				continue;
			wake_receiver(seg, &seg->records[i], lane);
			atomic_compare_exchange_strong(&seg->records[i].lane[lane].lock, &seen, 0);
		}
}
