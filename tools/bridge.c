/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "say.h"
#include "stop.h"

#define FINISH_MS 500 /* for what is in hand when the bridge is stopped */

enum turn { TURN_IDLE, TURN_FULL, TURN_MOVED, TURN_FAILED };

/* ---- lanes */

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* Slots of the packet that is first in line; 0: nothing waits, or not all of it has come. */
static uint32_t first_packet(const struct nmx_rx *rx)
{
	const struct netmap_ring *ring = rx->ring;
	uint32_t n = 1, waiting = nmx_rx_waiting(rx);

	for (uint32_t i = ring->cur; n <= waiting; i = i + 1 == ring->num_slots ? 0 : i + 1, n++)
		if (!(ring->slot[i].flags & NMX_MORE))
			return n;
	return 0;
}

static uint32_t packets_waiting(const struct nmx_rx *rx)
{
	const struct netmap_ring *ring = rx->ring;
	uint32_t packets = 0;

	for (uint32_t i = ring->cur; i != ring->tail; i = i + 1 == ring->num_slots ? 0 : i + 1)
		packets += !(ring->slot[i].flags & NMX_MORE);
	return packets;
}

/* Copies the first packet, whose slots there is room for.  One that the other port can never send is dropped. */
static void copy_packet(struct bridge_lane *lane, uint32_t slots)
{
	struct nmx_batch batch = { .tx = NULL };
	struct nmx_frame frame;
	bool fits = slots <= lane->out->max_frags && nmx_tx_reserve(lane->out, slots, &batch) == (int)slots;
	bool reserved = fits;

	for (; slots > 0 && nmx_rx_recv(lane->in, &frame); slots--) {
		uint8_t *to = NULL;
		if (fits && (frame.flags & NMX_MORE))
			to = nmx_batch_fragment(&batch, frame.len);
		else if (fits)
			to = nmx_batch_packet(&batch, frame.len);
		fits = to != NULL;
		if (!fits)
			continue;
		memcpy(to, frame.data, frame.len);
		lane->way->copied_here += frame.len;
	}
	if (reserved && fits)
		nmx_batch_commit(&batch);
	else if (reserved)
		nmx_batch_cancel(&batch);
	lane->way->too_long += !fits;
}

static uint32_t copy(struct bridge_lane *lane, uint32_t max)
{
	uint32_t done = 0;

	for (;;) {
		uint32_t slots = first_packet(lane->in);
		bool can_pass = slots <= lane->out->max_frags;
		if (slots == 0 || slots > max - done || (can_pass && slots > nmx_tx_space(lane->out)))
			return done;
		copy_packet(lane, slots);
		done += slots;
	}
}

static uint32_t forward(struct bridge_lane *lane, uint32_t burst)
{
	uint32_t max = larger(burst, first_packet(lane->in)); /* a packet longer than a burst must pass too */

	if (lane->way->same_region && !lane->way->exchange)
		return copy(lane, max);
	return nmx_forward(lane->in, lane->out, max); /* copies by itself where it has to */
}

/* A ring tells each going of the other end once, and all rings of a port tell of the same: say it at the first. */
static void say_gone(struct bridge *bridge, const struct bridge_lane *lane, bool is_tx)
{
	const struct port *port = is_tx ? lane->way->to : lane->way->from;
	uint32_t from = (uint32_t)(lane->way - bridge->ways), ring = is_tx ? lane->out_index : lane->in_index;
	uint64_t *told = &bridge->gone[is_tx ? from ^ 1 : from];
	uint64_t bit = UINT64_C(1) << (ring % 32 + (is_tx ? 32 : 0));

	if (*told == 0 || (*told & bit)) {
		say(port->command, "%s: the other end has closed or died; waiting for another", port->name);
		*told = 0;
	}
	*told |= bit;
}

static enum turn trouble(struct bridge *bridge, struct bridge_lane *lane, bool is_tx, int err)
{
	struct port *port = is_tx ? lane->way->to : lane->way->from;

	if (err != NMX_ERR_PEER_GONE) {
		port_say_error(port, err);
		return TURN_FAILED;
	}
	if (port->info.backend == NMX_PCAP)
		lane->ended = true;
	else
		say_gone(bridge, lane, is_tx);
	return TURN_IDLE;
}

/* What is in hand stays there until the other side has room for a good part of it, or a short while has passed: one
 * packet more for each slot that comes free would be a wake-up for each. */
static uint32_t room_to_wait_for(const struct bridge_lane *lane, uint32_t burst)
{
	uint32_t part = smaller(smaller(nmx_rx_waiting(lane->in), burst), lane->out->num_slots / 2);

	return larger(part, first_packet(lane->in));
}

