/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Pipes: two ports, in one process or two, over crossed descriptor queues of a segment.  Lossless: a full queue leaves
 * its sender without free slots.  The queues outlive a user; the next one takes its end over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/poison.h"
#include "base/report.h"
#include "core/port.h"
#include "shm/queue.h"

#define DEFAULT_SLOTS   1024u
#define ARM_TRIES       16 /* more comings and goings than that at once are worth a wake-up */
#define LOOK_AT_PEER_MS 50 /* how long a user that never sleeps may not notice that its peer was killed */

struct pipe_ring {
	struct nmx__ring ring;
	struct nmx__qend end;
	nmx__end_t peer_seen; /* who had the other end when last looked at */
	uint32_t gone_told;   /* receive: generation of the last user of the other end whose going was told */
	int peer_pidfd;       /* of it, when one waits; -1 */
	int64_t looked_at_peer_ms;
};

struct pipe_port {
	struct nmx__segment *seg;
	struct nmx__record *record;
	struct nmx__record_geometry geometry;
	uint32_t end; /* 0: x{1, 1: x}1 */
	uint32_t attach_gen;
	struct nmx__own_extent *extent;
	uint32_t extent_slot;
};

static inline struct pipe_ring *pipe_ring(struct nmx__ring *ring) { return (struct pipe_ring *)ring; }
static inline struct pipe_port *pipe_of(const struct nmx__ring *ring) { return ring->port->state; }
static inline nmx__end_t peer_now(const struct pipe_port *pipe) { return atomic_load(&pipe->record->end[!pipe->end]); }

/* Generation of the user of the other end that left last; 0: none has. */
static inline uint32_t last_gone(const struct pipe_port *pipe)
{
	return (uint32_t)(atomic_load(&pipe->record->totals[!pipe->end].word) >> 1);
}

static inline bool is_newer(uint32_t gen, uint32_t than) { return (int32_t)(gen - than) > 0; }

/* ---- the peer */

/* The cheapest clock there is: only a spinning user asks this often. */
static int64_t coarse_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void forget_pidfd(struct pipe_ring *r)
{
	nmx__fd_close(r->peer_pidfd);
	r->peer_pidfd = -1;
	r->ring.fds_changed = true;
}

/* Has the peer died without a word?  Then its recovery, ours to do as anybody's, frees its end. */
static void look_for_death(struct pipe_ring *r)
{
	struct pipe_port *pipe = pipe_of(&r->ring);
	nmx__end_t peer = peer_now(pipe);

	r->looked_at_peer_ms = coarse_ms();
	if (!peer || nmx__end_member(peer) >= NMX__MAX_MEMBERS || nmx__member_alive(pipe->seg, nmx__end_member(peer)))
		return;
	if (!nmx__seg_trylock(pipe->seg))
		return; /* at the next look */
	(void)!nmx__recover_dead(pipe->seg, NULL);
	nmx__seg_unlock(pipe->seg);
}

