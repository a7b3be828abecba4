/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Waiting for rings of the netmap device; threads; and interfaces that go away. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ports.h"

#define PATIENCE_MS 20000

/* ---- one thread waits, another sends */

struct sender {
	struct nmx_tx *tx;
	uint32_t count;
};

/* As much as there is room for, and waits for more. */
static void *send_all(void *arg)
{
	struct sender *s = arg;
	uint8_t data[60];

	for (uint32_t i = 0; i < s->count;) {
		int n = 0;

		for (; i < s->count && nmx_tx_space(s->tx) > 0; i++) {
			support_write(data, sizeof(data), i);
			require_result(nmx_tx_send(s->tx, data, sizeof(data)), 0);
		}
		n = nmx_tx_sync(s->tx);
		require(n >= 0);
		if (n == 0)
			require_result(nmx_tx_wait(s->tx, 1, PATIENCE_MS), 1);
	}
	require_result(nmx_tx_drain(s->tx, PATIENCE_MS), 0);
	return NULL;
}

static void receive_by_waiting(struct nmx_rx *rx, uint32_t count)
{
	for (uint32_t seen = 0; seen < count;) {
		int n = nmx_rx_sync(rx);

		require(n >= 0);
		if (n == 0)
			require_result(nmx_rx_wait(rx, PATIENCE_MS), 1);
		nmx_rx_for_each (rx, frame)
			support_check(frame.data, frame.len, seen++);
	}
	require_result(nmx_rx_sync(rx), 0); /* gives the last ones back: somebody drains */
}

/* By a descriptor in a loop of one's own; it is armed by the sync that finds nothing. */
static void receive_by_polling(struct nmx_rx *rx, uint32_t count)
{
	struct pollfd fd = nmx_rx_pollfd(rx);

	require(fd.fd >= 0);
	for (uint32_t seen = 0; seen < count;) {
		int n = nmx_rx_sync(rx);

		require(n >= 0);
		nmx_rx_for_each (rx, frame)
			support_check(frame.data, frame.len, seen++);
		if (n == 0)
			require_equal(poll(&fd, 1, PATIENCE_MS), 1);
	}
	require_result(nmx_rx_sync(rx), 0);
}

