/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings of a pipe: sync, waiting, and noticing that the other end comes, goes or dies. */
#include "backend/pipe.h"
#include "base/clock.h"

#define ARM_TRIES       16 /* more comings and goings than that at once are worth a wake-up */
#define LOOK_AT_PEER_MS 50 /* how long a user that never sleeps may not notice that its peer was killed */

static inline bool is_newer(uint32_t gen, uint32_t than) { return (int32_t)(gen - than) > 0; }

/* ---- the peer */

static void forget_watch(struct pipe_ring *r)
{
	nmx__process_unwatch(r->peer_watch);
	r->peer_watch = -1;
	r->ring.fds_changed = true;
}

/* Has the peer died without a word?  Then its recovery, ours to do as anybody's, frees its end. */
static void look_for_death(struct pipe_ring *r)
{
	struct pipe_port *pipe = pipe_of(&r->ring);
	nmx__end_t peer = peer_now(pipe);

	r->looked_at_peer_ms = nmx__coarse_ms();
	if (!peer || nmx__end_member(peer) >= NMX__MAX_MEMBERS || nmx__member_alive(pipe->seg, nmx__end_member(peer)))
		return;
	if (!nmx__seg_trylock(pipe->seg))
		return; /* at the next look */
	(void)!nmx__recover_dead(pipe->seg, NULL);
	nmx__seg_unlock(pipe->seg);
}

/* Somebody removed the segment's file, and the other end is free: whoever opens that name will be elsewhere. */
static void look_for_segment(struct pipe_ring *r)
{
	r->looked_at_peer_ms = nmx__coarse_ms();
	r->stranded = peer_now(pipe_of(&r->ring)) == 0 && !nmx__seg_is_linked(pipe_of(&r->ring)->seg);
}

/* Has somebody come, sent and gone between two looks at the other end?  Only a receiver can tell, and has to.  Not when
 * it is the one that was seen there: its counters are added before its end is free, and that is what tells of it. */
static bool came_and_went(const struct pipe_ring *r, uint32_t gone)
{
	return !r->ring.is_tx && is_newer(gone, r->gone_told) && gone != nmx__end_gen(r->peer_seen);
}

/* Called when a ring has nothing to say otherwise.  True: whoever had the other end has gone, which is said once. */
static bool peer_has_gone(struct pipe_ring *r)
{
	uint32_t gone = last_gone(pipe_of(&r->ring)); /* first: who leaves after this look is told at the next */
	nmx__end_t now = peer_now(pipe_of(&r->ring)), before = r->peer_seen;

	if (now == before && nmx__coarse_ms() - r->looked_at_peer_ms >= LOOK_AT_PEER_MS) {
		(now ? look_for_death : look_for_segment)(r);
		now = peer_now(pipe_of(&r->ring));
	}
	if (__builtin_expect(now == before, 1)) {
		if (__builtin_expect(!came_and_went(r, gone), 1))
			return false;
		r->gone_told = gone;
		return true;
	}
	r->peer_seen = now;
	if (before && is_newer(nmx__end_gen(before), r->gone_told))
		r->gone_told = nmx__end_gen(before);
	forget_watch(r);
	return before != 0;
}

/* ---- sync */

static inline uint32_t rx_waiting(const struct nmx__qend *end)
{
	return nmx__distance(end->ring->cur, end->tail, end->num_slots);
}

static int sync_rx(struct pipe_ring *r)
{
	struct nmx__qend *end = &r->end;
	nmx__end_t before = r->peer_seen;
	uint32_t told_before = r->gone_told;
	int err = nmx__queue_receive(end);
	uint32_t waiting = rx_waiting(end);

	if (__builtin_expect(waiting > 0, 1) && err == 0)
		return (int)waiting;
	if (err < 0)
		return err;
	if (!peer_has_gone(r))
		return r->stranded ? NMX_ERR_GONE : 0;
	/* What it sent before it went comes first. */
	err = nmx__queue_receive(end);
	waiting = rx_waiting(end);
	if (err == 0 && waiting == 0)
		return NMX_ERR_PEER_GONE;
	r->peer_seen = before;
	r->gone_told = told_before;
	return err < 0 ? err : (int)waiting;
}

static int sync_tx(struct pipe_ring *r)
{
	int err = nmx__queue_send(&r->end);
	uint32_t space = nmx__qend_space(&r->end);

	if (err < 0)
		return err;
	if (__builtin_expect(space == 0 || peer_now(pipe_of(&r->ring)) != r->peer_seen, 0) && peer_has_gone(r))
		return NMX_ERR_PEER_GONE;
	if (__builtin_expect(space == 0 && r->stranded, 0))
		return NMX_ERR_GONE;
	return (int)space;
}

