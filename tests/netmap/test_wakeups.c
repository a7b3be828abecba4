/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * No wake-up is lost on the netmap device, by any descriptor and in any loop.
 *
 *     test_netmap_wakeups [-n SLEEPS]        1000000 by hand
 */
#include <stdio.h>
#include <string.h>

#include "ports.h"
#include "wakeups.h"

enum { SLOTS = 8, NIC_SLOTS = 16 };

static void sleep_and_wake(const struct way *way, const char *const names[2])
{
	struct side sides[2] = { wakeups_side(way, true), wakeups_side(way, false) };

	for (int i = 0; i < 2; i++) {
		sides[i].port = ports_open(names[i], &(struct nmx_options){ .tx_slots = SLOTS, .rx_slots = SLOTS });
		sides[i].tx = support_tx(sides[i].port, 0);
		sides[i].rx = support_rx(sides[i].port, 0);
	}
	wakeups_run(sides);
	nmx_close(sides[0].port);
	nmx_close(sides[1].port);
}

static void no_wakeup_is_lost_in_a_pipe(void **state)
{
	static const char *const names[2] = { "w{1", "w}1" };

	sleep_and_wake(*state, names);
}

static void no_wakeup_is_lost_on_a_wire(void **state)
{
	static const char *const names[2] = { "eth0", "eth1" };

	ports_wire(names[0], names[1], 1, NIC_SLOTS);
	sleep_and_wake(*state, names);
}

#define BY(test, way) { #test " [" #way "]", test, ports_start, ports_end, (void *)&wakeups_by_##way }

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		BY(no_wakeup_is_lost_in_a_pipe, poll),
		BY(no_wakeup_is_lost_in_a_pipe, epoll),
		BY(no_wakeup_is_lost_in_a_pipe, room),
		BY(no_wakeup_is_lost_on_a_wire, poll),
		BY(no_wakeup_is_lost_on_a_wire, epoll),
#ifdef HAVE_UV
		BY(no_wakeup_is_lost_in_a_pipe, uv),
		BY(no_wakeup_is_lost_on_a_wire, uv),
#endif
#ifdef HAVE_URING
		BY(no_wakeup_is_lost_in_a_pipe, uring),
		BY(no_wakeup_is_lost_on_a_wire, uring),
#endif
	};

	if (argc == 3 && strcmp(argv[1], "-n") == 0)
		wakeups_sleeps = strtoull(argv[2], NULL, 10);
	if (argc != 1 && (argc != 3 || wakeups_sleeps == 0)) {
		fprintf(stderr, "usage: %s [-n SLEEPS]\n", argv[0]);
		return 2;
	}
	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
