/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Closing in any order and anywhere, peers that go, descriptors that are used up, rest. */
#include "contract.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct nmx_options small = { .tx_slots = 16, .rx_slots = 16 };

static void count_closed(void *arg)
{
	struct rig *rig = arg;

	rig->closed++;
	rig->done = true;
}

static void never_on_packets(struct nmx_rx *rx, int err, void *arg)
{
	(void)rx, (void)arg;
	support_fail(__FILE__, __LINE__, "called back after closing: %d", err);
}

static void never_on_room(struct nmx_tx *tx, int err, void *arg)
{
	(void)tx, (void)arg;
	support_fail(__FILE__, __LINE__, "called back after closing: %d", err);
}

/* ---- closing */

/* 0: the receiver, 1: the sender, 2: the ports. */
static void close_part(struct rig *rig, int part)
{
	if (part == 0)
		rig->kind->rx_close(rig->receiver, count_closed);
	else if (part == 1)
		rig->kind->tx_close(rig->sender, count_closed);
	else {
		if (rig->link.rx_port != rig->link.tx_port)
			nmx_close(rig->link.rx_port);
		nmx_close(rig->link.tx_port);
	}
}

static void fill(struct nmx_tx *tx)
{
	while (nmx_tx_sync(tx) > 0)
		rig_put(tx, 0, nmx_tx_space(tx));
}

/* The receiver waits, and the sender, for all slots of a ring that nobody takes anything from; or neither has had a turn. */
static void open_armed(struct rig *rig, const struct scene *scene, int turns)
{
	require(rig_open(rig, scene, 0, &small));
	fill(rig->link.tx);
	require_result(rig->kind->rx_open(&rig->receiver, rig->loop, rig->link.rx, never_on_packets, rig), 0);
	rig->kind->rx_stop(rig->receiver);
	require_result(rig->kind->tx_open(&rig->sender, rig->loop, rig->link.tx, never_on_room, rig), 0);
	rig->kind->tx_want(rig->sender, UINT32_MAX);
	for (; turns > 0; turns--)
		rig->kind->turn(rig->loop, 1);
}

static void all_parts_close_in_any_order_while_armed(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct rig rig;

	for (int turns = 0; turns < 3; turns++)
		for (int i = 0; i < 6; i++) {
			open_armed(&rig, *state, turns);
			for (int k = 0; k < 3; k++)
				close_part(&rig, orders[i][k]);
			while (rig.closed < 2)
				rig.kind->turn(rig.loop, LOOP_MOMENT_MS);
			rig.kind->turn(rig.loop, 0);
			rig.kind->close(rig.loop);
		}
}

static void never_closed(void *arg)
{
	(void)arg;
	support_fail(__FILE__, __LINE__, "closed by the second close");
}

static void closing_twice_is_closing_once(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, never_on_packets);
	rig_send(&rig, never_on_room);
	for (int part = 0; part < 2; part++)
		close_part(&rig, part);
	rig.kind->rx_close(rig.receiver, never_closed);
	rig.kind->tx_close(rig.sender, never_closed);
	while (rig.closed < 2)
		rig.kind->turn(rig.loop, LOOP_MOMENT_MS);
	close_part(&rig, 2);
	rig.kind->turn(rig.loop, 0);
	require_equal(rig.closed, 2);
	rig.kind->close(rig.loop);
}

static void a_receiver_that_waits_is_closed(void **state)
{
	struct rig rig;

	for (int turns = 0; turns < 3; turns++) {
		require(rig_open(&rig, *state, 0, &small));
		require_result(rig.kind->rx_open(&rig.receiver, rig.loop, rig.link.rx, never_on_packets, &rig), 0);
		for (int k = 0; k < turns; k++)
			rig.kind->turn(rig.loop, 1);
		rig.kind->rx_close(rig.receiver, count_closed);
		rig_put(rig.link.tx, 0, 1); /* wakes what is being closed */
		rig_run(&rig, &rig.done);
		rig.receiver = NULL;
		rig.link.rx = NULL;
		rig_close(&rig);
	}
}

static void close_all_in_the_walk(struct nmx_rx *rx, int err, void *arg)
{
	struct rig *rig = arg;
	unsigned n = 0;

	require_result(err, 0);
	rig->calls++;
	nmx_rx_for_each (rx, frame) {
		if (n++ == 1) {
			rig->kind->rx_close(rig->receiver, count_closed);
			close_part(rig, 2);
		}
		rig_check(frame.data, n - 1); /* still there */
	}
	require_equal(n, 4);
}

