/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a sync has handed over goes, also when the kernel cannot send all of it at once: a program that then waits for what
 * comes in, here or at another port, or looks for it again and again, does not have to sync its transmit ring for that.
 *
 *   host: eth0 ==veth== middle: eth0, a bridge, out at 20 Mbit/s ==veth== far: in
 *
 * Packets that stand in the queue of out count as the sender's, until its socket may have no more.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <nmx/nmx.h>

#include "world.h"

enum { HOST, MIDDLE, FAR, MTU = 1500, COUNT = 400, LEN = 1514, ENOUGH_MS = 4000 };

static uint64_t arrived(void)
{
	struct net_counters c;

	net_counters(FAR, "in", &c);
	return c.rx_packets;
}

static bool make_link(void)
{
	const char *said;

	net_join(HOST, "eth0", MIDDLE, "eth0", 1, MTU, NET_QUIET);
	net_join(MIDDLE, "out", FAR, "in", 1, MTU, NET_QUIET);
	net_script(MIDDLE, "ip link add br0 type bridge forward_delay 0 mcast_snooping 0 && ip link set eth0 master br0 && "
	                   "ip link set out master br0 && ip link set br0 up && bridge fdb add 02:00:00:00:00:09 dev out master static");
	said = net_script(MIDDLE, "tc qdisc add dev out root tbf rate 20mbit burst 8k limit 10m 2>&1 || true");
	if (said[0])
		printf("skipped: a slow link cannot be made (tc, tbf): %s", said);
	return !said[0];
}

static int send_at_once(struct nmx_tx *tx)
{
	static uint8_t frame[LEN] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

	for (int i = 0; i < COUNT; i++)
		if (nmx_tx_send(tx, frame, sizeof(frame)) < 0)
			return -1;
	return nmx_tx_sync(tx);
}

enum meanwhile { WAITS, POLLS, SPINS };
static const char *const how[] = { [WAITS] = "nmx_rx_wait", [POLLS] = "poll", [SPINS] = "nmx_rx_sync" };

static void wait_for_packets(struct nmx_rx *rx, enum meanwhile meanwhile, uint64_t enough)
{
	struct pollfd pfd = { .fd = -1 };
	int64_t deadline = now_ms() + patience(ENOUGH_MS);

	if (meanwhile == POLLS)
		pfd = nmx_rx_pollfd(rx);
	while (arrived() < enough && now_ms() < deadline) {
		int n = nmx_rx_sync(rx);

		if (n == 0 && meanwhile == WAITS)
			n = nmx_rx_wait(rx, 500);
		else if (n == 0 && meanwhile == POLLS)
			n = poll(&pfd, 1, 500);
		if (!EXPECT(n >= 0, "%s: %d", how[meanwhile], n))
			return;
	}
}

/* elsewhere: the port that is looked at meanwhile; NULL, the one that sends */
static void everything_goes(enum meanwhile meanwhile, const char *elsewhere)
{
	struct nmx_options options = { .directory = run_dir };
	struct nmx_report why = { 0 };
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(port) other = NULL;
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;
	uint64_t before = arrived(), at_once;
	int64_t begin = now_ms();
	int err;

	net_enter(HOST);
	err = nmx_open(&port, "eth0", &options, &why);
	if (err == 0 && elsewhere)
		err = nmx_open(&other, elsewhere, &options, &why);
	net_leave();
	if (!EXPECT(err == 0, "%s", why.text) || !EXPECT(nmx_tx_ring(port, 0, &tx) == 0, "no transmit ring") ||
	    !EXPECT(nmx_rx_ring(elsewhere ? other : port, 0, &rx) == 0, "no receive ring"))
		return;
	EXPECT(send_at_once(tx) >= 0, "not sent");
	at_once = arrived() - before;
	wait_for_packets(rx, meanwhile, before + COUNT);
	EXPECT(arrived() - before == COUNT, "%s of %s: %llu of %d packets arrived", how[meanwhile], elsewhere ? elsewhere : "eth0",
	       (unsigned long long)(arrived() - before), COUNT);
	printf("%s of %s: %llu at once, %llu after %lld ms\n", how[meanwhile], elsewhere ? elsewhere : "eth0", (unsigned long long)at_once,
	       (unsigned long long)(arrived() - before), (long long)(now_ms() - begin));
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 3);
	net_needs_ports();
	net_needs_program("tc", "iproute2");
	net_needs_program("bridge", "iproute2");
	if (!make_link())
		return SKIP;
	for (enum meanwhile meanwhile = WAITS; meanwhile <= SPINS; meanwhile++) {
		everything_goes(meanwhile, NULL);
		everything_goes(meanwhile, "quiet{1");
	}
	return expect_result();
}
