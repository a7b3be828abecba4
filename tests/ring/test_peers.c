/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The other end of a pipe: comes later, goes, comes again; in another thread or another process; and forked children,
 * which have none of it. */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { LEN = 60, SLOTS = 8 };
static const struct nmx_options small = { .tx_slots = SLOTS, .rx_slots = SLOTS, .extra_bufs = 1 };

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static struct end open_end(const char *name)
{
	struct nmx_port *port = support_open(name, &small);

	return (struct end){ port, support_tx(port, 0), support_rx(port, 0) };
}

static void close_end(struct end *e)
{
	nmx_tx_close(e->tx);
	nmx_rx_close(e->rx);
	nmx_close(e->port);
}

/* ---- before the other end exists */

static void what_is_sent_before_the_other_end_exists_waits_for_it(void **state)
{
	static const char *const orders[2][2] = { { "x{1", "x}1" }, { "x}1", "x{1" } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct end first = open_end(orders[i][0]), second;

		support_send(first.tx, 0, 7, LEN);
		require_result(nmx_rx_sync(first.rx), 0); /* nobody was there, so nobody is gone */
		second = open_end(orders[i][1]);
		support_expect(second.rx, 0, 7, LEN);
		support_send(second.tx, 50, 3, LEN);
		support_expect(first.rx, 50, 3, LEN);
		close_end(&first);
		close_end(&second);
	}
}

static void a_lonely_sender_is_held_and_loses_nothing(void **state)
{
	struct end first = open_end("x{1"), second;
	uint64_t id = 0;

	(void)state;
	while (nmx_tx_sync(first.tx) > 0)
		support_send(first.tx, id++, 1, LEN);
	require(id >= SLOTS - 1);
	require_result(nmx_tx_wait(first.tx, 1, 5), 0);
	second = open_end("x}1");
	support_expect(second.rx, 0, (uint32_t)id, LEN);
	require_result(nmx_rx_sync(second.rx), 0);
	require_result(nmx_tx_wait(first.tx, 1, -1), 1);
	close_end(&first);
	close_end(&second);
}

/* ---- the other end goes */

static void what_was_synced_before_the_peer_closed_comes_first_then_its_going_once(void **state)
{
	struct end a = open_end("x{1"), b = open_end("x}1");

	(void)state;
	require_result(nmx_rx_sync(b.rx), 0);
	support_send(a.tx, 0, 5, LEN);
	close_end(&a);
	require_result(nmx_rx_wait(b.rx, -1), 1);
	require_result(nmx_rx_sync(b.rx), 5);
	support_expect(b.rx, 0, 2, LEN);
	require_result(nmx_rx_sync(b.rx), 3); /* unread ones come before the news, too */
	support_expect(b.rx, 2, 3, LEN);
	require_result(nmx_rx_wait(b.rx, -1), 1);
	require_result(nmx_rx_sync(b.rx), NMX_ERR_PEER_GONE);
	for (int i = 0; i < 3; i++)
		require_result(nmx_rx_sync(b.rx), 0); /* once */
	require_result(nmx_rx_wait(b.rx, 0), 0);
	require_result(nmx_tx_sync(b.tx), NMX_ERR_PEER_GONE); /* each ring is told */
	require(nmx_tx_sync(b.tx) > 0);
	close_end(&b);
}

static void a_new_peer_takes_the_place_and_traffic_goes_on(void **state)
{
	struct end b = open_end("x}1"), a;
	uint64_t id = 100;

	(void)state;
	for (int lap = 0; lap < 10; lap++) {
		a = open_end("x{1");
		require_result(nmx_rx_sync(b.rx), 0);
		require(nmx_tx_sync(b.tx) > 0);
		if (lap) /* sent while nobody was there */
			support_expect(a.rx, id++, 1, LEN);
		support_send(a.tx, 3, 2, LEN);
		support_expect(b.rx, 3, 2, LEN);
		require_result(nmx_rx_sync(b.rx), 0);
		support_send(b.tx, 7, 2, LEN);
		support_expect(a.rx, 7, 1, LEN); /* of the other one, the user is gone before it reads it ... */
		close_end(&a);
		require_result(nmx_rx_sync(b.rx), NMX_ERR_PEER_GONE);
		require_result(nmx_tx_sync(b.tx), NMX_ERR_PEER_GONE);
		support_send(b.tx, id, 1, LEN); /* ... and this one waits */
	}
	close_end(&b);
}