static void a_receiver_closes_itself_and_its_port_while_it_looks_at_frames(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_put(rig.link.tx, 0, 4);
	require_result(nmx_rx_wait(rig.link.rx, LOOP_FOREVER_MS), 1);
	poll(NULL, 0, 20); /* for an interface: all four of them */
	require_result(rig.kind->rx_open(&rig.receiver, rig.loop, rig.link.rx, close_all_in_the_walk, &rig), 0);
	nmx_tx_close(rig.link.tx);
	rig_run(&rig, &rig.done);
	rig.kind->turn(rig.loop, 0);
	require_equal(rig.calls, 1);
	rig.kind->close(rig.loop);
}

static void close_both_on_room(struct nmx_tx *tx, int err, void *arg)
{
	struct rig *rig = arg;
	uint8_t data[RIG_LEN];

	require_result(err, 0);
	rig->calls++;
	rig_write(data, 0);
	rig->kind->tx_want(rig->sender, 1);
	rig->kind->tx_close(rig->sender, count_closed);
	rig->kind->rx_close(rig->receiver, NULL);
	require_result(nmx_tx_send(tx, data, sizeof(data)), 0); /* the ring is there until the callback returns */
	close_part(rig, 2);
}

static void a_sender_closes_itself_and_a_receiver_and_their_ports(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	require_result(rig.kind->rx_open(&rig.receiver, rig.loop, rig.link.rx, never_on_packets, &rig), 0);
	rig_send(&rig, close_both_on_room);
	rig.kind->tx_want(rig.sender, 3);
	rig_run(&rig, &rig.done);
	rig.kind->turn(rig.loop, 0);
	require_equal(rig.calls, 1);
	rig.kind->close(rig.loop);
}

static struct rig *reopened;

static void open_anew(void *arg)
{
	struct rig *rig = arg;

	require_result(nmx_rx_ring(rig->link.rx_port, 0, &rig->link.rx), 0); /* the ring is free again */
	rig_receive(rig, rig_on_packets);
	reopened = rig;
}

static void a_ring_is_free_again_when_its_receiver_is_closed(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	for (uint64_t round = 0; round < 5; round++) {
		reopened = NULL;
		rig.done = false;
		rig.to_send = round + 1;
		if (round == 0)
			rig_receive(&rig, rig_on_packets);
		else
			rig.kind->rx_close(rig.receiver, open_anew);
		while (round > 0 && !reopened)
			rig.kind->turn(rig.loop, LOOP_MOMENT_MS);
		rig_put(rig.link.tx, round, 1);
		rig_run(&rig, &rig.done);
	}
	rig_close(&rig);
}

/* ---- opening that fails */

static void without_descriptors_opening_fails_and_leaves_the_ring(void **state)
{
	struct rig rig;
	struct rlimit before, none;
	int free_fd = dup(0), err;

	require(free_fd >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	require(rig_open(&rig, *state, 0, &small));
	require_result(nmx_rx_wait(rig.link.rx, 1), 0); /* so that its bell is there, and only the rest is not */
	close(free_fd);
	free_fd = dup(0);
	none = (struct rlimit){ (rlim_t)free_fd, before.rlim_max };
	require(setrlimit(RLIMIT_NOFILE, &none) == 0);
	close(free_fd);
	free_fd = dup(0); /* no more than it takes */
	err = rig.kind->rx_open(&rig.receiver, rig.loop, rig.link.rx, never_on_packets, &rig);
	require(setrlimit(RLIMIT_NOFILE, &before) == 0);
	if (free_fd >= 0)
		close(free_fd);
	require_result(err, NMX_ERR_NO_MEMORY);
	require(rig.receiver == NULL);
	rig.to_send = 1;
	rig_receive(&rig, rig_on_packets);
	rig_put(rig.link.tx, 0, 1);
	rig_run(&rig, &rig.done);
	rig_close(&rig);
}

static void a_ring_is_in_a_loop_once(void **state)
{
	struct rig rig;
	void *another = NULL;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, rig_on_packets);
	rig_send(&rig, rig_on_room);
	require_result(rig.kind->rx_open(&another, rig.loop, rig.link.rx, never_on_packets, &rig), NMX_ERR_BUSY);
	require(another == NULL);
	rig.to_send = 1;
	rig_put(rig.link.tx, 0, 1);
	rig_run(&rig, &rig.done);
	rig_close(&rig);
}

/* ---- the other end */

