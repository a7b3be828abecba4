/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is particular to a program's own io_uring: full queues, polls that the kernel ends, completions of others. */
#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "loops.h"

enum { LEN = 64, RINGS = 12 };

static const struct nmx_options small = { .tx_slots = 16, .rx_slots = 16 };

struct rig {
	struct io_uring uring;
	struct nmx_uring *loop;
	struct link link[RINGS];
	struct nmx_uring_rx *receiver[RINGS];
	uint64_t received[RINGS];
	int err;
	unsigned errors, closed, completions, nops;
	uint64_t last_user_data;
};

static struct rig rig;

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	uint64_t *received = arg;

	if (err < 0) {
		rig.err = err;
		rig.errors++;
		return;
	}
	nmx_rx_for_each (rx, frame)
		support_check(frame.data, LEN, (*received)++);
}

static void on_closed(void *arg)
{
	(void)arg;
	rig.closed++;
}

static void begin(unsigned entries, unsigned rings)
{
	int err;

	memset(&rig, 0, sizeof(rig));
	err = io_uring_queue_init(entries, &rig.uring, 0);
	if (err < 0) {
		print_message("skipped: io_uring is not permitted here: %s (seccomp, or /proc/sys/kernel/io_uring_disabled)\n", strerror(-err));
		skip();
	}
	require_result(nmx_uring_open(&rig.loop, &rig.uring), 0);
	for (unsigned i = 0; i < rings; i++) {
		rig.link[i] = support_link(&support_loop, 16, &small);
		require_result(nmx_uring_rx_open(&rig.receiver[i], rig.loop, rig.link[i].rx, on_packets, &rig.received[i]), 0);
	}
}

static void close_links(unsigned rings)
{
	for (unsigned i = 0; i < rings; i++) {
		nmx_tx_close(rig.link[i].tx);
		nmx_close(rig.link[i].tx_port);
	}
}

static void end(unsigned rings)
{
	nmx_uring_close(rig.loop);
	io_uring_queue_exit(&rig.uring);
	close_links(rings);
}

/* As the header shows it. */
static void turn(int sleep_ms)
{
	struct __kernel_timespec most = { sleep_ms / 1000, sleep_ms % 1000 * 1000000L };
	int more = nmx_uring_turn(rig.loop);
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	if (more)
		(void)!io_uring_submit_and_get_events(&rig.uring);
	else
		(void)!io_uring_submit_and_wait_timeout(&rig.uring, &cqe, 1, &most, NULL);
	io_uring_for_each_cqe (&rig.uring, head, cqe) {
		if (nmx_uring_completion(rig.loop, cqe)) {
			rig.last_user_data = cqe->user_data;
			rig.completions++;
		} else
			rig.nops++;
		count++;
	}
	io_uring_cq_advance(&rig.uring, count);
}

static void receive_all(unsigned rings, uint64_t until)
{
	int64_t deadline = support_now_ms() + LOOP_FOREVER_MS;

	for (unsigned i = 0; i < rings; i++)
		while (rig.received[i] < until) {
			require(support_now_ms() < deadline);
			turn(LOOP_MOMENT_MS);
		}
}

static void send_on_all(unsigned rings, uint64_t id)
{
	for (unsigned i = 0; i < rings; i++)
		support_send(rig.link[i].tx, id, 1, LEN);
}

/* Twelve polls to be made, and room for one request at a time; and for two completions of twelve. */
static void small_queues_delay_and_lose_nothing(void **state)
{
	(void)state;
	begin(1, RINGS);
	for (uint64_t id = 0; id < 50; id++) {
		send_on_all(RINGS, id);
		receive_all(RINGS, id + 1);
		turn(1); /* all of them asleep, more or less */
	}
	for (unsigned i = 0; i < RINGS; i++)
		nmx_uring_rx_close(rig.receiver[i], on_closed);
	while (rig.closed < RINGS)
		turn(LOOP_MOMENT_MS);
	end(RINGS);
}

/* The program's own requests fill the queue: the turn says that it is not through, and leaves them alone. */
static void a_queue_full_of_others_requests_makes_the_turn_ask_for_another(void **state)
{
	struct io_uring_sqe *sqe;

	(void)state;
	begin(4, 1);
	while ((sqe = io_uring_get_sqe(&rig.uring)) != NULL) {
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, 7);
	}
	require_result(nmx_uring_turn(rig.loop), 1);
	require_equal(io_uring_sq_ready(&rig.uring), 4); /* nothing was submitted behind the program's back */
	turn(LOOP_MOMENT_MS);
	turn(LOOP_MOMENT_MS);
	require_equal(rig.nops, 4);
	send_on_all(1, 0);
	receive_all(1, 1);
	end(1);
}