static void run(void (*receive)(struct nmx_rx *, uint32_t))
{
	struct nmx_options o = { .tx_slots = 16, .rx_slots = 16 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	struct sender sender = { p.tx, 5000 };
	pthread_t thread;

	require_equal(pthread_create(&thread, NULL, send_all, &sender), 0);
	receive(p.rx, 5000);
	pthread_join(thread, NULL);
	require_equal(support_stats(p.a).resets + support_stats(p.b).resets, 0);
	ports_close(&p);
}

static void waiting_misses_nothing(void **state)
{
	(void)state;
	run(receive_by_waiting);
}

static void a_descriptor_misses_nothing(void **state)
{
	(void)state;
	run(receive_by_polling);
}

/* ---- what a wait says */

static void a_wait_ends_at_its_time_and_at_a_packet(void **state)
{
	struct pair p;

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	p = ports_pair("eth0", "eth1", NULL);
	require_result(nmx_rx_sync(p.rx), 0);
	require_result(nmx_rx_wait(p.rx, 20), 0);
	require_equal(support_stats(p.b).sleeps > 0, 1);
	support_send(p.tx, 0, 1, 60);
	require_result(nmx_rx_wait(p.rx, PATIENCE_MS), 1);
	support_expect(p.rx, 0, 1, 60);
	require_result(nmx_rx_wait(p.rx, 0), 1); /* what was received is not given back yet */
	require_result(nmx_rx_sync(p.rx), 0);
	require_result(nmx_rx_wait(p.rx, 0), 0);
	require_result(nmx_tx_wait(p.tx, 15, 0), 1);
	ports_close(&p);
}

/* The kernel tells of the first free slot only. */
static void a_wait_for_many_slots_waits_for_all_of_them(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	struct nmx_frame frame;

	(void)state;
	support_send(p.tx, 0, 7, 60);
	require_result(nmx_rx_sync(p.rx), 7);
	require(nmx_rx_recv(p.rx, &frame) && nmx_rx_recv(p.rx, &frame));
	require_result(nmx_rx_sync(p.rx), 5);
	require_result(nmx_tx_wait(p.tx, 1, PATIENCE_MS), 1);
	require_result(nmx_tx_wait(p.tx, 2, PATIENCE_MS), 1);
	require_result(nmx_tx_wait(p.tx, 3, 20), 0);
	require_result(nmx_tx_drain(p.tx, 20), NMX_ERR_TIMED_OUT);
	support_expect(p.rx, 2, 5, 60);
	require_result(nmx_rx_sync(p.rx), 0);
	require_result(nmx_tx_drain(p.tx, PATIENCE_MS), 0);
	ports_close(&p);
}

/* ---- the kernel syncs inside of a poll */

static int fd_of(struct port *port, bool is_tx)
{
	int fd = -1;

	pthread_mutex_lock(&standin.lock);
	for (struct handle *h = standin_handles; h; h = h->next)
		if (h->port == port && h->end[is_tx] > h->first[is_tx] && h->end[!is_tx] == h->first[!is_tx])
			fd = h->fd;
	pthread_mutex_unlock(&standin.lock);
	require(fd >= 0);
	return fd;
}

static void a_sync_inside_of_a_poll_takes_nothing_away(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	int tx = fd_of(standin_find("x{1"), true), rx = fd_of(standin_find("x}1"), false);
	struct nmx_frame held;
	uint32_t sent = 0, seen = 0;
	uint8_t data[60];

	(void)state;
	require(nmx_tx_pollfd(p.tx).fd >= 0 && nmx_rx_pollfd(p.rx).fd >= 0);
	for (uint32_t round = 0; round < 100; round++) {
		for (; nmx_tx_space(p.tx) > 0; sent++) {
			support_write(data, 60, sent);
			require_result(nmx_tx_send(p.tx, data, 60), 0);
			if (sent % 3 == 0)
				standin_poll(tx, POLLOUT);
		}
		require(nmx_tx_sync(p.tx) >= 0);
		standin_poll(rx, POLLIN);
		require(nmx_rx_sync(p.rx) > 0);
		for (uint32_t i = 0; i < 1 + round % 4 && nmx_rx_recv(p.rx, &held); i++) {
			standin_poll(rx, POLLIN);
			support_check(held.data, held.len, seen++); /* a frame lives until the next nmx_rx_sync() */
		}
		require_result(nmx_rx_wait(p.rx, PATIENCE_MS), 1);
		standin_poll(tx, POLLOUT);
	}
	require_equal(support_stats(p.a).resets + support_stats(p.b).resets, 0);
	ports_close(&p);
}

/* ---- threads: a descriptor for each ring */

static void a_sync_touches_no_other_ring(void **state)
{
	struct port *nic = standin_nic("eth0", 2, 16);
	struct nmx_port *port = ports_open("eth0", NULL);
	struct nmx_rx *rx[2] = { support_rx(port, 0), support_rx(port, 1) };
	struct nmx_tx *tx[2] = { support_tx(port, 0), support_tx(port, 1) };
	uint8_t data[60] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		standin_arrive(nic, false, i, data, 60, 0);
	require_result(nmx_tx_send(tx[1], data, 60), 0);
	require_result(nmx_rx_sync(rx[0]), 1);
	require(nmx_tx_sync(tx[0]) > 0);
	require_equal(nmx_rx_waiting(rx[1]), 0);
	require_equal(standin_find("eth0")->kring[1][1].hwcur, 0);
	require_result(nmx_rx_sync(rx[1]), 1);
	for (uint32_t i = 0; i < 2; i++) {
		nmx_rx_close(rx[i]);
		nmx_tx_close(tx[i]);
	}
	nmx_close(port);
}

struct echo {
	struct nmx_port *port;
	uint32_t ring, count;
};

static void *run_ring(void *arg)
{
	struct echo *e = arg;
	struct nmx_tx *tx = support_tx(e->port, e->ring);
	struct nmx_rx *rx = support_rx(e->port, e->ring);
	uint32_t sent = 0, seen = 0;

	while (seen < e->count || sent < e->count) {
		if (sent < e->count && nmx_tx_space(tx) > 0 && sent < seen + 8) {
			support_send(tx, sent, 1, 60);
			sent++;
		}
		require(nmx_rx_sync(rx) >= 0);
		nmx_rx_for_each (rx, frame)
			support_check(frame.data, frame.len, seen++);
	}
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	return NULL;
}

/* eth0 ring i and eth1 ring i send to each other, a thread each. */
static void threads_use_rings_of_one_port(void **state)
{
	pthread_t threads[8];
	struct echo echos[8];
	struct nmx_port *ports[2];

	(void)state;
	ports_wire("eth0", "eth1", 4, 32);
	ports[0] = ports_open("eth0", NULL);
	ports[1] = ports_open("eth1", NULL);
	for (uint32_t i = 0; i < 8; i++) {
		echos[i] = (struct echo){ ports[i / 4], i % 4, 500 };
		require_equal(pthread_create(&threads[i], NULL, run_ring, &echos[i]), 0);
	}
	for (uint32_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	nmx_close(ports[0]);
	nmx_close(ports[1]);
}

/* ---- where one descriptor serves all rings */

static void *check_out_elsewhere(void *arg)
{
	struct nmx_rx *rx;

	require_result(nmx_rx_ring(arg, 0, &rx), NMX_ERR_BUSY);
	return NULL;
}

static void one_descriptor_is_one_threads(void **state)
{
	struct nmx_options o = { .backend = NMX_NETMAP, .tx_rings = 3, .rx_rings = 3 };
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx[3];
	pthread_t thread;
	uint8_t data[60] = { 0 };

	(void)state;
	standin.if_num = 3;
	require_result(nmx_open(&port, "vale0:a", &o, &why), 0);
	require_contains(why.text, "its rings are for one thread");
	require_contains(why.text, "\"vale0:a@1\"");
	tx = support_tx(port, 1);
	require_equal(pthread_create(&thread, NULL, check_out_elsewhere, port), 0);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < 3; i++)
		rx[i] = support_rx(port, i);
	for (uint32_t i = 0; i < 3; i++)
		require_result(nmx_rx_sync(rx[i]), 0);
	require_result(nmx_rx_wait(rx[0], 5), 0);
	standin_arrive(standin_find("vale0:a"), false, 1, data, 60, 0);
	require_result(nmx_rx_wait(rx[0], 5), 0); /* it is another ring's, and nobody spins */
	require_result(nmx_rx_wait(rx[1], PATIENCE_MS), 1);
	require_result(nmx_rx_sync(rx[1]), 1);
	require_result(nmx_tx_sync(tx), STANDIN_SLOTS - 1);
	for (uint32_t i = 0; i < 3; i++)
		nmx_rx_close(rx[i]);
	nmx_tx_close(tx);
	nmx_close(port);
}

/* ---- an interface that goes */

static void an_interface_that_goes_is_told(void **state)
{
	struct pair p;

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	p = ports_pair("eth0", "eth1", NULL);
	require_result(nmx_rx_sync(p.rx), 0);
	standin_unplug(standin_find("eth1"));
	require_result(nmx_rx_wait(p.rx, PATIENCE_MS), 1);
	require_result(nmx_rx_sync(p.rx), NMX_ERR_GONE);
	require_result(nmx_rx_sync(p.rx), NMX_ERR_GONE);
	support_send(p.tx, 0, 1, 60); /* the other end stays */
	standin_unplug(standin_find("eth0"));
	require_result(nmx_tx_sync(p.tx), NMX_ERR_GONE);
	require_result(nmx_tx_wait(p.tx, 15, PATIENCE_MS), 1);
	ports_close(&p);
}

/* ---- forks */

static void use_of_parents(void *arg)
{
	struct pair *p = arg;

	require_result(nmx_rx_sync(p->rx), NMX_ERR_FORKED);
	require_result(nmx_tx_sync(p->tx), NMX_ERR_FORKED);
	require_equal(nmx_rx_waiting(p->rx), 0);
	ports_close(p);
}

static void a_forked_child_has_no_rings(void **state)
{
	struct pair p;

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	p = ports_pair("eth0", "eth1", NULL);
	support_send(p.tx, 0, 1, 60);
	require_result(nmx_rx_sync(p.rx), 1);
	support_join(support_fork(use_of_parents, &p));
	require_equal(nmx_rx_waiting(p.rx), 1);
	ports_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(waiting_misses_nothing),
		TEST(a_descriptor_misses_nothing),
		TEST(a_wait_ends_at_its_time_and_at_a_packet),
		TEST(a_wait_for_many_slots_waits_for_all_of_them),
		TEST(a_sync_inside_of_a_poll_takes_nothing_away),
		TEST(a_sync_touches_no_other_ring),
		TEST(threads_use_rings_of_one_port),
		TEST(one_descriptor_is_one_threads),
		TEST(an_interface_that_goes_is_told),
		TEST(a_forked_child_has_no_rings),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
