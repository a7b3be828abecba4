/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "receiver.h"

#include "clock.h"
#include "say.h"
#include "stop.h"

enum turn { TURN_NOTHING, TURN_PACKETS, TURN_ENOUGH, TURN_FAILED };

/* What a ring has now.  A ring whose end has gone is marked; another end may still come and clear the mark. */
static enum turn look_at(struct receiver *r, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << (index & 63);
	int waiting = port_rx_news(r->port, nmx_rx_sync(r->port->rx[index]));

	if (waiting == NMX_ERR_PEER_GONE) {
		r->gone |= bit;
		return TURN_NOTHING;
	}
	if (waiting < 0) {
		port_say_error(r->port, waiting);
		return TURN_FAILED;
	}
	if (waiting == 0)
		return TURN_NOTHING;
	r->gone &= ~bit;
	uint64_t now = clock_ns();
	if (!r->first_ns)
		r->first_ns = now;
	r->last_ns = now;
	r->ring = index;
	bool enough = r->take(r, r->port->rx[index], now);
	live_tick(r->live, now, r->packets, r->bytes);
	return enough ? TURN_ENOUGH : TURN_PACKETS;
}

static enum turn look_at_all(struct receiver *r)
{
	enum turn turn = TURN_NOTHING;

	for (uint32_t i = 0; i < r->port->num_rx && turn < TURN_ENOUGH; i++) {
		enum turn this_turn = look_at(r, i);
		turn = this_turn > turn ? this_turn : turn;
	}
	return turn;
}

static bool all_gone(const struct receiver *r)
{
	uint32_t n = r->port->num_rx;

	return n < 64 && r->gone == (UINT64_C(1) << n) - 1;
}

/* Rings of an interface that is down just stay empty: nothing but a look at it tells. */
static void look_at_link(struct receiver *r, uint64_t now)
{
	if (now < r->link_due_ns)
		return;
	r->link_due_ns = now + CLOCK_S;
	link_look(&r->port->link);
}

enum receive_end receive(struct receiver *r)
{
	uint64_t begin = clock_ns();

	while (!stop_asked()) {
		enum turn turn = look_at_all(r);
		if (turn == TURN_ENOUGH)
			return RECEIVE_ENOUGH;
		if (turn == TURN_FAILED)
			return RECEIVE_FAILED;
		if (turn == TURN_PACKETS)
			continue;
		if (r->idle && r->idle(r))
			return RECEIVE_ENOUGH;
		if (all_gone(r))
			return RECEIVE_PEER_GONE;
		uint64_t now = clock_ns(), since = r->last_ns ? r->last_ns : begin;
		if (r->timeout_ns && now - since >= r->timeout_ns)
			return RECEIVE_TIMED_OUT;
		live_tick(r->live, now, r->packets, r->bytes);
		look_at_link(r, now);
		if (r->spin) {
			clock_relax();
			continue;
		}
		int err = port_rx_news(r->port, port_wait_rx(r->port, STOP_SLICE_MS));
		if (err < 0 && err != NMX_ERR_PEER_GONE) {
			port_say_error(r->port, err);
			return RECEIVE_FAILED;
		}
	}
	return RECEIVE_STOPPED;
}

const char *receive_end_name(enum receive_end end)
{
	static const char *const names[] = { "count", "stopped", "peer_gone", "timed_out", "failed" };

	return names[end];
}

double receive_seconds(const struct receiver *r)
{
	return (double)(r->last_ns - r->first_ns) / (double)CLOCK_S;
}