static void send_and_wait_for_death(void *arg)
{
	struct nmx_port *port = support_open(arg, &(struct nmx_options){ .tx_slots = 16, .rx_slots = 16 });
	struct nmx_tx *tx = support_tx(port, 0);

	rig_put(tx, 0, 5);
	for (;;)
		pause();
}

static void open_receiving_end(struct rig *rig, const struct scene *scene, const char *name)
{
	const char *why = "";

	*rig = (struct rig){ .kind = scene->kind, .to_send = 5, .loop = scene->kind->open(&why) };
	if (!rig->loop) {
		print_message("skipped: %s\n", why);
		skip();
	}
	rig->link.rx_port = rig->link.tx_port = support_open(name, &(struct nmx_options){ .tx_slots = 16, .rx_slots = 16 });
	rig->link.rx = support_rx(rig->link.rx_port, 0);
	rig->link.tx = support_tx(rig->link.tx_port, 0);
}

static void a_peer_that_dies_is_told_once_and_the_next_is_heard(void **state)
{
	const struct scene *scene = *state;
	struct rig rig;

	open_receiving_end(&rig, scene, scene->place->receiver);
	rig_receive(&rig, rig_on_packets);
	for (unsigned life = 1; life <= 3; life++) {
		pid_t pid = support_fork(send_and_wait_for_death, (void *)(uintptr_t)scene->place->sender);

		rig.received = 0;
		rig.done = false;
		rig_run(&rig, &rig.done);
		require_equal(rig.errors, life - 1);
		rig.done = false;
		require(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
		rig_run(&rig, &rig.done);
		require_equal(rig.errors, life);
		require_result(rig.err, NMX_ERR_PEER_GONE);
		loop_run_for(rig.kind, rig.loop, 20);
		require_equal(rig.errors, life);
		rig.kind->rx_start(rig.receiver);
	}
	rig_close(&rig);
}

static void a_sender_hears_that_its_peer_has_gone(void **state)
{
	const struct scene *scene = *state;
	struct nmx_port *other;
	struct rig rig;

	open_receiving_end(&rig, scene, scene->place->receiver);
	other = support_open(scene->place->sender, &(struct nmx_options){ .tx_slots = 16, .rx_slots = 16 });
	rig_send(&rig, rig_on_room);
	rig.to_send = 100; /* more than fit: it waits */
	rig.kind->tx_want(rig.sender, 1);
	loop_run_for(rig.kind, rig.loop, 20);
	require(rig.rooms > 0 && rig.sent < 100);
	nmx_close(other);
	while (rig.errors == 0)
		rig.kind->turn(rig.loop, LOOP_MOMENT_MS);
	require_result(rig.err, NMX_ERR_PEER_GONE);
	loop_run_for(rig.kind, rig.loop, 20);
	require_equal(rig.errors, 1);
	rig_close(&rig);
}

static void a_member_that_dies_is_not_told_and_the_next_is_heard(void **state)
{
	const struct scene *scene = *state;
	struct rig rig;

	open_receiving_end(&rig, scene, scene->place->receiver);
	rig_receive(&rig, rig_on_packets);
	for (unsigned life = 1; life <= 3; life++) {
		pid_t pid = support_fork(send_and_wait_for_death, (void *)(uintptr_t)scene->place->sender);

		rig.received = 0;
		rig.done = false;
		rig_run(&rig, &rig.done);
		require(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
		loop_run_for(rig.kind, rig.loop, 20);
		require_equal(rig.errors, 0);
	}
	rig_close(&rig);
}

/* Its queue is full, and nobody is left to empty it. */
static void a_sender_goes_on_when_the_member_that_it_waits_for_dies(void **state)
{
	const struct scene *scene = *state;
	int64_t deadline = support_now_ms() + LOOP_FOREVER_MS;
	struct rig rig;
	pid_t pid;

	open_receiving_end(&rig, scene, scene->place->receiver);
	rig_receive(&rig, rig_on_packets);
	pid = support_fork(send_and_wait_for_death, (void *)(uintptr_t)scene->place->sender);
	rig_run(&rig, &rig.done); /* it is there */
	rig_send(&rig, rig_on_room);
	rig.to_send = 100;
	rig.kind->tx_want(rig.sender, 1);
	loop_run_for(rig.kind, rig.loop, 20);
	require(rig.rooms > 0 && rig.sent < 100);
	require(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	while (rig.sent < 100) {
		require(support_now_ms() < deadline);
		rig.kind->turn(rig.loop, LOOP_MOMENT_MS);
	}
	require_equal(rig.errors, 0);
	rig_close(&rig);
}

/* ---- rest */

static void at_rest_it_wakes_at_most_twice_a_second(void **state)
{
	struct rig rig;
	unsigned woken;

	require(rig_open(&rig, *state, 0, &small));
	rig_receive(&rig, rig_on_packets);
	rig_send(&rig, rig_on_room);
	rig.kind->tx_want(rig.sender, 1);
	loop_run_for(rig.kind, rig.loop, 10);
	woken = loop_run_for(rig.kind, rig.loop, 550);
	if (woken > 1)
		support_fail(__FILE__, __LINE__, "woken %u times in 0.55 seconds", woken);
	require_equal(rig.calls, 0);
	require_equal(rig.rooms, 1);
	rig_close(&rig);
}

const struct contract_case contract_life[] = {
	{ "closing_twice_is_closing_once", closing_twice_is_closing_once },
	{ "a_receiver_that_waits_is_closed", a_receiver_that_waits_is_closed },
	{ "a_receiver_closes_itself_and_its_port_while_it_looks_at_frames", a_receiver_closes_itself_and_its_port_while_it_looks_at_frames },
	{ "a_sender_closes_itself_and_a_receiver_and_their_ports", a_sender_closes_itself_and_a_receiver_and_their_ports },
	{ "a_ring_is_free_again_when_its_receiver_is_closed", a_ring_is_free_again_when_its_receiver_is_closed },
	{ "a_ring_is_in_a_loop_once", a_ring_is_in_a_loop_once },
	{ "without_descriptors_opening_fails_and_leaves_the_ring", without_descriptors_opening_fails_and_leaves_the_ring },
	{ NULL, NULL },
};

/* There is room, but not as much as is wanted: that is no reason to stay awake. */
static void a_sender_that_wants_more_than_there_is_sleeps(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &small));
	rig_send(&rig, rig_on_room);
	rig_put(rig.link.tx, 0, 5);
	rig.kind->tx_want(rig.sender, UINT32_MAX);
	loop_run_for(rig.kind, rig.loop, 20);
	require(loop_run_for(rig.kind, rig.loop, 300) <= 1);
	require_equal(rig.rooms, 0);
	rig.to_send = rig.sent = 5;
	rig_receive(&rig, rig_on_packets);
	rig_run(&rig, &rig.done);
	loop_run_for(rig.kind, rig.loop, 50);
	require_equal(rig.rooms, 1);
	rig_close(&rig);
}

static void after_a_load_it_sleeps(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, &(struct nmx_options){ .tx_slots = 1024, .rx_slots = 1024 }));
	rig_receive(&rig, rig_on_packets);
	rig.to_send = 1000;
	rig_put(rig.link.tx, 0, 1000);
	rig_run(&rig, &rig.done);
	for (int i = 0; i < 50; i++)
		rig.kind->turn(rig.loop, 0);
	require(loop_run_for(rig.kind, rig.loop, 200) <= 1);
	rig_close(&rig);
}

