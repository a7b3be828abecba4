/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Host rings in any number, each way alone; interfaces that change while they are open: another name, other queues, another
 * namespace; and interfaces with names that look like something else.
 */
#include "rings.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HOST, NEIGHBOUR, ELSEWHERE, MTU = 1500, QUEUES = 4, FLOWS = 64, EACH = 20 };

static struct child talk;

/* All that the host sends, on as many rings as there are. */
static void the_host_is_heard(const char *name, uint32_t rings)
{
	struct nmx_port *port = rings_open(HOST, name, NULL);
	uint32_t packets = 0;
	struct nmx_rx *rx[8];
	int64_t deadline;

	for (uint32_t i = 0; i < rings; i++)
		rx[i] = rings_rx(port, i);
	net_start(HOST, &talk, ARGV(net_args.talk, "flows", "10.9.0.2", "9", "64", "20"));
	for (deadline = now_ms() + PATIENCE_MS; packets < FLOWS * EACH && now_ms() < deadline; sleep_ms(1))
		for (uint32_t i = 0; i < rings; i++) {
			struct nmx_frame frame;

			EXPECT(nmx_rx_sync(rx[i]) >= 0, "sync");
			while (nmx_rx_recv(rx[i], &frame))
				packets += frame.len == 14 + 20 + 8 + 100;
		}
	child_ends(&talk, 0);
	EXPECT(packets == FLOWS * EACH, "%s: %u of %d packets of the host", name, packets, FLOWS * EACH);
	for (uint32_t i = 0; i < rings; i++)
		nmx_rx_close(rx[i]);
	nmx_close(port);
}

/* Who only hands packets to the host leaves it its own. */
static void giving_takes_nothing(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0^/T", NULL);
	struct nmx_tx *tx = rings_tx(port, 0);
	struct flow flow = { 0 };

	net_run(HOST, &talk, ARGV(net_args.talk, "ping", "10.9.0.2", "3", "1"));
	child_ends(&talk, 0);
	EXPECT(rings_send(tx, &flow, 10) && nmx_tx_drain(tx, PATIENCE_MS) == 0, "nothing is handed over");
	net_run(HOST, &talk, ARGV(net_args.talk, "ping", "10.9.0.2", "3", "1"));
	child_ends(&talk, 0);
	/* Some seconds after a ping the kernels ask whether the other is still there. */
	net_script(HOST, "ip neigh flush dev eth0");
	net_script(NEIGHBOUR, "ip neigh flush dev eth0");
	nmx_tx_close(tx);
	nmx_close(port);
}

/* ---- changes while it is open */

static void another_name(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0-0", NULL), *other = rings_open(NEIGHBOUR, "eth0-0", NULL);
	struct nmx_rx *rx = rings_rx(port, 0);
	struct nmx_tx *tx = rings_tx(other, 0);
	struct flow flow = { 0 };

	rings_send(tx, &flow, 10);
	rings_receive(rx, &flow, 10);
	for (int i = 0; i < 5; i++)
		net_script(HOST, "ip link set eth0 name other && ip link set other name eth0");
	net_script(HOST, "ip link set eth0 name other");
	for (int i = 0; i < 30; i++) {
		EXPECT(nmx_rx_wait(rx, 1) == 1 || nmx_rx_sync(rx) == 0, "renamed");
		rings_send(tx, &flow, 10);
		rings_receive(rx, &flow, 10);
	}
	EXPECT(rings_stats(port).rx_packets == 310, "%" PRIu64 " packets", rings_stats(port).rx_packets);
	net_script(HOST, "ip link set other name eth0");
	nmx_rx_close(rx);
	nmx_tx_close(tx);
	nmx_close(port);
	nmx_close(other);
}

/* Fewer queues than are open are the driver's to refuse; whatever it does, nothing breaks. */
static void other_queues(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0", NULL), *other = rings_open(NEIGHBOUR, "eth0-0", NULL);
	struct nmx_rx *rx = rings_rx(port, 0);
	struct nmx_tx *tx = rings_tx(other, 0);
	struct flow flow = { 0 };

	net_script(HOST, "command -v ethtool >/dev/null || exit 0; ethtool -L eth0 rx 2 tx 2; ethtool -L eth0 rx 4 tx 4; true");
	net_script(HOST, "ip link set eth0 mtu 1400; ip link set eth0 mtu 9000; ip link set eth0 mtu 1500; true");
	rings_send(tx, &flow, 100);
	rings_receive(rx, &flow, 100);
	nmx_rx_close(rx);
	nmx_tx_close(tx);
	nmx_close(port);
	nmx_close(other);
}