static void a_peer_that_was_replaced_unseen_is_told_of(void **state)
{
	struct end b = open_end("x}1"), a = open_end("x{1");

	(void)state;
	require_result(nmx_rx_sync(b.rx), 0);
	close_end(&a);
	a = open_end("x{1");
	require_result(nmx_rx_sync(b.rx), NMX_ERR_PEER_GONE);
	require_result(nmx_rx_sync(b.rx), 0);
	support_send(a.tx, 0, 1, LEN);
	support_expect(b.rx, 0, 1, LEN);
	close_end(&a);
	require_result(nmx_rx_sync(b.rx), NMX_ERR_PEER_GONE);
	close_end(&b);
}

/* ---- elsewhere */

static void ping(struct end *e, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		int n;

		support_send_away(e->tx, i, LEN);
		while ((n = nmx_rx_sync(e->rx)) == 0)
			require(nmx_rx_wait(e->rx, -1) >= 0);
		support_expect(e->rx, i, 1, LEN);
		if (nmx_tx_space(e->tx) == 0)
			require(nmx_tx_sync(e->tx) > 0);
	}
}

static void pong(struct end *e, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		int n;

		while ((n = nmx_rx_sync(e->rx)) == 0)
			require(nmx_rx_wait(e->rx, -1) >= 0);
		support_expect(e->rx, i, 1, LEN);
		if (nmx_tx_space(e->tx) == 0)
			require(nmx_tx_sync(e->tx) > 0);
		support_send_away(e->tx, i, LEN);
	}
}

static void pong_in_another_program(void *arg)
{
	struct end e = open_end("x}1");

	pong(&e, *(uint64_t *)arg);
	close_end(&e);
}

static void two_unrelated_processes_meet_by_name(void **state)
{
	uint64_t rounds = 1000;
	pid_t pid = support_fork(pong_in_another_program, &rounds); /* forked before anything is open: it shares nothing */
	struct end e = open_end("x{1");

	(void)state;
	ping(&e, rounds);
	support_join(pid);
	/* It is gone now: said once, on each ring, whether it was seen going or not. */
	require_result(nmx_rx_wait(e.rx, -1), 1);
	require_result(nmx_rx_sync(e.rx), NMX_ERR_PEER_GONE);
	require_result(nmx_rx_sync(e.rx), 0);
	close_end(&e);
}

static void *pong_in_thread(void *arg)
{
	pong(arg, 1000);
	return NULL;
}

static void two_threads_of_a_process_share_a_pipe(void **state)
{
	struct end a = open_end("x{1"), b = open_end("x}1");
	pthread_t thread;

	(void)state;
	require(pthread_create(&thread, NULL, pong_in_thread, &b) == 0);
	ping(&a, 1000);
	require(pthread_join(thread, NULL) == 0);
	close_end(&a);
	close_end(&b);
}

static void *stream_out(void *arg)
{
	struct nmx_tx *tx = arg;

	for (uint64_t i = 0; i < 20000; i++) {
		while (nmx_tx_space(tx) == 0 && nmx_tx_sync(tx) == 0)
			require(nmx_tx_wait(tx, 1, -1) >= 0);
		support_send(tx, i, 1, LEN);
	}
	return NULL;
}

static void *stream_in(void *arg)
{
	struct nmx_rx *rx = arg;
	uint64_t id = 0;

	while (id < 20000) {
		int n = nmx_rx_sync(rx);

		require(n >= 0);
		if (n == 0)
			require(nmx_rx_wait(rx, -1) >= 0);
		nmx_rx_for_each (rx, frame)
			support_check(frame.data, LEN, id++);
	}
	return NULL;
}

static void rings_of_one_port_serve_a_thread_each(void **state)
{
	struct link l = support_link(*state, 16, &(struct nmx_options){ .tx_rings = 2, .rx_rings = 2 });
	struct nmx_tx *tx = support_tx(l.tx_port, 1);
	struct nmx_rx *rx = support_rx(l.rx_port, 1);
	pthread_t threads[3];

	nmx_tx_unbind(tx); /* as a program that used it before would */
	nmx_rx_unbind(rx);
	require(pthread_create(&threads[0], NULL, stream_out, l.tx) == 0);
	require(pthread_create(&threads[1], NULL, stream_out, tx) == 0);
	require(pthread_create(&threads[2], NULL, stream_in, rx) == 0);
	stream_in(l.rx);
	for (int i = 0; i < 3; i++)
		require(pthread_join(threads[i], NULL) == 0);
	nmx_tx_unbind(l.tx);
	nmx_tx_unbind(tx);
	nmx_rx_unbind(rx);
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	support_unlink(&l);
}

/* ---- forked children */