int nmx__pipe_sync(struct nmx__ring *ring)
{
	return ring->is_tx ? sync_tx(pipe_ring(ring)) : sync_rx(pipe_ring(ring));
}

/* ---- waiting */

static _Atomic uint32_t *sleep_word(const struct pipe_ring *r)
{
	return r->ring.is_tx ? &r->end.queue->tx_sleep : &r->end.queue->rx_sleep;
}

static bool has_news(struct pipe_ring *r, uint32_t slots)
{
	struct nmx__qend *end = &r->end;
	bool moved = r->ring.is_tx ? nmx__queue_has_room(end, slots) : nmx__queue_has_packets(end);

	/* An end that was free and is now taken is no news: it will ring when there is some. */
	return moved || (r->peer_seen && peer_now(pipe_of(&r->ring)) != r->peer_seen) ||
	       came_and_went(r, last_gone(pipe_of(&r->ring)));
}

static int open_watch(const struct pipe_port *pipe, nmx__end_t peer)
{
	if (nmx__end_member(peer) >= NMX__MAX_MEMBERS)
		return -1;
	return nmx__process_watch(atomic_load(&pipe->seg->members[nmx__end_member(peer)].pid));
}

/* A descriptor that tells of the peer's death.  A hint: the number of a process may be somebody else's by now. */
static void watch_peer(struct pipe_ring *r)
{
	struct pipe_port *pipe = pipe_of(&r->ring);
	nmx__end_t peer = peer_now(pipe);

	if (!r->peer_seen && peer) {
		r->peer_seen = peer; /* it came since: from now on its going is news */
		forget_watch(r);
	}
	if (r->peer_watch >= 0 || !peer || peer != r->peer_seen || nmx__end_member(peer) == pipe->seg->member)
		return;
	r->peer_watch = open_watch(pipe, peer);
	r->ring.fds_changed = true;
	look_for_death(r); /* it may have died before there was something to watch */
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Announces the sleep, and looks again.  A peer that came meanwhile must be watched before we sleep: it could publish
 * something and die before it rings.  Announcing comes before that look, as it ends its coming with a look at who
 * sleeps: so one of the two sees the other.  1: news; 0: announced; -1: once more. */
static int announce(struct pipe_ring *r, uint32_t slots)
{
	nmx__bell_drain(&r->end.bell);
	nmx__sleep_begin(sleep_word(r));
	if (!has_news(r, slots) && peer_now(pipe_of(&r->ring)) == r->peer_seen)
		return 0;
	nmx__sleep_end(sleep_word(r));
	return has_news(r, slots) ? 1 : -1;
}

int nmx__pipe_arm(struct nmx__ring *ring, uint32_t slots)
{
	struct pipe_ring *r = pipe_ring(ring);
	int news = -1;

	if (has_news(r, slots))
		return 1;
	look_for_segment(r);
	if (r->stranded)
		return 1; /* the sync says it */
	if (nmx__bell_reader(&r->end.bell) < 0)
		return NMX_ERR_NO_MEMORY;
	for (int tries = 0; tries < ARM_TRIES && news < 0; tries++) {
		watch_peer(r);
		if (is_readable(r->peer_watch)) {
			forget_watch(r); /* either it is dead, or the number lied: the tick looks again */
			look_for_death(r);
		}
		news = announce(r, slots);
	}
	if (news == 0)
		NMX__COUNT(r->end.own, sleeps, 1);
	return news != 0;
}

void nmx__pipe_disarm(struct nmx__ring *ring) { nmx__sleep_end(sleep_word(pipe_ring(ring))); }

int nmx__pipe_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	struct pipe_ring *r = pipe_ring(ring);
	int n = 0, bell = nmx__bell_reader(&r->end.bell);

	if (bell < 0)
		return NMX_ERR_NO_MEMORY;
	fds[n++] = (struct pollfd){ .fd = bell, .events = POLLIN };
	if (r->peer_watch >= 0)
		fds[n++] = (struct pollfd){ .fd = r->peer_watch, .events = POLLIN };
	return n;
}

void nmx__pipe_release(struct nmx__ring *ring)
{
	struct pipe_ring *r = pipe_ring(ring);

	nmx__queue_released(&r->end);
	forget_watch(r);
}
