/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Waiting, by the library's calls and by descriptors in a foreign loop.  Times are only ever lower bounds, or far away. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "base/poller.h"
#include "support.h"

enum { LEN = 60, FOREVER_MS = 20000 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static void nap_ms(int ms) { poll(NULL, 0, ms); }

/* Something that another thread does in a moment. */
struct later {
	pthread_t thread;
	void (*what)(struct link *link);
	struct link *link;
};

static void hand_over(struct link *link)
{
	if (link->tx)
		nmx_tx_unbind(link->tx);
	if (link->rx)
		nmx_rx_unbind(link->rx);
}

static void *in_a_moment(void *arg)
{
	struct later *later = arg;

	nap_ms(30);
	later->what(later->link);
	hand_over(later->link);
	return NULL;
}

static void start(struct later *later, void (*what)(struct link *link), struct link *link)
{
	*later = (struct later){ .what = what, .link = link };
	hand_over(link);
	require(pthread_create(&later->thread, NULL, in_a_moment, later) == 0);
}

static void finish(struct later *later) { require(pthread_join(later->thread, NULL) == 0); }

static void send_one(struct link *link) { support_send(link->tx, 1, 1, LEN); }

static void take_all(struct link *link)
{
	while (nmx_rx_sync(link->rx) > 0)
		nmx_rx_for_each (link->rx, frame)
			(void)frame;
}

/* ---- nmx_rx_wait, nmx_tx_wait, nmx_wait */

static void a_wait_ends_when_time_is_up_and_not_before(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	int64_t before = support_now_ms();

	require_result(nmx_rx_wait(l.rx, 60), 0);
	require(support_now_ms() - before >= 59);
	require_result(nmx_rx_wait(l.rx, 0), 0);
	support_send(l.tx, 0, 3, LEN);
	while (nmx_tx_sync(l.tx) > 0)
		require_result(nmx_tx_send(l.tx, "x", 1), 0);
	before = support_now_ms();
	require_result(nmx_tx_wait(l.tx, 1, 60), 0);
	require(support_now_ms() - before >= 59);
	require_result(nmx_tx_wait(l.tx, 0, 0), 0);
	support_unlink(&l);
}

static void a_wait_returns_at_once_when_there_is_something_to_do(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct nmx_frame frame;

	require_result(nmx_tx_wait(l.tx, 0, -1), 1);
	require_result(nmx_tx_wait(l.tx, 3, -1), 1);
	require_result(nmx_tx_wait(l.tx, 1000000, -1), 1); /* more than the ring has: all of them */
	support_send(l.tx, 0, 2, LEN);
	require_result(nmx_rx_wait(l.rx, -1), 1); /* not synced yet */
	require_equal(nmx_rx_waiting(l.rx), 0);   /* the wait leaves the ring alone */
	require_result(nmx_rx_sync(l.rx), 2);
	require_result(nmx_rx_wait(l.rx, -1), 1); /* unread */
	require(nmx_rx_recv(l.rx, &frame) && nmx_rx_recv(l.rx, &frame));
	require_result(nmx_rx_wait(l.rx, -1), 1); /* read and not given back: a full ring would sleep for ever */
	support_check(frame.data, LEN, 1);
	require_result(nmx_rx_sync(l.rx), 0);
	require_result(nmx_rx_wait(l.rx, 0), 0);
	support_unlink(&l);
}

static void a_packet_wakes_the_receiver(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct later later;

	require_result(nmx_rx_sync(l.rx), 0);
	start(&later, send_one, &l);
	require_result(nmx_rx_wait(l.rx, FOREVER_MS), 1);
	support_expect(l.rx, 1, 1, LEN);
	finish(&later);
	support_unlink(&l);
}

static void room_wakes_the_sender(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct later later;

	while (nmx_tx_sync(l.tx) > 0)
		require_result(nmx_tx_send(l.tx, "x", 1), 0);
	start(&later, take_all, &l);
	require_result(nmx_tx_wait(l.tx, 3, FOREVER_MS), 1);
	finish(&later);
	require_result(nmx_tx_sync(l.tx), 3);
	support_unlink(&l);
}

static void a_wait_for_several_rings_says_which_are_ready(void **state)
{
	struct nmx_options o = { .tx_rings = 3, .rx_rings = 3 };
	struct link l = support_link(*state, 4, &o);
	struct nmx_rx *rx[3] = { l.rx, support_rx(l.rx_port, 1), support_rx(l.rx_port, 2) };
	struct nmx_tx *tx[3] = { l.tx, support_tx(l.tx_port, 1), support_tx(l.tx_port, 2) };
	struct nmx_wait_entry entries[5];
	struct link third = { .tx = tx[2] };
	struct later later;

	while (nmx_tx_sync(tx[0]) > 0)
		require_result(nmx_tx_send(tx[0], "x", 1), 0);
	for (int i = 0; i < 2; i++)
		entries[i] = (struct nmx_wait_entry){ .rx = rx[i + 1], .ready = true };
	entries[2] = (struct nmx_wait_entry){ .tx = tx[0], .slots = 2, .ready = true };
	require_result(nmx_wait(entries, 3, 0), 0);
	require(!entries[0].ready && !entries[1].ready && !entries[2].ready);
	start(&later, send_one, &third);
	require_result(nmx_wait(entries, 3, FOREVER_MS), 1);
	require(!entries[0].ready && entries[1].ready && !entries[2].ready);
	finish(&later);
	entries[3] = (struct nmx_wait_entry){ .rx = rx[0] };
	entries[4] = (struct nmx_wait_entry){ .tx = tx[1] };
	require_result(nmx_wait(entries, 5, -1), 3);
	require(!entries[0].ready && entries[1].ready && !entries[2].ready && entries[3].ready && entries[4].ready);
	for (int i = 1; i < 3; i++) {
		nmx_rx_close(rx[i]);
		nmx_tx_close(tx[i]);
	}
	support_unlink(&l);
}

static void a_wait_for_64_rings_works(void **state)
{
	struct nmx_options o = { .tx_rings = 64, .rx_rings = 64 };
	struct link l = support_link(*state, 3, &o);
	struct nmx_wait_entry entries[64] = { { .rx = l.rx } };
	struct nmx_tx *last = support_tx(l.tx_port, 63);

	for (uint32_t i = 1; i < 64; i++)
		entries[i].rx = support_rx(l.rx_port, i);
	require_result(nmx_wait(entries, 64, 10), 0);
	support_send(last, 0, 1, LEN);
	require_result(nmx_wait(entries, 64, -1), 1);
	for (uint32_t i = 0; i < 64; i++)
		require_equal(entries[i].ready, i == 63);
	support_expect(entries[63].rx, 0, 1, LEN);
	for (uint32_t i = 1; i < 64; i++)
		nmx_rx_close(entries[i].rx);
	nmx_tx_close(last);
	support_unlink(&l);
}

static void on_alarm(int sig) { (void)sig; }

static void a_signal_ends_a_wait(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct sigaction action = { .sa_handler = on_alarm }, before;
	struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };

