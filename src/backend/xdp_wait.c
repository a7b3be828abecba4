/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings of an interface: sync, waiting, and noticing that the interface goes down or away. */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "backend/xdp.h"
#include "base/clock.h"
#include "base/fork.h"
#include "xsk/netlink.h"

#define LOOK_AT_LINK_MS 50 /* how long a user that never sleeps may not notice */
#define COMPLETION_MS   1  /* how long a sleep for room is: the kernel does not tell of completions */
#define DOWN_MS         50 /* the same while the interface is down */

int nmx__xdp_reset(struct xdp_ring *r)
{
	r->nring->head = r->nring->cur = r->hwcur;
	r->nring->tail = r->tail;
	/* A sync that failed half way had them poisoned already, and they are the user's again. */
	xdp_poison_slots(r, r->hwcur, nmx__distance(r->hwcur, r->tail, r->num_slots), false);
	NMX__COUNT(r->own, resets, 1);
	return NMX_ERR_RESET;
}

/* ---- the interface */

/* By number, for it may have been renamed. */
static void read_flags(struct xdp_ring *r)
{
	struct ifreq request = { .ifr_ifindex = r->ifindex };

	if (ioctl(r->nl, SIOCGIFNAME, &request) < 0) {
		r->gone |= errno == ENODEV || errno == ENXIO;
		return;
	}
	if (ioctl(r->nl, SIOCGIFFLAGS, &request) < 0)
		return; /* renamed in between: of that there is more news to come */
	r->down = !(request.ifr_flags & IFF_UP);
	r->down_told &= r->down;
}

void nmx__xdp_look_at_link(struct xdp_ring *r, bool at_leisure)
{
	int64_t now = nmx__coarse_ms();

	if (r->gone || (at_leisure && now - r->looked_at_link_ms < LOOK_AT_LINK_MS))
		return;
	r->looked_at_link_ms = now;
	switch (nmx__nl_news(r->nl, r->ifindex)) {
	case NMX__NL_GONE:
		r->gone = true;
		break;
	case NMX__NL_CHANGED:
		read_flags(r);
		break;
	case NMX__NL_NOTHING:
		break;
	}
}

int nmx__xdp_link_news(struct xdp_ring *r)
{
	if (r->gone)
		return NMX_ERR_GONE;
	if (!r->down || r->down_told)
		return 0;
	r->down_told = true;
	return NMX_ERR_LINK_DOWN;
}

static bool has_link_news(const struct xdp_ring *r) { return r->gone || (r->down && !r->down_told); }

/* ---- what was handed over and the kernel has not sent yet */

/* It sends as much as a socket may have on the way, and does not tell when it could have more.  So there is a list of the
 * transmit rings of this process that send by being called, for whoever has time.  Changed and walked while nobody forks:
 * in a child it is empty. */
static struct xdp_ring *senders;
static uint32_t senders_generation;

static struct xdp_ring **list_of_senders(void)
{
	if (nmx__forked(senders_generation)) {
		senders_generation = nmx__generation;
		senders = NULL;
	}
	return &senders;
}

void nmx__xdp_list_sender(struct xdp_ring *r)
{
	nmx__fork_hold();
	r->next_sender = *list_of_senders();
	senders = r;
	nmx__fork_let();
}

void nmx__xdp_unlist_sender(struct xdp_ring *r)
{
	nmx__fork_hold();
	for (struct xdp_ring **at = list_of_senders(); *at; at = &(*at)->next_sender)
		if (*at == r) {
			*at = r->next_sender;
			break;
		}
	nmx__fork_let();
}

