/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "echo.h"

#include "clock.h"
#include "pace.h"
#include "say.h"
#include "sender.h"
#include "stop.h"

/* False: the port failed, or nobody is there. */
static bool usable(struct ping *ping, int result)
{
	if (result == NMX_ERR_PEER_GONE)
		ping->peer_gone = true;
	else if (result < 0)
		ping->err = result;
	return result >= 0;
}

static bool send_one(struct ping *ping)
{
	struct frame_stamp stamp = { .run = ping->template.run, .sequence = ping->sent };
	struct nmx_tx *tx = ping->port->tx;
	struct nmx_batch batch;
	int got = nmx_tx_reserve(tx, 1, &batch);

	if (!usable(ping, got))
		return false;
	stamp.time_ns = clock_ns();
	uint8_t *data = nmx_batch_packet(&batch, (uint32_t)ping->len);
	if (data)
		frame_build(&ping->template, data, (uint32_t)ping->len, &stamp);
	nmx_batch_commit(&batch);
	ping->sent++; /* also when the ring is full: then this one is lost */
	return usable(ping, nmx_tx_sync(tx));
}

/* True: it is the answer that we wait for. */
static bool is_answer(struct ping *ping, const struct nmx_frame *frame, uint64_t now)
{
	struct frame_stamp stamp;
	enum frame_kind kind = frame_check(frame->data, frame->len, &stamp);

	if (kind == FRAME_CORRUPT)
		ping->corrupt++;
	if (kind != FRAME_INTACT || stamp.run != ping->template.run)
		return false;
	if (stamp.sequence != ping->sent - 1) {
		ping->late++;
		return false;
	}
	hist_add(&ping->rtt, frame_age(&stamp, now));
	ping->answered++;
	return true;
}

enum looked { LOOKED_NOTHING, LOOKED_ANSWER, LOOKED_FAILED };

static enum looked look(struct ping *ping)
{
	enum looked looked = LOOKED_NOTHING;

	for (uint32_t i = 0; i < ping->port->num_rx; i++) {
		int waiting = nmx_rx_sync(ping->port->rx[i]);
		if (waiting == 0)
			continue;
		if (!usable(ping, waiting))
			return LOOKED_FAILED;
		uint64_t now = clock_ns();
		nmx_rx_for_each (ping->port->rx[i], frame)
			if (is_answer(ping, &frame, now))
				looked = LOOKED_ANSWER;
	}
	return looked;
}

static int wait_ms(uint64_t left_ns)
{
	return left_ns < STOP_SLICE_MS * CLOCK_MS ? (int)((left_ns + CLOCK_MS - 1) / CLOCK_MS) : STOP_SLICE_MS;
}

/* False: the command should end. */
static bool await_answer(struct ping *ping)
{
	uint64_t deadline = clock_ns() + ping->timeout_ns;

	while (!stop_asked()) {
		enum looked looked = look(ping);
		if (looked != LOOKED_NOTHING)
			return looked == LOOKED_ANSWER;
		uint64_t now = clock_ns();
		live_tick(ping->live, now, ping->answered, ping->answered * ping->len);
		if (now >= deadline)
			return true;
		if (ping->spin) {
			clock_relax();
			continue;
		}
		int err = port_wait_rx(ping->port, wait_ms(deadline - now));
		if (err < 0 && err != NMX_ERR_PEER_GONE) /* a sync says it again */
			return usable(ping, err);
	}
	return false;
}

static void pause_until(struct ping *ping, uint64_t due)
{
	for (uint64_t now = clock_ns(); now < due && !stop_asked(); now = clock_ns()) {
		pace_idle_until(due, now);
		live_tick(ping->live, now, ping->answered, ping->answered * ping->len);
	}
}

static bool has_enough(const struct ping *ping, uint64_t now)
{
	return ping->sent >= ping->count || ping->lost_in_a_row >= PING_GIVE_UP ||
	       (ping->until_ns && now >= ping->until_ns);
}

void ping_run(struct ping *ping)
{
	for (uint64_t now = clock_ns(); !has_enough(ping, now) && !stop_asked(); now = clock_ns()) {
		uint64_t due = now + ping->interval_ns, answered = ping->answered;
		if (!send_one(ping))
			break;
		bool go_on = await_answer(ping);
		ping->lost_in_a_row = ping->answered == answered ? ping->lost_in_a_row + 1 : 0;
		live_tick(ping->live, clock_ns(), ping->answered, ping->answered * ping->len);
		if (!go_on)
			break;
		if (ping->sent < ping->count)
			pause_until(ping, due);
	}
	/* One that a stop request cut off may have been on its way: it does not count. */
	if (stop_asked() && ping->lost_in_a_row)
		ping->sent--;
	ping->lost = ping->sent - ping->answered;
}

struct pong {
	struct receiver receiver; /* first, so that give_back() finds the rest */
	struct sender sender;
	uint64_t to_groups;
};

/* Exchanged, its addresses would make a frame from a group, which there is not. */
static bool is_to_a_group(const struct nmx_frame *frame) { return frame->data[0] & 1; }

/* Forwards what there is room for.  A frame for which there is none stays first in line, untouched. */
static void forward(struct pong *pong, struct nmx_rx *rx)
{
	struct nmx_tx *tx = pong->sender.tx;
	bool interface = pong->sender.port->link.name[0] != '\0';

	nmx_rx_for_each (rx, frame) {
		uint32_t len = frame.len;
		if (interface && is_to_a_group(&frame)) {
			pong->to_groups++;
			continue;
		}
		if (nmx_tx_space(tx) == 0)
			break;
		frame_turn(frame.data, len);
		if (nmx_tx_forward(tx, &frame) < 0)
			continue; /* more than this port can send: it took it, so this cannot be */
		pong->receiver.packets++;
		pong->receiver.bytes += len;
	}
}

static bool give_back(struct receiver *receiver, struct nmx_rx *rx, uint64_t now)
{
	struct pong *pong = (struct pong *)receiver;

	(void)now;
	sender_go(&pong->sender, receiver->ring % receiver->port->num_tx);
	for (;;) {
		forward(pong, rx);
		if (!sender_sync(&pong->sender))
			return true;
		if (nmx_rx_waiting(rx) == 0)
			return false;
		if (pong->sender.free_slots == 0 && !sender_wait(&pong->sender, 1))
			return true;
	}
}

enum receive_end pong_run(struct port *port, struct live *live, bool spin, struct pong_report *report)
{
	struct pong pong = { .receiver = { .port = port, .live = live, .take = give_back, .spin = spin } };

	sender_start(&pong.sender, port, live, 0);
	sender_use(&pong.sender, 0, port->num_tx);
	enum receive_end end = receive(&pong.receiver);
	*report = (struct pong_report){ pong.receiver.packets, pong.to_groups };
	if (end != RECEIVE_ENOUGH)
		return end;
	if (pong.sender.err < 0)
		port_say_error(port, pong.sender.err);
	return pong.sender.err < 0 ? RECEIVE_FAILED : stop_asked() ? RECEIVE_STOPPED : RECEIVE_PEER_GONE;
}
