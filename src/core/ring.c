/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Sync, and waiting: by nmx_wait(), or by a descriptor in somebody else's loop. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fork.h"
#include "core/check.h"
#include "core/ring.h"

#define TICK_MS       1000 /* a hint can be lost, a peer can misbehave: nobody sleeps longer without a look */
#define ARM_TRIES     64   /* arming that finds news that a sync then does not: only a hostile peer can repeat that */
#define ENTRIES_LOCAL 16

_Thread_local const struct nmx__stop *nmx__stop;

/* Of two spans of time, where 0 is none. */
static int sooner(int a, int b) { return a > 0 && (a < b || b == 0) ? a : b; }

static int arm(struct nmx__ring *ring, uint32_t slots) { return ring->port->backend->arm(ring, slots); }

/* Outside of a sync.  Arming a transmit ring may find room and show it, which a checked build must not take for the
 * user's doing. */
static int arm_alone(struct nmx__ring *ring, uint32_t slots, const char *caller)
{
	int news;

	if (!ring->is_tx)
		return arm(ring, slots);
	nmx__check_before_sync(ring, caller);
	news = arm(ring, slots);
	nmx__check_after_sync(ring);
	return news;
}

/* A descriptor that was asked for stays armed: a sync has promised it, and a wait must not take that back. */
static void disarm(struct nmx__ring *ring)
{
	if (!ring->fd_wanted)
		ring->port->backend->disarm(ring);
}

/* ---- descriptors for foreign loops */

/* 0, or -1 when one of them could not be added: then only the tick would tell. */
static int add_poll_fds(struct nmx__ring *ring)
{
	struct pollfd fds[NMX__WAIT_FDS];
	int n = ring->port->backend->poll_fds(ring, fds), err = n < 0 ? -1 : 0;

	for (int i = 0; i < n; i++)
		if (nmx__poller_add(&ring->poller, fds[i].fd, fds[i].events) < 0)
			err = -1;
	ring->fds_changed = err < 0;
	return err;
}

/* Arms the descriptor, or makes it ready when there is news already: what arming said. */
static void tick_if(struct nmx__ring *ring, int news)
{
	if (news != 0)
		nmx__poller_soon(&ring->poller, 1);
	if (ring->fds_changed)
		add_poll_fds(ring);
}

void nmx__ring_close_fd(struct nmx__ring *ring)
{
	nmx__poller_close(&ring->poller);
	ring->fd_wanted = ring->in_port_fd = false;
}

int nmx__ring_fd(struct nmx__ring *ring)
{
	if (nmx__forked(ring->port->fork_generation))
		return -1;
	if (ring->poller.fd >= 0)
		return ring->poller.fd;
	if (nmx__poller_open(&ring->poller, TICK_MS) < 0)
		return -1;
	if (add_poll_fds(ring) < 0) {
		nmx__ring_close_fd(ring);
		return -1;
	}
	ring->fd_wanted = true;
	tick_if(ring, arm_alone(ring, 1, __func__)); /* a loop that waits before its first sync must not miss what is there already */
	return ring->poller.fd;
}

void nmx__ring_join_port_fd(struct nmx__ring *ring)
{
	int fd = nmx__ring_fd(ring);

	ring->in_port_fd = fd >= 0 && nmx__poller_add(&ring->port->poller, fd, POLLIN) == 0;
}

/* Nothing is left to do: from here on the descriptors are ready for what comes. */
static void settle(struct nmx__ring *ring)
{
	int again_ms = sooner(ring->look_again_ms, nmx__go_on());

	nmx__poller_settle(&ring->poller);
	if (ring->in_port_fd)
		nmx__poller_settle(&ring->port->poller);
	if (again_ms > 0)
		nmx__poller_soon(&ring->poller, again_ms * 1000000L);
}

/* A sync found nothing: the next thing that comes must make the descriptor ready.  Returns what the ring has. */
static int arm_fd(struct nmx__ring *ring)
{
	const struct nmx__backend *backend = ring->port->backend;
	int n = 0;

	for (int tries = 0; tries < ARM_TRIES && n == 0; tries++) {
		int news = arm(ring, 1);

		if (ring->fds_changed)
			add_poll_fds(ring);
		if (news <= 0) {
			settle(ring);
			return news;
		}
		n = backend->sync(ring);
	}
	return n;
}