	require(sigaction(SIGALRM, &action, &before) == 0);
	require(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* again and again: the first may come before the wait */
	require_result(nmx_rx_wait(l.rx, -1), 0);
	require(setitimer(ITIMER_REAL, &never, NULL) == 0);
	require(sigaction(SIGALRM, &before, NULL) == 0);
	support_send(l.tx, 0, 1, LEN);
	require_result(nmx_rx_wait(l.rx, -1), 1);
	support_unlink(&l);
}

static void drain_waits_until_all_is_taken(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct later later;

	require_result(nmx_tx_drain(l.tx, -1), 0); /* nothing was sent */
	require_result(nmx_tx_send(l.tx, "x", 1), 0);
	require_result(nmx_tx_drain(l.tx, 20), NMX_ERR_TIMED_OUT);
	require_result(nmx_tx_drain(l.tx, 0), NMX_ERR_TIMED_OUT);
	require_result(nmx_rx_sync(l.rx), 1); /* it had been handed over */
	require_result(nmx_tx_drain(l.tx, 0), 0);
	require_result(nmx_tx_send(l.tx, "x", 1), 0);
	start(&later, take_all, &l);
	require_result(nmx_tx_drain(l.tx, FOREVER_MS), 0);
	finish(&later);
	support_unlink(&l);
}

/* ---- descriptors */

/* Now, or within a moment that no tick can be taken for. */
static bool is_ready(struct pollfd p, int timeout_ms)
{
	p.revents = 0;
	return poll(&p, 1, timeout_ms) == 1 && p.revents;
}

/* Not ready once a sync has found nothing; the tick may be in the way once. */
static void require_idle(struct nmx_rx *rx)
{
	int tries = 0;

	do
		require_result(nmx_rx_sync(rx), 0);
	while (is_ready(nmx_rx_pollfd(rx), 0) && ++tries < 3);
	require(tries < 3);
}

static void a_descriptor_is_ready_as_long_as_there_is_something(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct pollfd p = nmx_rx_pollfd(l.rx);

	require(p.fd >= 0);
	require_equal(nmx_rx_pollfd(l.rx).fd, p.fd); /* the same for life */
	for (uint64_t lap = 0; lap < 20; lap++) {
		require_idle(l.rx);
		support_send(l.tx, 2 * lap, 2, LEN);
		for (int i = 0; i < 3; i++)
			require(is_ready(p, FOREVER_MS)); /* level triggered */
		require_result(nmx_rx_sync(l.rx), 2);
		require(is_ready(p, FOREVER_MS)); /* no sync has said "nothing" yet */
		support_expect(l.rx, 2 * lap, 2, LEN);
	}
	support_unlink(&l);
}

static void what_came_before_the_descriptor_was_asked_for_counts(void **state)
{
	struct link l = support_link(*state, 4, NULL);

	support_send(l.tx, 0, 1, LEN);
	require(is_ready(nmx_rx_pollfd(l.rx), 500)); /* sooner than the tick */
	support_unlink(&l);
}

static void a_transmit_descriptor_is_ready_when_there_is_room(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct pollfd p = nmx_tx_pollfd(l.tx);

	require(p.fd >= 0 && is_ready(p, FOREVER_MS));
	for (int lap = 0; lap < 5; lap++) {
		int tries = 0;

		do
			while (nmx_tx_sync(l.tx) > 0)
				require_result(nmx_tx_send(l.tx, "x", 1), 0);
		while (is_ready(p, 0) && ++tries < 3);
		require(tries < 3);
		take_all(&l);
		require(is_ready(p, FOREVER_MS));
		require(nmx_tx_sync(l.tx) > 0);
	}
	support_unlink(&l);
}

/* A sync has armed the descriptor; a wait of the library's own in between must not disarm it. */
static void a_wait_leaves_an_armed_descriptor_armed(void **state)
{
	struct link l = support_link(*state, 4, NULL);
	struct pollfd p = nmx_rx_pollfd(l.rx);
	uint64_t rung = support_stats(l.tx_port).wakeups;

	require_idle(l.rx);
	require_result(nmx_rx_wait(l.rx, 0), 0);
	require_result(nmx_rx_wait(l.rx, 5), 0);
	support_send(l.tx, 0, 1, LEN);
	require_equal(support_stats(l.tx_port).wakeups, rung + 1);
	require(is_ready(p, FOREVER_MS));
	support_unlink(&l);
}

static void one_descriptor_serves_all_receive_rings_of_a_port(void **state)
{
	struct nmx_options o = { .tx_rings = 2, .rx_rings = 2 };
	struct link l = support_link(*state, 4, &o);
	int fd = nmx_port_fd(l.rx_port);
	struct nmx_tx *tx = support_tx(l.tx_port, 1);
	struct nmx_rx *rx = support_rx(l.rx_port, 1); /* after the descriptor was asked for */
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct nmx__poller loop; /* somebody else's */

	require(fd >= 0 && nmx__poller_open(&loop, 0) == 0);
	require_equal(nmx_port_fd(l.rx_port), fd);
	require(nmx__poller_add(&loop, fd, POLLIN) == 0);
	for (int lap = 0; lap < 10; lap++) {
		int tries = 0;

		do {
			require_result(nmx_rx_sync(l.rx), 0);
			require_result(nmx_rx_sync(rx), 0);
		} while (is_ready(p, 0) && ++tries < 3);
		require(tries < 3);
		nmx__poller_settle(&loop);
		support_send(lap % 2 ? tx : l.tx, 0, 1, LEN);
		require(is_ready(p, FOREVER_MS));
		require(is_ready((struct pollfd){ .fd = loop.fd, .events = POLLIN }, FOREVER_MS));
		support_expect(lap % 2 ? rx : l.rx, 0, 1, LEN);
	}
	nmx_rx_close(rx); /* leaves it, and the other goes on */
	require_result(nmx_rx_sync(l.rx), 0);
	support_send(l.tx, 0, 1, LEN);
	require(is_ready(p, FOREVER_MS));
	nmx__poller_close(&loop);
	nmx_tx_close(tx);
	support_unlink(&l);
}

/* ---- no system calls while both are busy */

static void a_spinning_receiver_costs_its_sender_no_wakeups(void **state)
{
	struct link l = support_link(*state, 64, NULL);

	for (uint64_t i = 0; i < 20000; i++) {
		require_result(nmx_rx_sync(l.rx), 0); /* finds nothing, and does not arm */
		support_send(l.tx, i, 1, LEN);
		support_expect(l.rx, i, 1, LEN);
	}
	require_equal(support_stats(l.tx_port).wakeups + support_stats(l.rx_port).wakeups, 0);
	require_equal(support_stats(l.tx_port).sleeps + support_stats(l.rx_port).sleeps, 0);
	support_unlink(&l);
}

#if defined(__linux__) && !defined(SANITIZED)
/* In strict mode the kernel kills whoever makes a system call other than read, write and exit. */
static void move_packets_in_strict_mode(void *arg)
{
	struct link l = support_link(arg, 64, NULL);
	struct nmx_stats stats;

	require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	for (uint64_t i = 0; i < 20000; i += 10) {
		support_send(l.tx, i, 10, LEN);
		support_expect(l.rx, i, 10, LEN);
		require_result(nmx_rx_sync(l.rx), 0);
		require(nmx_tx_sync(l.tx) > 0);
	}
	stats = support_stats(l.tx_port);
	syscall(SYS_exit, stats.wakeups == 0 ? 0 : 98);
}

static void packets_move_without_a_system_call(void **state)
{
	support_join(support_fork(move_packets_in_strict_mode, *state));
	nmx_close(support_open("cleaner{1", NULL)); /* the child left without a word: its files go with the next one */
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(a_wait_ends_when_time_is_up_and_not_before),
		OVER_EACH_BACKEND(a_wait_returns_at_once_when_there_is_something_to_do),
		OVER_EACH_BACKEND(a_packet_wakes_the_receiver),
		OVER_EACH_BACKEND(room_wakes_the_sender),
		OVER_EACH_BACKEND(a_wait_for_several_rings_says_which_are_ready),
		OVER_EACH_BACKEND(a_wait_for_64_rings_works),
		OVER_EACH_BACKEND(a_signal_ends_a_wait),
		OVER_EACH_BACKEND(drain_waits_until_all_is_taken),
		OVER_EACH_BACKEND(a_descriptor_is_ready_as_long_as_there_is_something),
		OVER_EACH_BACKEND(what_came_before_the_descriptor_was_asked_for_counts),
		OVER_EACH_BACKEND(a_transmit_descriptor_is_ready_when_there_is_room),
		OVER_EACH_BACKEND(a_wait_leaves_an_armed_descriptor_armed),
		OVER_EACH_BACKEND(one_descriptor_serves_all_receive_rings_of_a_port),
		OVER_EACH_BACKEND(a_spinning_receiver_costs_its_sender_no_wakeups),
#if defined(__linux__) && !defined(SANITIZED)
		OVER_EACH_BACKEND(packets_move_without_a_system_call),
		{ "packets_move_without_a_system_call [switch]", packets_move_without_a_system_call, NULL, NULL, (void *)&support_switch },
#endif
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
