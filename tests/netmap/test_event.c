/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Event loops with rings of the netmap device: the contract of <nmx/event.h>, and no lost wake-up by any descriptor.  The
 * stand-in's descriptors are eventfds, so poll, epoll, libuv and io_uring sleep on them as on the device's.
 *
 *     test_netmap_event [-n SLEEPS]        1000000 by hand
 *
 * Not here: peers in other processes (the stand-in is in this one); a sender's sleep for more than the first free slot, of
 * which netmap tells nobody (one looks every millisecond).  On a wire, which drops what its end has no room for, nothing
 * that relies on a full ring.
 */
#include <stdio.h>
#include <string.h>

#include "contract.h"
#include "ports.h"
#include "wakeups.h"

enum { SLOTS = 8, NIC_SLOTS = 16 };

static bool link_ports(struct link *link, const char *from, const char *to, const struct nmx_options *options)
{
	struct pair pair = ports_pair(from, to, options);

	*link = (struct link){ pair.a, pair.b, pair.tx, pair.rx };
	return true;
}

static bool pipe_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	char ends[2][32];

	snprintf(ends[0], sizeof(ends[0]), "e{%u", number);
	snprintf(ends[1], sizeof(ends[1]), "e}%u", number);
	return link_ports(link, ends[0], ends[1], options);
}

/* The interfaces stay; they go with the stand-in. */
static bool wire_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	char names[2][32];

	for (unsigned i = 0; i < 2; i++)
		snprintf(names[i], sizeof(names[i]), "eth%u", 2 * number + i);
	if (!standin_find(names[0]))
		ports_wire(names[0], names[1], 1, NIC_SLOTS);
	return link_ports(link, names[0], names[1], options);
}

static int run_contract(void)
{
	static const struct place pipe = { "netmap pipe", pipe_link, NULL, NULL }, wire = { "netmap wire", wire_link, NULL, NULL };
	static const struct contract_case *const in_pipes[] = { contract_single, contract_life, contract_traffic, contract_full,
		                                                contract_taken,  contract_rest, contract_load };
	static const struct contract_case *const on_wires[] = { contract_single, contract_life };
	int failed = 0;

	standin_start();
	for (unsigned i = 0; i < sizeof(in_pipes) / sizeof(in_pipes[0]); i++)
		failed += contract_run(in_pipes[i], &pipe, 1);
	for (unsigned i = 0; i < sizeof(on_wires) / sizeof(on_wires[0]); i++)
		failed += contract_run(on_wires[i], &wire, 1);
	if (!failed)
		standin_end();
	return failed;
}

/* ---- wake-ups */

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

static int run_wakeups(void)
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	int failed;

	if (argc == 3 && strcmp(argv[1], "-n") == 0)
		wakeups_sleeps = strtoull(argv[2], NULL, 10);
	if (argc != 1 && (argc != 3 || wakeups_sleeps == 0)) {
		fprintf(stderr, "usage: %s [-n SLEEPS]\n", argv[0]);
		return 2;
	}
	if (support_make_directory(NULL) < 0)
		return 1;
	failed = run_contract() + run_wakeups();
	return support_remove_directory(NULL) < 0 || failed ? 1 : 0;
}