/* Another thread may be using the ring: so only by what kernel and library share. */
int nmx__xdp_go_on(void)
{
	int again_ms = 0;

	nmx__fork_hold();
	atomic_store(&nmx__unsent, false); /* first: what is left from now on sets it again */
	for (struct xdp_ring *r = *list_of_senders(); r; r = r->next_sender) {
		if (nmx__xring_unsent(&r->queue->tx) == 0)
			continue;
		int err = sendto(r->queue->tx_fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;

		if (err == EBUSY)
			atomic_fetch_add_explicit(&r->refused, 1, memory_order_relaxed);
		if (nmx__xring_unsent(&r->queue->tx) > 0 && again_ms != COMPLETION_MS)
			again_ms = err == ENETDOWN || err == ENXIO || err == ENODEV ? DOWN_MS : COMPLETION_MS;
	}
	if (again_ms > 0)
		atomic_store(&nmx__unsent, true);
	nmx__fork_let();
	return again_ms;
}

/* ---- sync */

static void set_timer(struct xdp_ring *r, int ms)
{
	timerfd_settime(r->timer, 0, &(struct itimerspec){ .it_value = { 0, ms * 1000000L } }, NULL);
	r->timer_armed = ms > 0;
}

int nmx__xdp_sync(struct nmx__ring *ring)
{
	struct xdp_ring *r = xdp_ring(ring);
	int n = ring->is_tx ? nmx__xdp_send(r) : nmx__xdp_receive(r), news;

	if (__builtin_expect(r->timer_armed && n > 0, 0))
		set_timer(r, 0); /* a loop that keeps the descriptor would find it ready for ever */
	if (__builtin_expect(n > 0 && !r->gone && !(ring->is_tx && r->down), 1))
		return n;
	if (n < 0)
		return n;
	nmx__xdp_look_at_link(r, true);
	news = ring->is_tx || n == 0 ? nmx__xdp_link_news(r) : 0; /* what has come in is to be had first */
	return news < 0 ? news : n;
}

/* ---- waiting */

static bool has_packets(const struct xdp_ring *r)
{
	for (uint32_t i = 0; i < r->num_sources; i++)
		if (nmx__xring_ready(&r->sources[i].queue->rx))
			return true;
	return r->tail != r->nring->cur;
}

/* Of what the user holds and has not handed over, nothing comes back. */
static bool has_room(struct xdp_ring *r, uint32_t slots)
{
	uint32_t n = r->num_slots, most, room;

	if (!xdp_cursors_valid(r))
		return true; /* the sync says so */
	most = n - 1 - nmx__distance(r->nring->head, r->nring->cur, n);
	room = (uint32_t)nmx__xdp_push_on(r);
	/* What waits to be copied does not go without a sync, and there would never be more room. */
	return room >= (slots < most ? slots : most) || nmx__xdp_can_hand_over(r);
}

int nmx__xdp_arm(struct nmx__ring *ring, uint32_t slots)
{
	struct xdp_ring *r = xdp_ring(ring);

	nmx__xdp_look_at_link(r, false);
	if (has_link_news(r) || (ring->is_tx ? has_room(r, slots) : has_packets(r)))
		return 1;
	NMX__COUNT(r->own, sleeps, 1);
	if (!ring->is_tx)
		return 0;
	if (r->timer < 0 && (r->timer = nmx__fd_track(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC))) < 0)
		return NMX_ERR_NO_MEMORY;
	ring->fds_changed = true;
	set_timer(r, r->down ? DOWN_MS : COMPLETION_MS);
	return 0;
}

void nmx__xdp_disarm(struct nmx__ring *ring) { (void)ring; }

int nmx__xdp_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	struct xdp_ring *r = xdp_ring(ring);
	int n = 0;

	fds[n++] = (struct pollfd){ .fd = r->nl, .events = POLLIN };
	if (!ring->is_tx)
		fds[n++] = (struct pollfd){ .fd = r->gate >= 0 ? r->gate : r->sources[0].queue->rx_fd, .events = POLLIN };
	if (r->timer >= 0)
		fds[n++] = (struct pollfd){ .fd = r->timer, .events = POLLIN };
	return n;
}

void nmx__xdp_release(struct nmx__ring *ring) { (void)ring; }