static enum turn turn(struct bridge *bridge, struct bridge_lane *lane)
{
	int waiting = port_rx_news(lane->way->from, nmx_rx_sync(lane->in));

	lane->full = false;
	if (waiting <= 0)
		return waiting == 0 ? TURN_IDLE : trouble(bridge, lane, false, waiting);
	uint32_t moved = forward(lane, bridge->burst);
	int room = port_tx_news(lane->way->to, lane->out, nmx_tx_sync(lane->out));
	if (room < 0 && trouble(bridge, lane, true, room) == TURN_FAILED)
		return TURN_FAILED;
	uint32_t first = first_packet(lane->in);
	if (nmx_rx_waiting(lane->in) == 0 || moved >= bridge->burst || (first && first <= nmx_tx_space(lane->out)))
		return TURN_MOVED;
	lane->full = true;
	lane->want = first ? room_to_wait_for(lane, bridge->burst) : 0;
	return TURN_FULL;
}

/* ---- the whole */

static void wait_for_room(struct bridge *bridge, uint32_t *n, const struct bridge_lane *lane)
{
	struct nmx_wait_entry *entries = bridge->entries;

	for (uint32_t i = 0; i < *n; i++)
		if (entries[i].tx == lane->out) { /* shared with another lane: for the one that needs more */
			entries[i].slots = larger(entries[i].slots, lane->want);
			return;
		}
	entries[(*n)++] = (struct nmx_wait_entry){ .tx = lane->out, .slots = lane->want };
}

static int wait_for_news(struct bridge *bridge)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < bridge->num_lanes; i++) {
		const struct bridge_lane *lane = &bridge->lanes[i];
		if (lane->ended || (lane->full && !lane->want))
			continue;
		if (lane->full)
			wait_for_room(bridge, &n, lane);
		else
			bridge->entries[n++] = (struct nmx_wait_entry){ .rx = lane->in };
	}
	return nmx_wait(bridge->entries, n, STOP_SLICE_MS);
}

static void count(struct bridge *bridge)
{
	struct nmx_stats now[BRIDGE_PORTS], *before = bridge->before;

	for (uint32_t i = 0; i < bridge->num_ports; i++)
		nmx_port_stats(bridge->ports[i]->nm, &now[i]);
	for (uint32_t from = 0; from < bridge->num_ports; from++) {
		struct bridge_way *way = &bridge->ways[from];
		uint32_t to = from ^ 1;
		way->packets = now[to].tx_packets - before[to].tx_packets;
		way->bytes = now[to].tx_bytes - before[to].tx_bytes;
		way->copied = now[from].rx_copied_bytes - before[from].rx_copied_bytes + now[to].tx_copied_bytes -
		              before[to].tx_copied_bytes + way->copied_here;
	}
}

/* Once a second: the rate, there and back, and the links. */
static void tick(struct bridge *bridge)
{
	uint64_t now = clock_ns();
	struct live_count counts[2] = { { 0 } };

	if (!live_due(bridge->live, now))
		return;
	count(bridge);
	for (uint32_t i = 0; i < bridge->num_ports; i++) {
		counts[i % 2].packets += bridge->ways[i].packets;
		counts[i % 2].bytes += bridge->ways[i].bytes;
		link_look(&bridge->ports[i]->link);
	}
	live_show(bridge->live, now, counts, 2);
	if (bridge->each_second)
		bridge->each_second(bridge->each_second_arg);
}

/* One turn of each lane: the liveliest of them.  *ended: there is no lane any more that could bring anything. */
static enum turn turn_all(struct bridge *bridge, bool *ended)
{
	enum turn best = TURN_IDLE;

	*ended = true;
	for (uint32_t i = 0; i < bridge->num_lanes && best < TURN_FAILED; i++) {
		struct bridge_lane *lane = &bridge->lanes[(bridge->first + i) % bridge->num_lanes];
		enum turn this_turn = lane->ended ? TURN_IDLE : turn(bridge, lane);
		*ended &= lane->ended;
		best = this_turn > best ? this_turn : best;
	}
	bridge->first = bridge->first + 1 < bridge->num_lanes ? bridge->first + 1 : 0;
	return best;
}

static enum bridge_end run(struct bridge *bridge)
{
	int err = 0;