/* Somebody removed the segment's file, and the other end is free: whoever opens that name will be elsewhere. */
static bool is_stranded(struct pipe_ring *r)
{
	return peer_now(pipe_of(&r->ring)) == 0 && !nmx__seg_is_linked(pipe_of(&r->ring)->seg);
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

	if (now == before && now && coarse_ms() - r->looked_at_peer_ms >= LOOK_AT_PEER_MS) {
		look_for_death(r);
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
	forget_pidfd(r);
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
	if (err < 0 || !peer_has_gone(r))
		return err;
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
	return (int)space;
}

static int pipe_sync(struct nmx__ring *ring)
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

static int open_pidfd(const struct pipe_port *pipe, nmx__end_t peer)
{
#ifdef SYS_pidfd_open
	if (nmx__end_member(peer) < NMX__MAX_MEMBERS)
		return nmx__fd_track((int)syscall(SYS_pidfd_open, atomic_load(&pipe->seg->members[nmx__end_member(peer)].pid), 0));
#endif
	(void)pipe, (void)peer;
	return -1;
}

/* A descriptor that tells of the peer's death.  A hint: the number of a process may be somebody else's by now. */
static void watch_peer(struct pipe_ring *r)
{
	struct pipe_port *pipe = pipe_of(&r->ring);
	nmx__end_t peer = peer_now(pipe);

	if (!r->peer_seen && peer) {
		r->peer_seen = peer; /* it came since: from now on its going is news */
		forget_pidfd(r);
	}
	if (r->peer_pidfd >= 0 || !peer || peer != r->peer_seen || nmx__end_member(peer) == pipe->seg->member)
		return;
	r->peer_pidfd = open_pidfd(pipe, peer);
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

static int pipe_arm(struct nmx__ring *ring, uint32_t slots)
{
	struct pipe_ring *r = pipe_ring(ring);
	int news = -1;

	if (has_news(r, slots))
		return 1;
	if (is_stranded(r))
		return NMX_ERR_GONE;
	if (nmx__bell_reader(&r->end.bell) < 0)
		return NMX_ERR_NO_MEMORY;
	for (int tries = 0; tries < ARM_TRIES && news < 0; tries++) {
		watch_peer(r);
		if (is_readable(r->peer_pidfd)) {
			forget_pidfd(r); /* either it is dead, or the number lied: the tick looks again */
			look_for_death(r);
		}
		news = announce(r, slots);
	}
	if (news == 0)
		NMX__COUNT(r->end.own, sleeps, 1);
	return news != 0;
}

static void pipe_disarm(struct nmx__ring *ring) { nmx__sleep_end(sleep_word(pipe_ring(ring))); }

static int pipe_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	struct pipe_ring *r = pipe_ring(ring);
	int n = 0, bell = nmx__bell_reader(&r->end.bell);

	if (bell < 0)
		return NMX_ERR_NO_MEMORY;
	fds[n++] = (struct pollfd){ .fd = bell, .events = POLLIN };
	if (r->peer_pidfd >= 0)
		fds[n++] = (struct pollfd){ .fd = r->peer_pidfd, .events = POLLIN };
	return n;
}

/* ---- open: what is asked for */

static int check_range(uint32_t value, uint32_t low, uint32_t high, const char *what, struct nmx_report *why)
{
	if (value == 0 || (value >= low && value <= high))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u %s: a pipe has %u to %u", value, what, low, high);
}

static int pipe_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;
	int err;

	if (name->mode != NMX__ALL_NIC)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": a pipe has no host rings and is opened with all its rings; write \"%s\" alone", name->port, name->port);
	if (name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX))
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": monitors need the netmap device", name->port);
	if (name->mem_id || *name->extmem || *name->share || name->has_offset || name->host_tx_rings || name->host_rx_rings)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": memory ids, @share, @extmem, @offset and host rings need the netmap device; @segment= separates memory here",
		                 name->port);
	if (o->flags & NMX_ZERO_COPY)
		nmx__note(why, "\"%s\": pipes never copy; NMX_ZERO_COPY changes nothing", name->port);
	if ((err = check_range(o->tx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "transmit slots", why)) < 0 ||
	    (err = check_range(o->rx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "receive slots", why)) < 0 ||
	    (err = check_range(o->tx_rings, 1, NMX__MAX_RINGS, "transmit rings", why)) < 0 ||
	    (err = check_range(o->rx_rings, 1, NMX__MAX_RINGS, "receive rings", why)) < 0)
		return err;
	return 0;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

/* Of a pipe that this open makes: the other end gets the mirror image. */
static struct nmx__record_geometry new_geometry(const struct nmx_options *o, uint32_t end)
{
	struct nmx__record_geometry g;

	g.rings[end] = (uint16_t)or_default(o->tx_rings, 1);
	g.rings[!end] = (uint16_t)or_default(o->rx_rings, 1);
	g.slots[end] = or_default(o->tx_slots, or_default(o->rx_slots, DEFAULT_SLOTS));
	g.slots[!end] = or_default(o->rx_slots, or_default(o->tx_slots, DEFAULT_SLOTS));
	return g;
}

static int same_number(uint32_t asked, uint32_t is, const char *what, const struct nmx_port *port, struct nmx_report *why)
{
	if (asked == 0 || asked == is)
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\" exists already, with %u %s; %u were asked for (leave it out, or ask for %u)",
	                 port->name.port, is, what, asked, is);
}

/* Finds the pipe or makes it, and checks that our end is free.  Under the segment lock. */
static int find_record(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	char key[2 * NMX__NAME_MAX + 4], holder[96];
	nmx__end_t taken;
	int err;

	snprintf(key, sizeof(key), "%s{%s", port->name.base, port->name.pipe);
	pipe->record = nmx__record_find(pipe->seg, key);
	if (!pipe->record) {
		pipe->geometry = new_geometry(o, pipe->end);
		return nmx__record_make(pipe->seg, key, &pipe->geometry, &pipe->record, why);
	}
	if (!nmx__record_read(pipe->seg, pipe->record, &pipe->geometry))
		return nmx__fail(why, NMX_ERR_CORRUPT, 0, "the segment \"%s/%s\" holds nonsense about the pipe \"%s\"", pipe->seg->dir.path,
		                 pipe->seg->name, key);
	taken = atomic_load(&pipe->record->end[pipe->end]);
	if (taken) {
		nmx__member_describe(pipe->seg, nmx__end_member(taken), holder, sizeof(holder));
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open already, by %s", port->name.port, holder);
	}
	if ((err = same_number(o->tx_rings, pipe->geometry.rings[pipe->end], "transmit rings", port, why)) < 0 ||
	    (err = same_number(o->rx_rings, pipe->geometry.rings[!pipe->end], "receive rings", port, why)) < 0 ||
	    (err = same_number(o->tx_slots, pipe->geometry.slots[pipe->end], "transmit slots", port, why)) < 0 ||
	    (err = same_number(o->rx_slots, pipe->geometry.slots[!pipe->end], "receive slots", port, why)) < 0)
		return err;
	return 0;
}