const struct contract_case contract_full[] = {
	{ "all_parts_close_in_any_order_while_armed", all_parts_close_in_any_order_while_armed },
	{ NULL, NULL },
};

const struct contract_case contract_rest[] = {
	{ "at_rest_it_wakes_at_most_twice_a_second", at_rest_it_wakes_at_most_twice_a_second },
	{ NULL, NULL },
};

const struct contract_case contract_amount[] = {
	{ "a_sender_that_wants_more_than_there_is_sleeps", a_sender_that_wants_more_than_there_is_sleeps },
	{ NULL, NULL },
};

const struct contract_case contract_load[] = {
	{ "after_a_load_it_sleeps", after_a_load_it_sleeps },
	{ NULL, NULL },
};

const struct contract_case contract_peers[] = {
	{ "a_peer_that_dies_is_told_once_and_the_next_is_heard", a_peer_that_dies_is_told_once_and_the_next_is_heard },
	{ "a_sender_hears_that_its_peer_has_gone", a_sender_hears_that_its_peer_has_gone },
	{ NULL, NULL },
};

const struct contract_case contract_members[] = {
	{ "a_member_that_dies_is_not_told_and_the_next_is_heard", a_member_that_dies_is_not_told_and_the_next_is_heard },
	{ "a_sender_goes_on_when_the_member_that_it_waits_for_dies", a_sender_goes_on_when_the_member_that_it_waits_for_dies },
	{ NULL, NULL },
};