/* Somebody cancels it, as the kernel does that runs out of something. */
static void a_poll_that_has_ended_is_made_again(void **state)
{
	(void)state;
	begin(8, 1);
	for (uint64_t id = 0; id < 20; id++) {
		struct io_uring_sqe *sqe;

		send_on_all(1, id);
		receive_all(1, id + 1);
		while (rig.completions == 0 || rig.last_user_data == 0)
			turn(LOOP_MOMENT_MS);
		sqe = io_uring_get_sqe(&rig.uring);
		require(sqe != NULL);
		io_uring_prep_poll_remove(sqe, rig.last_user_data);
		io_uring_sqe_set_data64(sqe, 9);
		turn(LOOP_MOMENT_MS);
	}
	require_equal(rig.nops, 20);
	require_equal(rig.errors, 0);
	end(1);
}

static void a_poll_that_always_ends_is_an_error_and_no_busy_loop(void **state)
{
	struct io_uring_cqe cqe = { .res = -ENOBUFS };
	unsigned tries = 0;

	(void)state;
	begin(8, 1);
	turn(1);
	send_on_all(1, 0);
	receive_all(1, 1);
	while (rig.last_user_data == 0)
		turn(LOOP_MOMENT_MS);
	cqe.user_data = rig.last_user_data;
	for (; rig.errors == 0 && tries < 1000; tries++) {
		require(nmx_uring_completion(rig.loop, &cqe));
		nmx_uring_turn(rig.loop);
		require(io_uring_submit(&rig.uring) >= 0);
	}
	require(tries > 1 && tries < 100);
	require_result(rig.err, NMX_ERR_NO_MEMORY);
	nmx_uring_rx_start(rig.receiver[0]); /* and when that is over, it goes on */
	send_on_all(1, 1);
	receive_all(1, 2);
	require_equal(rig.errors, 1);
	end(1);
}

static void completions_of_others_and_of_the_past_do_nothing(void **state)
{
	static const uint64_t others[] = { 0, 1, (uint64_t)-1, 0x00007fffffffffff, 0x6e6c000000000000 };
	struct io_uring_cqe cqe = { .res = 1 };

	(void)state;
	begin(8, 1);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		cqe.user_data = others[i];
		require(!nmx_uring_completion(rig.loop, &cqe));
	}
	send_on_all(1, 0);
	receive_all(1, 1);
	while (rig.last_user_data == 0)
		turn(LOOP_MOMENT_MS);
	nmx_uring_rx_close(rig.receiver[0], on_closed);
	while (rig.closed == 0)
		turn(LOOP_MOMENT_MS);
	cqe.user_data = rig.last_user_data & ~(1ull << 47); /* its poll's */
	require(nmx_uring_completion(rig.loop, &cqe));
	for (uint64_t place = 0; place < 65536; place += 77) { /* ours by the tag, and nobody's */
		cqe.user_data = (uint64_t)NMX_URING_TAG << 48 | place * 65537;
		require(nmx_uring_completion(rig.loop, &cqe));
	}
	require_result(nmx_uring_turn(rig.loop), 0);
	end(1);
}

static void close_the_loop(struct nmx_rx *rx, int err, void *arg)
{
	(void)arg;
	require_result(err, 0);
	nmx_uring_close(rig.loop);
	nmx_rx_for_each (rx, frame)
		support_check(frame.data, LEN, 0);
	rig.closed++;
}

/* At any time, also in a callback, before the io_uring and after it, with polls that the kernel has. */
static void it_is_closed_in_any_order(void **state)
{
	struct nmx_uring_rx *receiver;
	struct link more;

	(void)state;
	for (int way = 0; way < 4; way++) {
		begin(8, 3);
		if (way > 0)
			turn(1);
		if (way == 2)
			io_uring_queue_exit(&rig.uring);
		if (way == 3) {
			more = support_link(&support_loop, 16, &small);
			require_result(nmx_uring_rx_open(&receiver, rig.loop, more.rx, close_the_loop, NULL), 0);
			support_send(more.tx, 0, 1, LEN);
			require_result(nmx_uring_turn(rig.loop), 0);
			require_equal(rig.closed, 1);
			nmx_tx_close(more.tx);
			nmx_close(more.tx_port);
		} else {
			nmx_uring_close(rig.loop);
		}
		if (way != 2)
			io_uring_queue_exit(&rig.uring);
		close_links(3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_queues_delay_and_lose_nothing),
		cmocka_unit_test(a_queue_full_of_others_requests_makes_the_turn_ask_for_another),
		cmocka_unit_test(a_poll_that_has_ended_is_made_again),
		cmocka_unit_test(a_poll_that_always_ends_is_an_error_and_no_busy_loop),
		cmocka_unit_test(completions_of_others_and_of_the_past_do_nothing),
		cmocka_unit_test(it_is_closed_in_any_order),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