/* ---- open: our rings */

static struct nmx__own_ring *own_ring(const struct pipe_port *pipe, uint32_t i)
{
	return (struct nmx__own_ring *)((uint8_t *)pipe->extent + pipe->extent->ring_ofs[i]);
}

static uint32_t *held_cell(const struct pipe_port *pipe, uint32_t i)
{
	return (uint32_t *)((uint8_t *)pipe->extent + pipe->extent->held_ofs) + i;
}

/* The i-th place for a buffer in the extent: rings first, spares last. */
static uint32_t *buffer_cell(void *arg, uint32_t i)
{
	const struct pipe_port *pipe = arg;

	for (uint32_t ring = 0; ring < pipe->extent->num_rings; ring++) {
		struct nmx__own_ring *own = own_ring(pipe, ring);

		if (i < own->num_slots)
			return &((struct netmap_ring *)((uint8_t *)own + own->ring_ofs))->slot[i].buf_idx;
		i -= own->num_slots;
	}
	return held_cell(pipe, i);
}

/* The extent of our own file that holds the rings and spares, with a buffer in each place. */
static int make_extent(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	const struct nmx__record_geometry *g = &pipe->geometry;
	uint32_t num_tx = port->options.flags & NMX_RX_ONLY ? 0 : g->rings[pipe->end];
	uint32_t num_rx = port->options.flags & NMX_TX_ONLY ? 0 : g->rings[!pipe->end];
	uint32_t tx_slots = g->slots[pipe->end], rx_slots = g->slots[!pipe->end], num_held = port->info.extra_bufs;
	size_t tx_bytes = nmx__qring_bytes(tx_slots), rx_bytes = nmx__qring_bytes(rx_slots);
	size_t rings_at = nmx__round_up(sizeof(struct nmx__own_extent), 128), held_at = rings_at + num_tx * tx_bytes + num_rx * rx_bytes;
	uint64_t buffers = (uint64_t)num_tx * tx_slots + (uint64_t)num_rx * rx_slots + num_held;
	int err;

	if (buffers > pipe->seg->num_bufs)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
		                 "%llu buffers are needed, and the segment \"%s/%s\" has %u in all; ask for fewer slots, or make it larger when "
		                 "it is next made (segment_bufs), or use another (@segment=)",
		                 (unsigned long long)buffers, pipe->seg->dir.path, pipe->seg->name, pipe->seg->num_bufs - NMX__FIRST_BUF);
	err = nmx__extent_make(pipe->seg, held_at + num_held * sizeof(uint32_t), &pipe->extent, &pipe->extent_slot, why);
	if (err < 0)
		return err;
	struct nmx__own_extent *extent = pipe->extent;

	extent->record = nmx__record_index(pipe->seg, pipe->record);
	extent->record_gen = atomic_load(&pipe->record->live);
	extent->end = pipe->end;
	extent->attach_gen = pipe->attach_gen;
	extent->num_tx = num_tx;
	extent->num_rings = num_tx + num_rx;
	extent->num_held = num_held;
	extent->held_ofs = (uint32_t)held_at;
	for (uint32_t i = 0; i < extent->num_rings; i++) {
		bool is_tx = i < num_tx;
		uint32_t index = is_tx ? i : i - num_tx;

		extent->ring_ofs[i] = (uint32_t)(rings_at + (is_tx ? i * tx_bytes : num_tx * tx_bytes + index * rx_bytes));
		nmx__qring_init(own_ring(pipe, i), is_tx ? tx_slots : rx_slots, is_tx);
		own_ring(pipe, i)->queue = nmx__record_queue_number(g, is_tx ? pipe->end : !pipe->end, index);
	}
	atomic_thread_fence(memory_order_seq_cst);
	extent->kind = NMX__EXTENT_PORT; /* from here on it counts */
	err = nmx__bufs_claim(pipe->seg, (uint32_t)buffers, buffer_cell, pipe, why);
	if (err < 0)
		nmx__extent_free(pipe->seg, pipe->extent, pipe->extent_slot);
	return err;
}