static inline int sync_ring(struct nmx__ring *ring, const char *caller)
{
	int n;

	if (nmx__forked(ring->port->fork_generation))
		return NMX_ERR_FORKED;
	nmx__check_before_sync(ring, caller);
	n = ring->port->backend->sync(ring);
	if (n == 0)
		nmx__go_on();
	if (__builtin_expect(n <= 0 && ring->fd_wanted, 0)) {
		if (n == 0)
			n = arm_fd(ring);
		if (n == NMX_ERR_PEER_GONE || n == NMX_ERR_LINK_DOWN || n == NMX_ERR_RESET)
			tick_if(ring, arm(ring, 1)); /* said once, and many a loop then waits for the next end at once */
	}
	nmx__check_after_sync(ring);
	return n;
}

int nmx_rx_sync(struct nmx_rx *rx)
{
	NMX__CHECK_CALLER(rx);
	if (!nmx__forked(nmx__ring_of_rx(rx)->port->fork_generation))
		rx->ring->head = rx->ring->cur; /* what was received is given back; netmap's release point is head */
	return sync_ring(nmx__ring_of_rx(rx), __func__);
}

int nmx_tx_sync(struct nmx_tx *tx)
{
	NMX__CHECK_CALLER(tx);
	return sync_ring(nmx__ring_of_tx(tx), __func__);
}

struct pollfd nmx_rx_pollfd(struct nmx_rx *rx)
{
	return (struct pollfd){ .fd = nmx__ring_fd(nmx__ring_of_rx(rx)), .events = POLLIN };
}

struct pollfd nmx_tx_pollfd(struct nmx_tx *tx)
{
	return (struct pollfd){ .fd = nmx__ring_fd(nmx__ring_of_tx(tx)), .events = POLLIN };
}

/* ---- nmx_wait */

/* A ring of an entry, and how many slots are wanted of it. */
static struct nmx__ring *ring_of(const struct nmx_wait_entry *entry, uint32_t *slots)
{
	struct nmx__ring *ring = entry->rx ? nmx__ring_of_rx(entry->rx) : nmx__ring_of_tx(entry->tx);
	uint32_t most = entry->rx ? 1 : entry->tx->num_slots - 1;

	*slots = entry->slots == 0 ? 1 : entry->slots < most ? entry->slots : most;
	return ring;
}

/* Frames that were received and not given back, or that still wait: a sync would do something, and a ring full of them
 * would sleep for ever. */
static bool holds_frames(const struct nmx_wait_entry *entry)
{
	return entry->rx && entry->rx->ring->head != entry->rx->ring->tail;
}

/* Announces the sleep to all; returns how many have news (then nothing stays announced), or an error. */
static int arm_all(struct nmx_wait_entry *entries, uint32_t n)
{
	int ready = 0, err = 0;
	uint32_t slots, armed = 0;

	for (; armed < n && err == 0; armed++) {
		struct nmx_wait_entry *entry = &entries[armed];
		struct nmx__ring *ring = ring_of(entry, &slots);
		int news = holds_frames(entry) ? 1 : arm_alone(ring, slots, "nmx_wait");

		entry->ready = news > 0;
		ready += news > 0;
		err = news < 0 ? news : 0;
	}
	if (ready || err)
		for (uint32_t i = 0; i < armed; i++)
			if (!entries[i].ready)
				disarm(ring_of(&entries[i], &slots));
	return err ? err : ready;
}

static const struct nmx__stop *own_stop(void)
{
	return nmx__stop && !nmx__forked(nmx__stop->fork_generation) ? nmx__stop : NULL;
}

static bool is_stopping(void)
{
	const struct nmx__stop *stop = own_stop();

	return stop && atomic_load_explicit(&stop->asked, memory_order_acquire);
}

static int gather_fds(struct nmx_wait_entry *entries, uint32_t n, struct pollfd *fds)
{
	const struct nmx__stop *stop = own_stop();
	int count = 0;
	uint32_t slots;

	for (uint32_t i = 0; i < n; i++) {
		struct nmx__ring *ring = ring_of(&entries[i], &slots);
		int more = ring->port->backend->poll_fds(ring, fds + count);

		if (more < 0)
			return more;
		count += more;
	}
	if (stop)
		fds[count++] = (struct pollfd){ .fd = stop->fd, .events = POLLIN };
	return count;
}

