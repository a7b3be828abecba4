/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * No wake-up is lost on the netmap device, by any descriptor and in any loop.
 *
 *     test_netmap_wakeups [-n SLEEPS]        1000000 by hand
 */
#include "ports.h"
#include "wakeups.h"

enum { SLOTS = 8, NIC_SLOTS = 16 };

static const struct nmx_options few = { .backend = NMX_NETMAP, .tx_slots = SLOTS, .rx_slots = SLOTS };

static void no_wakeup_is_lost_in_a_pipe(void **state)
{
	static const char *const names[2] = { "w{1", "w}1" };

	wakeups_between(*state, names, &few);
}

static void no_wakeup_is_lost_on_a_wire(void **state)
{
	static const char *const names[2] = { "eth0", "eth1" };

	ports_wire(names[0], names[1], 1, NIC_SLOTS);
	wakeups_between(*state, names, &few);
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

	if (!wakeups_arguments(argc, argv))
		return 2;
	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