static void fill_handle(struct nmx_port *port, struct pipe_ring *r)
{
	struct nmx__qend *end = &r->end;
	struct nmx_tx *tx = &r->ring.handle.tx;
	struct nmx_rx *rx = &r->ring.handle.rx;

	if (r->ring.is_tx)
		*tx = (struct nmx_tx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit, .num_slots = end->num_slots,
			               .buf_size = end->buf_stride, .max_len = end->max_len, .region = port->info.region,
			               .max_frags = end->max_frags };
	else
		*rx = (struct nmx_rx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit, .num_slots = end->num_slots,
			               .buf_size = end->buf_stride, .max_len = end->max_len, .region = port->info.region };
}

static uint32_t max_frags_of(uint32_t slots) { return slots - 1 < NETMAP_MAX_FRAGS ? slots - 1 : NETMAP_MAX_FRAGS; }

static int make_ring(struct nmx_port *port, struct pipe_port *pipe, uint32_t i)
{
	bool is_tx = i < pipe->extent->num_tx;
	uint32_t index = is_tx ? i : i - pipe->extent->num_tx, from = is_tx ? pipe->end : !pipe->end;
	struct nmx__own_ring *own = own_ring(pipe, i);
	struct pipe_ring *r = (struct pipe_ring *)nmx__port_add_ring(port, is_tx, index);

	if (!r)
		return NMX_ERR_NO_MEMORY;
	r->peer_pidfd = -1;
	r->peer_seen = peer_now(pipe);
	r->gone_told = last_gone(pipe);
	r->end = (struct nmx__qend){ .bufs = pipe->seg->bufs, .buf_stride = pipe->seg->buf_stride, .num_bufs = pipe->seg->num_bufs,
		                     .max_len = NMX__BUF_LEN, .max_frags = max_frags_of(own->num_slots),
		                     .chains = (port->options.flags & NMX_CHAINS) != 0 };
	nmx__qend_init(&r->end, own, nmx__record_queue(pipe->seg, pipe->record, &pipe->geometry, from, index));
	r->end.ring->ringid = (uint16_t)index;
	nmx__bell_init(&r->end.bell, pipe->seg, nmx__record_index(pipe->seg, pipe->record), own->queue, is_tx ? 't' : 'r');
	nmx__bell_init(&r->end.peer_bell, pipe->seg, nmx__record_index(pipe->seg, pipe->record), own->queue, is_tx ? 'r' : 't');
	fill_handle(port, r);
	return is_tx ? nmx__queue_send(&r->end) : 0; /* brings the free slots */
}

static void fill_info(struct nmx_port *port, const struct pipe_port *pipe)
{
	struct nmx_info *info = &port->info;

	info->tx_rings = pipe->extent->num_tx;
	info->rx_rings = pipe->extent->num_rings - pipe->extent->num_tx;
	info->tx_slots = pipe->geometry.slots[pipe->end];
	info->rx_slots = pipe->geometry.slots[!pipe->end];
	info->max_len = NMX__BUF_LEN;
	info->max_frags = max_frags_of(info->tx_slots);
	info->flags = (port->options.flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS)) | NMX_EXCLUSIVE | NMX_ZERO_COPY;
	info->region = pipe->seg->region;
}

/* ---- close */

/* Gives back the buffers of the extent and its counters: free first, then forgotten.  Under the segment lock. */
static void free_extent(struct pipe_port *pipe)
{
	uint64_t counters[NMX__NUM_COUNTERS] = { 0 }, *set = nmx__bufs_set(pipe->seg);
	size_t bytes = (size_t)(uint32_t)atomic_load(&pipe->seg->own->extent[pipe->extent_slot]) * NMX__PAGE;

	nmx__extent_collect(pipe->seg, (const uint8_t *)pipe->extent, bytes, set, counters);
	for (uint32_t i = 0; set && nmx__poisoning() && i < pipe->seg->num_bufs; i++)
		if (set[i / 64] >> i % 64 & 1)
			nmx__poison(nmx__seg_buf(pipe->seg, i), pipe->seg->buf_stride);
	if (atomic_load(&pipe->record->end[pipe->end]) == nmx__end_make(pipe->seg->member, pipe->attach_gen)) /* else it never was */
		nmx__totals_add(&pipe->record->totals[pipe->end], pipe->attach_gen, counters);
	nmx__bufs_free_set(pipe->seg, set);
	nmx__extent_free(pipe->seg, pipe->extent, pipe->extent_slot);
	free(set);
}

