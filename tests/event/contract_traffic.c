/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packets through a loop: order, back-pressure, completion, fairness. */
#include "contract.h"

#include <poll.h>

static const struct nmx_options small = { .tx_slots = 16, .rx_slots = 16, .extra_bufs = 4 };

static void packets_come_in_order_and_intact(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig.to_send = 3000;
	rig_receive(&rig, rig_on_packets);
	rig_send(&rig, rig_on_room);
	rig.kind->tx_want(rig.sender, 0);
	rig_run(&rig, &rig.done);
	require_equal(rig.received, rig.to_send);
	require_equal(rig.errors, 0);
	rig_close(&rig);
}

static void note_all_taken(struct nmx_tx *tx, int err, void *arg)
{
	struct rig *rig = arg;

	require_result(err, 0);
	require_equal(nmx_tx_space(tx), tx->num_slots - 1);
	require_equal(rig->received, 5);
	rig->done = true;
}

/* Wanting all slots is the completion: nothing of what was sent is under way any more. */
static void all_slots_are_free_when_all_was_taken(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_send(&rig, note_all_taken);
	for (uint64_t id = 0; id < 5; id++) {
		uint8_t data[RIG_LEN];

		rig_write(data, id);
		require_result(nmx_tx_send(rig.link.tx, data, sizeof(data)), 0);
	}
	rig.kind->tx_want(rig.sender, UINT32_MAX);
	loop_run_for(rig.kind, rig.loop, 30);
	rig_receive(&rig, rig_on_packets);
	rig_run(&rig, &rig.done);
	rig_close(&rig);
}

static void a_flush_hands_over_before_the_loop_sleeps(void **state)
{
	struct rig rig;
	uint8_t data[RIG_LEN];

	require(rig_open(&rig, *state, 0, &small));
	rig.to_send = 2;
	rig_receive(&rig, rig_on_packets);
	rig_send(&rig, rig_on_room);
	rig.kind->tx_flush(rig.sender);
	for (uint64_t id = 0; id < 2; id++) { /* after the flush was asked for */
		rig_write(data, id);
		require_result(nmx_tx_send(rig.link.tx, data, sizeof(data)), 0);
	}
	rig_run(&rig, &rig.done);
	require_equal(rig.rooms, 0); /* nothing was wanted */
	rig_close(&rig);
}

static void a_slow_consumer_holds_its_sender_and_loses_nothing(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig.to_send = 300;
	rig.take_most = 1;
	rig_receive(&rig, rig_on_packets);
	rig_send(&rig, rig_on_room);
	rig.kind->tx_want(rig.sender, 0);
	while (!rig.done) {
		rig.kind->rx_stop(rig.receiver);
		for (int i = 0; i < 5; i++)
			rig.kind->turn(rig.loop, 0);
		rig.kind->rx_start(rig.receiver);
		for (int i = 0; i < 3; i++)
			rig.kind->turn(rig.loop, 100);
	}
	require_equal(rig.received, 300);
	require_equal(rig.errors, 0);
	rig_close(&rig);
}

/* ---- stopping */

static void take_nothing(struct nmx_rx *rx, int err, void *arg)
{
	struct rig *rig = arg;

	require_result(err, 0);
	require(nmx_rx_waiting(rx) > 0);
	rig->calls++;
	rig->done = true;
}

static void a_callback_that_takes_nothing_stops_its_receiver(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, take_nothing);
	for (unsigned round = 1; round <= 3; round++) {
		rig_put(rig.link.tx, round, 1);
		rig_run(&rig, &rig.done);
		loop_run_for(rig.kind, rig.loop, 20);
		require_equal(rig.calls, round);
		rig.done = false;
		rig.kind->rx_start(rig.receiver);
	}
	rig_run(&rig, &rig.done); /* what waits already is offered when it is started */
	require_equal(nmx_rx_waiting(rig.link.rx), 3);
	rig_close(&rig);
}

static void stop_after_one(struct nmx_rx *rx, int err, void *arg)
{
	struct rig *rig = arg;

	rig->take_most = 1;
	rig_on_packets(rx, err, arg);
	rig->kind->rx_stop(rig->receiver);
	rig->done = true;
}