	while (!stop_asked()) {
		bool ended;
		enum turn best = turn_all(bridge, &ended);
		if (best == TURN_FAILED)
			return BRIDGE_FAILED;
		if (ended)
			return BRIDGE_ENDED;
		tick(bridge);
		if (best == TURN_MOVED)
			continue;
		bool again = err < 0;
		err = wait_for_news(bridge);
		if (err < 0 && again) { /* the first time, a sync knows which port it is, and says it */
			say(bridge->ports[0]->command, "the wait for packets failed: %s", nmx_strerror(err));
			return BRIDGE_FAILED;
		}
	}
	return BRIDGE_STOPPED;
}

static int ms_until(uint64_t deadline)
{
	uint64_t now = clock_ns();

	return now < deadline ? (int)((deadline - now) / CLOCK_MS) : 0;
}

static void finish_lane(struct bridge_lane *lane, uint64_t deadline)
{
	while (first_packet(lane->in) > 0) {
		int left = ms_until(deadline);
		forward(lane, UINT32_MAX);
		int room = port_tx_news(lane->way->to, lane->out, nmx_tx_sync(lane->out));
		if (first_packet(lane->in) == 0 || left == 0 || (room < 0 && room != NMX_ERR_PEER_GONE))
			break;
		if (nmx_tx_wait(lane->out, room_to_wait_for(lane, UINT32_MAX), left) < 0)
			break;
	}
	lane->way->left += packets_waiting(lane->in);
}

static uint32_t slots_not_sent(struct port *port, struct nmx_tx *tx, uint64_t deadline)
{
	int err;

	do
		err = nmx_tx_drain(tx, ms_until(deadline));
	while (err == NMX_ERR_PEER_GONE && ms_until(deadline) > 0); /* it may have taken everything before */
	if (err == 0)
		return 0;
	uint32_t space = nmx_tx_space(tx), all = port->info.tx_slots - 1; /* one less than there are: netmap(4) */
	return space < all ? all - space : 0;
}

/* No more is received; what has been is handed on, and the other sides get a moment to take it. */
static void finish(struct bridge *bridge)
{
	uint64_t deadline = clock_ns() + FINISH_MS * CLOCK_MS;

	for (uint32_t i = 0; i < bridge->num_lanes; i++)
		finish_lane(&bridge->lanes[i], deadline);
	for (uint32_t i = 0; i < bridge->num_ports; i++) {
		struct port *to = bridge->ways[i].to;
		for (uint32_t ring = 0; ring < to->num_tx; ring++)
			bridge->ways[i].not_sent += slots_not_sent(to, to->all_tx[ring], deadline);
	}
}

enum bridge_end bridge_run(struct bridge *bridge, struct live *live)
{
	bridge->live = live;
	enum bridge_end end = run(bridge);
	finish(bridge);
	count(bridge);
	return end;
}

/* ---- before and after */

static void make_way(struct bridge *bridge, uint32_t index)
{
	struct bridge_way *way = &bridge->ways[index];
	struct port *from = bridge->ports[index], *to = bridge->ports[index ^ 1];

	*way = (struct bridge_way){ .from = from, .to = to };
	way->same_region = from->info.region == to->info.region;
	way->exchange = way->same_region && !bridge->force_copy;
	nmx_port_stats(from->nm, &bridge->before[index]);
	for (uint32_t i = 0; i < from->num_rx && to->num_tx > 0; i++)
		bridge->lanes[bridge->num_lanes++] = (struct bridge_lane){
			.way = way,
			.in = from->rx[i],
			.in_index = i,
			.out = to->all_tx[i % to->num_tx],
			.out_index = i % to->num_tx,
		};
}

int bridge_start(struct bridge *bridge, struct port *const *ports, uint32_t num_ports, uint32_t burst, bool force_copy)
{
	const char *command = ports[0]->command;
	uint32_t most = 0;

	*bridge = (struct bridge){ .num_ports = num_ports, .burst = burst, .force_copy = force_copy };
	for (uint32_t i = 0; i < num_ports; i++) {
		bridge->ports[i] = ports[i];
		most += ports[i]->num_rx;
	}
	bridge->lanes = calloc(most + 1, sizeof(*bridge->lanes));
	bridge->entries = calloc(most + 1, sizeof(*bridge->entries));
	if (!bridge->lanes || !bridge->entries) {
		bridge_free(bridge);
		return say(command, "out of memory");
	}
	for (uint32_t i = 0; i < num_ports; i++)
		make_way(bridge, i);
	if (bridge->num_lanes > 0)
		return EXIT_OK;
	bridge_free(bridge);
	return say(command, "neither of %s and %s can send what the other receives", ports[0]->name, ports[1]->name);
}

void bridge_free(struct bridge *bridge)
{
	free(bridge->lanes);
	free(bridge->entries);
	bridge->lanes = NULL;
	bridge->entries = NULL;
}
