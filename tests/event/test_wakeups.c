/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * "Drain until a sync finds nothing, then wait": no wake-up is ever lost, by any descriptor and in any loop.
 *
 *     test_event_wakeups [-n SLEEPS]        1000000 by hand
 */
#include "wakeups.h"

enum { SLOTS = 8 };

static const struct nmx_options few = { .tx_slots = SLOTS, .rx_slots = SLOTS };

static const char *const pipe_ends[2] = { "w{1", "w}1" };

static void no_wakeup_is_lost_between_threads(void **state) { wakeups_between(*state, pipe_ends, &few); }

/* Lossless: a sender waits for room. */
static void no_wakeup_is_lost_in_a_switch(void **state)
{
	static const char *const ports[2] = { "vale0:w0@block", "vale0:w1@block" };

	wakeups_between(*state, ports, &few);
}

static void no_wakeup_is_lost_within_a_loop_port(void **state)
{
	struct side sides[2] = { wakeups_side(*state, true), wakeups_side(*state, false) };
	struct nmx_port *port = support_open("loop:", &(struct nmx_options){ .tx_slots = SLOTS, .rx_slots = SLOTS, .tx_rings = 2, .rx_rings = 2 });

	for (uint32_t i = 0; i < 2; i++) {
		sides[i].tx = support_tx(port, i);
		sides[i].rx = support_rx(port, !i);
	}
	wakeups_run(sides);
	nmx_close(port);
}

static void other_process(void *arg)
{
	struct side *side = arg;

	side->port = support_open(pipe_ends[!side->first], &few);
	side->tx = support_tx(side->port, 0);
	side->rx = support_rx(side->port, 0);
	side->way->begin(side);
	wakeups_switch_ticks_off();
	side->way->run(side);
	nmx_tx_close(side->tx);
	nmx_rx_close(side->rx);
	nmx_close(side->port);
}

static void no_wakeup_is_lost_between_processes(void **state)
{
	struct side sides[2] = { wakeups_side(*state, true), wakeups_side(*state, false) };
	pid_t pid = support_fork(other_process, &sides[1]);

	other_process(&sides[0]);
	support_join(pid);
}

#define BY(test, way) { #test " [" #way "]", test, NULL, NULL, (void *)&wakeups_by_##way }

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		BY(no_wakeup_is_lost_between_threads, poll),
		BY(no_wakeup_is_lost_between_threads, epoll),
		BY(no_wakeup_is_lost_between_threads, room),
		BY(no_wakeup_is_lost_within_a_loop_port, poll),
		BY(no_wakeup_is_lost_within_a_loop_port, room),
		BY(no_wakeup_is_lost_in_a_switch, poll),
		BY(no_wakeup_is_lost_in_a_switch, epoll),
		BY(no_wakeup_is_lost_in_a_switch, room),
		BY(no_wakeup_is_lost_between_processes, poll),
#ifdef HAVE_UV
		BY(no_wakeup_is_lost_between_threads, uv),
		BY(no_wakeup_is_lost_in_a_switch, uv),
#endif
#ifdef HAVE_URING
		BY(no_wakeup_is_lost_between_threads, uring),
		BY(no_wakeup_is_lost_in_a_switch, uring),
#endif
	};

	if (!wakeups_arguments(argc, argv))
		return 2;
	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