static void a_stopped_receiver_is_silent_and_keeps_what_waits(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, stop_after_one);
	rig_put(rig.link.tx, 0, 5);
	for (uint64_t i = 1; i <= 5; i++) {
		rig_run(&rig, &rig.done);
		loop_run_for(rig.kind, rig.loop, 10);
		require_equal(rig.received, i);
		require_equal(rig.calls, i);
		rig.done = false;
		rig.kind->rx_start(rig.receiver);
	}
	rig_close(&rig);
}

static void nobody_is_called_for_a_wakeup_without_packets(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, rig_on_packets);
	loop_run_for(rig.kind, rig.loop, 5);
	for (uint64_t id = 0; id < 20; id++) {
		rig_put(rig.link.tx, id, 1);
		require_result(nmx_rx_wait(rig.link.rx, LOOP_FOREVER_MS), 1);
		require_result(nmx_rx_sync(rig.link.rx), 1); /* taken by hand: the descriptor says that there is something */
		nmx_rx_for_each (rig.link.rx, frame)
			rig_check(frame.data, id);
		loop_run_for(rig.kind, rig.loop, 2);
		require_equal(rig.calls, 0);
	}
	rig.received = 20;
	rig.to_send = 21;
	rig_put(rig.link.tx, 20, 1); /* and the next one is not missed */
	rig_run(&rig, &rig.done);
	rig_close(&rig);
}

/* ---- keeping */

static void keep_one(struct nmx_rx *rx, int err, void *arg)
{
	struct rig *rig = arg;
	struct nmx_frame frame;

	require_result(err, 0);
	if (rig->received++ == 0) {
		require(nmx_rx_recv(rx, &frame));
		require_result(nmx_frame_take(&frame, &rig->kept), 0);
	}
	nmx_rx_for_each (rx, other)
		(void)other;
	rig->done = true;
}

static void a_frame_that_was_taken_outlives_the_callback(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	require_equal(nmx_buf_get(rig.link.rx_port, &rig.kept, 1), 1);
	rig_receive(&rig, keep_one);
	for (uint64_t id = 0; id < 50; id++) {
		rig_put(rig.link.tx, id, 1);
		rig.done = false;
		rig_run(&rig, &rig.done);
		require_equal(rig.kept.len, RIG_LEN);
		rig_check(rig.kept.data, 0);
	}
	nmx_buf_put(rig.link.rx_port, &rig.kept, 1);
	rig_close(&rig);
}

/* ---- several at once */

struct proxy {
	struct rig in, out; /* the receiver of the one feeds the sender of the other */
	unsigned held_up;
};

static void pass_on(struct nmx_rx *rx, int err, void *arg)
{
	struct proxy *proxy = arg;

	require_result(err, 0);
	proxy->in.calls++;
	nmx_rx_for_each (rx, frame) {
		int full = nmx_tx_forward(proxy->out.link.tx, &frame);

		if (full < 0) {
			require_result(full, NMX_ERR_WOULD_BLOCK);
			proxy->held_up++;
			proxy->in.kind->tx_want(proxy->out.sender, 1);
			break; /* stays first in line */
		}
	}
	proxy->in.kind->tx_flush(proxy->out.sender);
}

static void let_go(struct nmx_tx *tx, int err, void *arg)
{
	struct proxy *proxy = arg;

	require_result(err, 0);
	require(nmx_tx_space(tx) > 0);
	proxy->in.kind->rx_start(proxy->in.receiver);
}

