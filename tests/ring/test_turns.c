/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Sleep and wake, 20,000 times each way, with random pauses so that every order of the two happens.  A wake-up that is
 * lost does not hang (the library looks once a second by itself): so turns that took nearly that long are counted. */
#include <pthread.h>

#include "support.h"

enum { TURNS = 20000, LEN = 60, SLOW_MS = 900, SLOW_TURNS = 2 /* a busy machine may do that, too */ };

enum style { BY_WAIT, BY_POLL, BY_PORT_FD };

struct player {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	enum style style;
	uint32_t random;
};

static struct player open_player(const char *name, enum style style, uint32_t slots, uint32_t seed)
{
	struct nmx_port *port = support_open(name, &(struct nmx_options){ .tx_slots = slots, .rx_slots = slots });

	return (struct player){ port, support_tx(port, 0), support_rx(port, 0), style, seed };
}

static void close_player(struct player *p)
{
	nmx_tx_close(p->tx);
	nmx_rx_close(p->rx);
	nmx_close(p->port);
}

static void pause_at_random(struct player *p)
{
	for (volatile uint32_t i = support_random(&p->random, 600); i > 0; i--)
		;
}

static void sleep_until_ready(struct player *p)
{
	struct pollfd fd;

	if (p->style == BY_WAIT) {
		require(nmx_rx_wait(p->rx, -1) >= 0);
		return;
	}
	fd = p->style == BY_POLL ? nmx_rx_pollfd(p->rx) : (struct pollfd){ .fd = nmx_port_fd(p->port), .events = POLLIN };
	require(fd.fd >= 0);
	require(poll(&fd, 1, -1) == 1);
}

/* The next packet must be number id. */
static void await(struct player *p, uint64_t id)
{
	int n = 0;

	while (nmx_rx_waiting(p->rx) == 0 && (n = nmx_rx_sync(p->rx)) == 0) {
		pause_at_random(p);
		sleep_until_ready(p);
	}
	require(n >= 0);
	support_expect(p->rx, id, 1, LEN);
}

static void give(struct player *p, uint64_t id)
{
	pause_at_random(p);
	if (nmx_tx_space(p->tx) == 0)
		require(nmx_tx_sync(p->tx) > 0);
	support_send_away(p->tx, id, LEN);
}

static void answer(struct player *p)
{
	for (uint64_t i = 0; i < TURNS; i++) {
		await(p, i);
		give(p, i);
	}
}

static void ask(struct player *p)
{
	uint32_t slow = 0;

	for (uint64_t i = 0; i < TURNS; i++) {
		int64_t before = support_now_ms();

		give(p, i);
		await(p, i);
		slow += support_now_ms() - before >= SLOW_MS;
	}
	require(slow <= SLOW_TURNS);
}

static void *answer_in_thread(void *arg)
{
	answer(arg);
	return NULL;
}

static void turns_of_two_threads(enum style asks, enum style answers)
{
	struct player one = open_player("turn{1", asks, 4, 1), two = open_player("turn}1", answers, 4, 2);
	pthread_t thread;

	require(pthread_create(&thread, NULL, answer_in_thread, &two) == 0);
	ask(&one);
	require(pthread_join(thread, NULL) == 0);
	close_player(&one);
	close_player(&two);
}

static void two_threads_wake_each_other_by_wait(void **state)
{
	(void)state;
	turns_of_two_threads(BY_WAIT, BY_WAIT);
}

static void two_threads_wake_each_other_by_poll_and_port_fd(void **state)
{
	(void)state;
	turns_of_two_threads(BY_POLL, BY_PORT_FD);
}

static void answer_in_process(void *arg)
{
	struct player p = open_player("turn}1", *(enum style *)arg, 4, 3);

	answer(&p);
	close_player(&p);
}

static void turns_of_two_processes(enum style asks, enum style answers)
{
	pid_t pid = support_fork(answer_in_process, &answers);
	struct player p = open_player("turn{1", asks, 4, 4);

	ask(&p);
	support_join(pid);
	close_player(&p);
}

static void two_processes_wake_each_other_by_wait(void **state)
{
	(void)state;
	turns_of_two_processes(BY_WAIT, BY_WAIT);
}

static void two_processes_wake_each_other_by_poll_and_wait(void **state)
{
	(void)state;
	turns_of_two_processes(BY_POLL, BY_WAIT);
}

/* ---- a stream through a ring that is nearly always full, or empty: both sides sleep */

static void *send_stream(void *arg)
{
	struct player *p = arg;

	for (uint64_t i = 0; i < TURNS; i++) {
		while (nmx_tx_space(p->tx) == 0 && nmx_tx_sync(p->tx) == 0)
			require(nmx_tx_wait(p->tx, 1 + support_random(&p->random, 2), -1) >= 0);
		give(p, i);
	}
	return NULL;
}

static void a_stream_through_a_small_ring_wakes_both_sides(void **state)
{
	struct player one = open_player("turn{1", BY_WAIT, 3, 5), two = open_player("turn}1", BY_POLL, 3, 6);
	int64_t began = support_now_ms();
	pthread_t thread;

	(void)state;
	require(pthread_create(&thread, NULL, send_stream, &one) == 0);
	for (uint64_t i = 0; i < TURNS; i++) {
		await(&two, i);
		pause_at_random(&two);
	}
	require(pthread_join(thread, NULL) == 0);
	require(support_now_ms() - began < 40000); /* one lost in a hundred would take longer */
	close_player(&one);
	close_player(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_wake_each_other_by_wait),
		cmocka_unit_test(two_threads_wake_each_other_by_poll_and_port_fd),
		cmocka_unit_test(two_processes_wake_each_other_by_wait),
		cmocka_unit_test(two_processes_wake_each_other_by_poll_and_wait),
		cmocka_unit_test(a_stream_through_a_small_ring_wakes_both_sides),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