static void close_rings(struct nmx_port *port)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct pipe_ring *r = pipe_ring(port->rings[tx][i]);

			nmx__bell_close(&r->end.bell);
			nmx__bell_close(&r->end.peer_bell);
			nmx__fd_close(r->peer_pidfd);
		}
}

static void pipe_close(struct nmx_port *port)
{
	struct pipe_port *pipe = port->state;

	close_rings(port);
	if (nmx__seg_lock(pipe->seg, NULL) == 0) {
		free_extent(pipe);
		nmx__record_release(pipe->seg, pipe->record, pipe->end);
		if (atomic_load(&pipe->record->live))
			nmx__record_wake(pipe->seg, pipe->record);
		nmx__seg_unlock(pipe->seg);
	} else
		nmx__extent_abandon(pipe->seg, pipe->extent, pipe->extent_slot, pipe->attach_gen);
	nmx__seg_put(pipe->seg);
	free(pipe);
}

static void pipe_release(struct nmx__ring *ring)
{
	struct pipe_ring *r = pipe_ring(ring);

	nmx__queue_released(&r->end);
	forget_pidfd(r);
}

/* ---- open */

static int attach(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	int err = find_record(port, pipe, why);

	if (err < 0)
		return err;
	pipe->attach_gen = nmx__seg_next_gen(pipe->seg);
	err = make_extent(port, pipe, why);
	if (err < 0)
		goto release;
	fill_info(port, pipe); /* the rings' handles take the region from it */
	for (uint32_t i = 0; i < pipe->extent->num_rings && err == 0; i++)
		err = make_ring(port, pipe, i);
	if (err < 0) {
		nmx__fail(why, err, 0, "cannot set up the rings of \"%s\": %s", port->name.port, nmx_strerror(err));
		goto free_extent;
	}
	port->held = held_cell(pipe, 0);
	port->bufs = pipe->seg->bufs;
	port->buf_stride = pipe->seg->buf_stride;
	atomic_store(&pipe->record->end[pipe->end], nmx__end_make(pipe->seg->member, pipe->attach_gen));
	nmx__record_wake(pipe->seg, pipe->record); /* who sleeps wants to watch us */
	return 0;

free_extent:
	free_extent(pipe);
release:
	nmx__record_release(pipe->seg, pipe->record, pipe->end);
	return err;
}

static int pipe_open(struct nmx_port *port, struct nmx_report *why)
{
	struct pipe_port *pipe;
	int err;

	pipe = calloc(1, sizeof(*pipe));
	if (!pipe)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open \"%s\"", port->name.port);
	pipe->end = port->name.end == '}';
	port->state = pipe;
	err = nmx__seg_get(&pipe->seg, port->options.directory, port->options.segment, port->options.segment_bufs, why);
	if (err < 0)
		goto free_pipe;
	err = nmx__seg_lock(pipe->seg, why);
	if (err < 0)
		goto put;
	err = nmx__seg_is_linked(pipe->seg)
	          ? nmx__recover_dead(pipe->seg, why)
	          : nmx__fail(why, NMX_ERR_GONE, 0, "somebody removed \"%s/%s\" while this process uses it: close all its ports first",
	                      pipe->seg->dir.path, pipe->seg->name);
	if (err == 0)
		err = attach(port, pipe, why);
	nmx__seg_unlock(pipe->seg);
	if (err == 0)
		return 0;
put:
	nmx__seg_put(pipe->seg);
free_pipe:
	free(pipe);
	return err;
}

/* ---- counters */

static void pipe_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	const struct pipe_port *pipe = port->state;
	uint64_t sum[NMX__NUM_COUNTERS];

	nmx__totals_read(&pipe->record->totals[pipe->end], sum);
	for (uint32_t ring = 0; ring < pipe->extent->num_rings; ring++)
		for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
			sum[i] += atomic_load_explicit(&own_ring(pipe, ring)->counters.at[i], memory_order_relaxed);
	memcpy(stats, sum, sizeof(*stats));
	stats->drop_too_long += __atomic_load_n(&port->forward_too_long, __ATOMIC_RELAXED);
}

const struct nmx__backend nmx__pipe_backend = {
	.id = NMX_PIPE,
	.ring_bytes = sizeof(struct pipe_ring),
	.check = pipe_check,
	.open = pipe_open,
	.close = pipe_close,
	.sync = pipe_sync,
	.arm = pipe_arm,
	.disarm = pipe_disarm,
	.poll_fds = pipe_poll_fds,
	.release = pipe_release,
	.stats = pipe_stats,
};
