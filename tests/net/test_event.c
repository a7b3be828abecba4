/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Event loops with rings of interfaces: the contract of <nmx/event.h> as far as packets may be lost on the way, no lost
 * wake-up, and news of the link.
 *
 *   LEFT eth0 ==veth== eth0 RIGHT
 *
 * Not here, of the contract: what needs a ring that stays full (a slow consumer, a proxy with a narrow side, a thousand
 * packets at once), for an interface drops what its receiver has no room for, and a sender's slots are free once the device
 * has taken what was in them; and peers, instead of which there is the link.
 */
#include <stdio.h>
#include <string.h>

#include "contract.h"
#include "wakeups.h"
#include "world.h"

enum { LEFT, RIGHT, MTU = 1500, QUEUES = 10 };

static struct nmx_port *open_at(int side, unsigned queue, const struct nmx_options *options)
{
	struct nmx_port *port;
	char name[32];

	snprintf(name, sizeof(name), "eth0-%u", queue);
	net_enter(side);
	port = support_open(name, options);
	net_leave();
	return port;
}

static bool veth_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	link->tx_port = open_at(LEFT, number, options);
	link->rx_port = open_at(RIGHT, number, options);
	link->tx = support_tx(link->tx_port, 0);
	link->rx = support_rx(link->rx_port, 0);
	return true;
}

static const struct place veth = { "veth", veth_link, NULL, NULL };

static void no_wakeup_is_lost(void **state)
{
	struct side sides[2] = { wakeups_side(*state, true), wakeups_side(*state, false) };

	for (int i = 0; i < 2; i++) {
		sides[i].port = open_at(i, 0, &(struct nmx_options){ .tx_slots = 8, .rx_slots = 8 });
		sides[i].tx = support_tx(sides[i].port, 0);
		sides[i].rx = support_rx(sides[i].port, 0);
	}
	wakeups_run(sides);
	nmx_close(sides[0].port);
	nmx_close(sides[1].port);
}

static void await_error(struct rig *rig, int err)
{
	rig->done = false;
	rig_run(rig, &rig->done);
	require_result(rig->err, err);
}

/* Told once; when it is started again, it hears what comes after the link is up again, and the end of the interface. */
static void news_of_the_link_are_told(void **state)
{
	struct rig rig;

	require(rig_open(&rig, *state, 0, NULL));
	rig_receive(&rig, rig_on_packets);
	loop_run_for(rig.kind, rig.loop, 20);
	net_script(RIGHT, "ip link set eth0 down");
	await_error(&rig, NMX_ERR_LINK_DOWN);
	rig.kind->rx_start(rig.receiver);
	loop_run_for(rig.kind, rig.loop, 100);
	require_equal(rig.errors, 1);
	net_script(RIGHT, "ip link set eth0 up");
	net_script(LEFT, "for i in $(seq 200); do ip link show eth0 | grep -q 'state UP' && break; sleep 0.01; done");
	rig.done = false;
	rig.to_send = 1;
	rig_put(rig.link.tx, 0, 1);
	rig_run(&rig, &rig.done);
	net_script(RIGHT, "ip link del eth0");
	do {
		rig.kind->rx_start(rig.receiver);
		rig.done = false;
		rig_run(&rig, &rig.done);
	} while (rig.err == NMX_ERR_LINK_DOWN); /* that comes first */
	require_result(rig.err, NMX_ERR_GONE);
	rig_close(&rig);
	net_join(LEFT, "eth0", RIGHT, "eth0", QUEUES, MTU, NET_QUIET);
}

static const struct contract_case link_news[] = {
	{ "news_of_the_link_are_told", news_of_the_link_are_told },
	{ NULL, NULL },
};

#define BY(way) { "no_wakeup_is_lost [" #way ", veth]", no_wakeup_is_lost, NULL, NULL, (void *)&wakeups_by_##way }

int main(int argc, char **argv)
{
	const struct CMUnitTest wakeups[] = {
		BY(poll),
		BY(epoll),
#ifdef HAVE_UV
		BY(uv),
#endif
#ifdef HAVE_URING
		BY(uring),
#endif
	};
	int failed;

	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(LEFT, "eth0", RIGHT, "eth0", QUEUES, MTU, NET_QUIET);
	if (support_make_directory(NULL) < 0)
		return 1;
	wakeups_sleeps = net_args.number ? (uint64_t)net_args.number : 4000;
	failed = contract_run(contract_single, &veth, 1) + contract_run(contract_life, &veth, 1) + contract_run(contract_rest, &veth, 1) +
	         contract_run(link_news, &veth, 1) + cmocka_run_group_tests(wakeups, NULL, NULL);
	return support_remove_directory(NULL) < 0 || failed ? 1 : 0;
}