static void a_proxy_keeps_back_what_its_other_side_cannot_take(void **state)
{
	const struct scene *scene = *state;
	struct nmx_options wide = { .tx_slots = 64, .rx_slots = 64 }, narrow = { .tx_slots = 5, .rx_slots = 5 };
	struct proxy p = { 0 };

	require(rig_open(&p.in, scene, 0, &wide));
	if (!rig_join(&p.out, &p.in, scene, 1, &narrow)) {
		rig_close(&p.in);
		print_message("skipped: one link is all there is here\n");
		skip();
	}
	require_result(p.in.kind->rx_open(&p.in.receiver, p.in.loop, p.in.link.rx, pass_on, &p), 0);
	require_result(p.in.kind->tx_open(&p.out.sender, p.in.loop, p.out.link.tx, let_go, &p), 0);
	p.in.to_send = p.out.to_send = 2000;
	rig_send(&p.in, rig_on_room);
	rig_receive(&p.out, rig_on_packets);
	p.in.kind->tx_want(p.in.sender, 0);
	rig_run(&p.in, &p.out.done);
	require_equal(p.out.received, 2000);
	require(p.held_up > 0);
	p.in.kind->rx_close(p.in.receiver, NULL);
	p.in.kind->tx_close(p.out.sender, NULL);
	for (int i = 0; i < 10; i++)
		p.in.kind->turn(p.in.loop, 10);
	p.in.receiver = p.out.sender = NULL;
	p.in.link.rx = NULL;
	p.out.link.tx = NULL;
	rig_leave(&p.out);
	rig_close(&p.in);
}

static void count_frames(struct nmx_rx *rx, int err, void *arg)
{
	require_result(err, 0);
	nmx_rx_for_each (rx, frame)
		*(uint64_t *)arg += frame.len > 0;
}

/* One that never runs dry must not keep nine others from theirs. */
static void ten_ports_on_one_loop_starve_none(void **state)
{
	struct rig rigs[9];
	struct nmx_port *null;
	uint64_t flood = 0;
	void *flooded = NULL;
	unsigned n = 0, turns;

	require(rig_open(&rigs[0], *state, 0, &small));
	null = support_open("null:", NULL);
	while (++n < 9 && rig_join(&rigs[n], &rigs[0], *state, n, &small))
		;
	require_result(rigs[0].kind->rx_open(&flooded, rigs[0].loop, support_rx(null, 0), count_frames, &flood), 0);
	for (unsigned i = 0; i < n; i++)
		rig_receive(&rigs[i], rig_on_packets);
	for (uint64_t round = 0; round < 50; round++) {
		for (unsigned i = 0; i < n; i++)
			rig_put(rigs[i].link.tx, round, 1);
		for (unsigned i = 0; i < n; i++)
			require_result(nmx_rx_wait(rigs[i].link.rx, LOOP_FOREVER_MS), 1); /* it is there */
		for (turns = 0; turns < 4; turns++)
			rigs[0].kind->turn(rigs[0].loop, 0);
		for (unsigned i = 0; i < n; i++)
			require_equal(rigs[i].received, round + 1);
	}
	require(flood >= 200 * 1000);
	rigs[0].kind->rx_close(flooded, NULL);
	nmx_close(null);
	while (--n > 0)
		rig_leave(&rigs[n]);
	rig_close(&rigs[0]);
}

const struct contract_case contract_traffic[] = {
	{ "packets_come_in_order_and_intact", packets_come_in_order_and_intact },
	{ "a_slow_consumer_holds_its_sender_and_loses_nothing", a_slow_consumer_holds_its_sender_and_loses_nothing },
	{ "a_proxy_keeps_back_what_its_other_side_cannot_take", a_proxy_keeps_back_what_its_other_side_cannot_take },
	{ NULL, NULL },
};

const struct contract_case contract_taken[] = {
	{ "all_slots_are_free_when_all_was_taken", all_slots_are_free_when_all_was_taken },
	{ NULL, NULL },
};

const struct contract_case contract_single[] = {
	{ "a_flush_hands_over_before_the_loop_sleeps", a_flush_hands_over_before_the_loop_sleeps },
	{ "a_callback_that_takes_nothing_stops_its_receiver", a_callback_that_takes_nothing_stops_its_receiver },
	{ "a_stopped_receiver_is_silent_and_keeps_what_waits", a_stopped_receiver_is_silent_and_keeps_what_waits },
	{ "nobody_is_called_for_a_wakeup_without_packets", nobody_is_called_for_a_wakeup_without_packets },
	{ "a_frame_that_was_taken_outlives_the_callback", a_frame_that_was_taken_outlives_the_callback },
	{ "ten_ports_on_one_loop_starve_none", ten_ports_on_one_loop_starve_none },
	{ NULL, NULL },
};