static void use_everything_of_the_parents(void *arg)
{
	struct link *l = arg;
	struct nmx_wait_entry entry = { .rx = l->rx };
	struct nmx_batch batch;
	struct nmx_frame frame;
	struct nmx_info info;
	struct nmx_rx *rx = NULL;
	struct nmx_tx *tx = NULL;
	struct nmx_buf buf;
	uint8_t data[LEN];

	require_equal(nmx_rx_waiting(l->rx), 0); /* the rings look empty */
	require(!nmx_rx_peek(l->rx, &frame) && !nmx_rx_recv(l->rx, &frame));
	require_equal(nmx_tx_space(l->tx), 0);
	require_result(nmx_tx_reserve(l->tx, 4, &batch), 0);
	nmx_batch_commit(&batch);
	require_result(nmx_tx_send(l->tx, "x", 1), NMX_ERR_WOULD_BLOCK);
	require_result(nmx_rx_recv_copy(l->rx, data, LEN), 0);
	require_equal(nmx_forward(l->rx, l->tx, 10), 0);
	require_result(nmx_rx_sync(l->rx), NMX_ERR_FORKED);
	require_result(nmx_tx_sync(l->tx), NMX_ERR_FORKED);
	require_result(nmx_rx_wait(l->rx, -1), NMX_ERR_FORKED);
	require_result(nmx_tx_wait(l->tx, 1, -1), NMX_ERR_FORKED);
	require_result(nmx_wait(&entry, 1, -1), NMX_ERR_FORKED);
	require_result(nmx_tx_drain(l->tx, -1), NMX_ERR_FORKED);
	require_result(nmx_rx_ring(l->rx_port, 0, &rx), NMX_ERR_FORKED);
	require_result(nmx_tx_ring(l->tx_port, 0, &tx), NMX_ERR_FORKED);
	require_equal(nmx_rx_pollfd(l->rx).fd, -1);
	require_equal(nmx_tx_pollfd(l->tx).fd, -1);
	require_equal(nmx_port_fd(l->rx_port), -1);
	require_equal(nmx_buf_get(l->tx_port, &buf, 1), 0);
	nmx_port_info(l->tx_port, &info);
	require_equal(info.tx_slots, SLOTS);
	require_equal(support_stats(l->tx_port).tx_packets, 0);
	nmx_rx_unbind(l->rx);
	nmx_tx_unbind(l->tx);
	support_unlink(l); /* harmless, in any order */
}

static void a_forked_child_has_none_of_its_parents_ports(void **state)
{
	struct link l = support_link(*state, SLOTS, &small);
	struct nmx_frame frame;

	require(nmx_rx_pollfd(l.rx).fd >= 0); /* descriptors that the child must lose */
	support_send(l.tx, 0, 3, LEN);
	require(nmx_rx_sync(l.rx) == 3 && nmx_rx_recv(l.rx, &frame));
	support_join(support_fork(use_everything_of_the_parents, &l));
	support_check(frame.data, LEN, 0); /* the parent goes on */
	support_expect(l.rx, 1, 2, LEN);
	require_result(nmx_rx_sync(l.rx), 0);
	require(nmx_tx_sync(l.tx) >= 3);
	support_send(l.tx, 3, 3, LEN);
	require_result(nmx_rx_wait(l.rx, 10000), 1);
	support_expect(l.rx, 3, 3, LEN);
	support_unlink(&l);
}

static void open_the_other_end_in_a_child(void *arg)
{
	struct end parents = *(struct end *)arg, mine;

	close_end(&parents);
	mine = open_end("x}1"); /* a child is a process like any other */
	pong(&mine, 100);
	close_end(&mine);
}

static void a_forked_child_can_open_ports_of_its_own(void **state)
{
	struct end e = open_end("x{1");
	pid_t pid = support_fork(open_the_other_end_in_a_child, &e);

	(void)state;
	ping(&e, 100);
	support_join(pid);
	close_end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_before_the_other_end_exists_waits_for_it),
		cmocka_unit_test(a_lonely_sender_is_held_and_loses_nothing),
		cmocka_unit_test(what_was_synced_before_the_peer_closed_comes_first_then_its_going_once),
		cmocka_unit_test(a_new_peer_takes_the_place_and_traffic_goes_on),
		cmocka_unit_test(a_peer_that_was_replaced_unseen_is_told_of),
		cmocka_unit_test(two_unrelated_processes_meet_by_name),
		cmocka_unit_test(two_threads_of_a_process_share_a_pipe),
		OVER_EACH_BACKEND(rings_of_one_port_serve_a_thread_each),
		OVER_EACH_BACKEND(a_forked_child_has_none_of_its_parents_ports),
		cmocka_unit_test(a_forked_child_can_open_ports_of_its_own),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