static int sleep_once(struct nmx_wait_entry *entries, uint32_t n, struct pollfd *fds, int64_t deadline)
{
	int64_t left = deadline < 0 ? TICK_MS : deadline - nmx__now_ms();
	int count = gather_fds(entries, n, fds), again_ms = nmx__go_on(), most, woken;
	uint32_t slots;

	if (count < 0)
		return count;
	for (uint32_t i = 0; i < n; i++)
		again_ms = sooner(again_ms, ring_of(&entries[i], &slots)->look_again_ms);
	most = sooner(again_ms, TICK_MS);
	left = left < 0 ? 0 : left < most ? left : most;
	woken = poll(fds, (nfds_t)count, (int)left) < 0 ? -errno : 0;
	for (uint32_t i = 0; i < n; i++)
		disarm(ring_of(&entries[i], &slots));
	return woken == 0 ? 0 : woken == -EINTR ? 1 : NMX_ERR_NO_MEMORY; /* EINVAL: more than descriptors are allowed */
}

static int wait_with(struct nmx_wait_entry *entries, uint32_t n, struct pollfd *fds, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : nmx__now_ms() + timeout_ms;
	int interrupted = 0;

	for (;;) {
		int ready = arm_all(entries, n);

		if (ready != 0)
			return ready;
		if (interrupted || is_stopping() || timeout_ms == 0 || (deadline >= 0 && nmx__now_ms() >= deadline)) {
			uint32_t slots;

			for (uint32_t i = 0; i < n; i++)
				disarm(ring_of(&entries[i], &slots));
			return 0;
		}
		interrupted = sleep_once(entries, n, fds, deadline);
		if (interrupted < 0)
			return interrupted;
	}
}

int nmx_wait(struct nmx_wait_entry *entries, uint32_t n, int timeout_ms)
{
	struct pollfd local[ENTRIES_LOCAL * NMX__WAIT_FDS + 1], *fds = local; /* and the one that stops a worker */
	uint32_t slots;
	int ready;

	for (uint32_t i = 0; i < n; i++) {
		if (!entries[i].rx == !entries[i].tx)
			return NMX_ERR_BAD_OPTION;
		if (nmx__forked(ring_of(&entries[i], &slots)->port->fork_generation))
			return NMX_ERR_FORKED;
		entries[i].ready = false;
	}
	if (n > ENTRIES_LOCAL) {
		fds = calloc(n * (size_t)NMX__WAIT_FDS + 1, sizeof(*fds));
		if (!fds)
			return NMX_ERR_NO_MEMORY;
	}
	ready = wait_with(entries, n, fds, timeout_ms);
	if (fds != local)
		free(fds);
	return ready;
}

int nmx_rx_wait(struct nmx_rx *rx, int timeout_ms)
{
	struct nmx_wait_entry entry = { .rx = rx };

	NMX__CHECK_CALLER(rx);
	return nmx_wait(&entry, 1, timeout_ms);
}

int nmx_tx_wait(struct nmx_tx *tx, uint32_t slots, int timeout_ms)
{
	struct nmx_wait_entry entry = { .tx = tx, .slots = slots };

	NMX__CHECK_CALLER(tx);
	return nmx_wait(&entry, 1, timeout_ms);
}

int nmx_tx_drain(struct nmx_tx *tx, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : nmx__now_ms() + timeout_ms, left = timeout_ms;
	uint32_t all = tx->num_slots - 1;

	for (;;) {
		int n = nmx_tx_sync(tx);

		if (n < 0)
			return n;
		if ((uint32_t)n + nmx__distance(tx->ring->head, tx->ring->cur, tx->num_slots) == all) /* a chain begun is not sent */
			return 0;
		if (left == 0 || is_stopping())
			return NMX_ERR_TIMED_OUT;
		n = nmx_tx_wait(tx, all, (int)left);
		if (n < 0)
			return n;
		if (deadline >= 0)
			left = deadline > nmx__now_ms() ? deadline - nmx__now_ms() : 0;
	}
}