static void another_namespace(void)
{
	struct nmx_port *port = rings_open(HOST, "moves*", NULL);
	struct nmx_rx *rx = rings_rx(port, 0);
	struct nmx_tx *tx = rings_tx(port, 0);
	int n = 0, elsewhere;
	int64_t deadline;

	net_enter(ELSEWHERE);
	elsewhere = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	net_leave();
	net_script(HOST, "ip link set moves netns /proc/%d/fd/%d", (int)getpid(), elsewhere);
	close(elsewhere);
	deadline = now_ms() + PATIENCE_MS;
	while (n >= 0 && now_ms() < deadline) {
		(void)!nmx_rx_wait(rx, 100);
		n = nmx_rx_sync(rx);
	}
	EXPECT(n == NMX_ERR_GONE, "it has moved: %s", nmx_error_name(n));
	deadline = now_ms() + PATIENCE_MS;
	for (n = 0; n >= 0 && now_ms() < deadline;) {
		static const uint8_t data[MIN_LEN];

		(void)!nmx_tx_send(tx, data, sizeof(data));
		n = nmx_tx_sync(tx);
	}
	EXPECT(n == NMX_ERR_GONE, "it has moved: %s", nmx_error_name(n));
	nmx_rx_close(rx);
	nmx_tx_close(tx);
	nmx_close(port);
}

/* ---- names */

/* The kernel takes nearly anything for a name.  What cannot be meant by it is refused with a sentence; what is opened, is
 * that interface. */
static void odd_names(void)
{
	static const char *const names[] = { "a{1", "b-1", "vale0", "e^", "q@x", "\\n", "netmap" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char full[64];

		net_script(HOST, "ip link add dev '%s' index 777 type veth peer name peer0 && ip link set '%s' up && ip link set peer0 up", names[i],
		           names[i]);
		for (int way = 0; way < 2; way++) {
			struct nmx_options options = { .directory = run_dir };
			struct nmx_port *port = NULL;
			struct nmx_report why = { 0 };
			struct nmx_info info = { 0 };
			int err;

			snprintf(full, sizeof(full), "%s%s", way ? "xdp:" : "", names[i]);
			net_enter(HOST);
			err = nmx_open(&port, full, &options, &why);
			net_leave();
			if (err == 0)
				nmx_port_info(port, &info);
			printf("%s: %s%s\n", full, err ? why.text : "opens ", err ? "" : info.name);
			EXPECT(err == 0 || why.text[0], "%s: %s without a word", full, nmx_error_name(err));
			nmx_close(port);
		}
		net_script(HOST, "ip link del peer0");
	}
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 3);
	net_needs_ports();
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_QUIET);
	net_address(HOST, "eth0", "10.9.0.1/24");
	net_address(NEIGHBOUR, "eth0", "10.9.0.2/24");
	net_run(HOST, &talk, ARGV(net_args.talk, "ping", "10.9.0.2", "3", "1")); /* now it is known where that is */
	child_ends(&talk, 0);
	net_script(HOST, "ip neigh change 10.9.0.2 dev eth0 nud permanent lladdr $(ip neigh show 10.9.0.2 | sed 's/.*lladdr //; s/ .*//')");
	net_snapshot(HOST, "eth0", &before);
	the_host_is_heard("eth0^", 1);
	the_host_is_heard("eth0^@conf:host-rings=4", 4);
	the_host_is_heard("eth0^@conf:host-tx-rings=4,host-rx-rings=1", 1);
	the_host_is_heard("eth0^@conf:host-tx-rings=4,host-rx-rings=3", 3);
	the_host_is_heard("eth0^/R@conf:host-rx-rings=2", 2);
	giving_takes_nothing();
	another_name();
	other_queues();
	net_same_within(HOST, "eth0", &before, 3000);
	net_join(HOST, "moves", NEIGHBOUR, "eth1", 2, MTU, NET_QUIET);
	another_namespace();
	odd_names();
	run_dir_is_empty();
	return expect_result();
}
