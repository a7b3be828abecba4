/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A host whose only link goes through `nmx bridge eth0`: what it and its neighbour say to each other gets through as if
 * nothing stood between, with offloads as the kernel sets them; and when the bridge is killed the link goes on without.
 * Beside the bridge's TCP rate stands that of the simplest forwarder there is, in the same run.
 *
 * --bench [-n ROUNDS]: only the rates, the two forwarders in turn.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, STOPPED_PINGS = 3 };
#define TCP_BYTES "200000000"
#define HOST4     "10.9.0.1"
#define HOST6     "fd09::1"
#define OTHER4    "10.9.0.2"
#define OTHER6    "fd09::2"
#define PORT      "7001"

static struct child forwarder, talk, servers[4];

enum which { BRIDGE, TAPS };
static const char *const which_name[] = { [BRIDGE] = "nmx bridge eth0", [TAPS] = "tapforward" };

static void start_forwarder(enum which which)
{
	if (which == BRIDGE)
		NMX_IN(HOST, &forwarder, "bridge", "eth0", "--dir", run_dir, "-q", "--json");
	else
		net_start(HOST, &forwarder, ARGV(net_args.tapforward, "eth0"));
	if (which == BRIDGE)
		net_await_port(&forwarder);
	else
		child_will_say(&forwarder, "ready", 5000);
}

/* As a user ends it. */
static void stop_forwarder(void)
{
	kill(forwarder.pid, SIGTERM);
	child_ends(&forwarder, 0);
}

static bool talk_well(int side, const char *const *argv, int timeout_ms)
{
	net_start(side, &talk, argv);
	child_wait(&talk, timeout_ms);
	return EXPECT(talk.code == 0, "talk %s %s: %d: %s%s", argv[1], argv[2], talk.code, talk.out, talk.err);
}

static void forget_neighbours(void)
{
	net_script(HOST, "ip neigh flush all");
	net_script(NEIGHBOUR, "ip neigh flush all");
}

static void pings_and_neighbours_get_through(void)
{
	forget_neighbours();
	talk_well(HOST, ARGV(net_args.talk, "ping", OTHER4, "20", "1"), 20000);
	forget_neighbours();
	talk_well(NEIGHBOUR, ARGV(net_args.talk, "ping", HOST4, "20", "1"), 20000);
	forget_neighbours();
	talk_well(HOST, ARGV(net_args.talk, "ping", OTHER6, "20", "1"), 20000);
	EXPECT(strstr(net_script(HOST, "ip -6 neigh show " OTHER6), "lladdr"),
	       "the host does not know its neighbour");
	forget_neighbours();
	talk_well(NEIGHBOUR, ARGV(net_args.talk, "ping", HOST6, "20", "1"), 20000);
	EXPECT(strstr(net_script(NEIGHBOUR, "ip -6 neigh show " HOST6), "lladdr"),
	       "the neighbour does not know the host");
}

/* Nothing gets past: while the forwarder stands still, so does the link. */
static void everything_goes_through_the_forwarder(void)
{
	char pings[8];

	snprintf(pings, sizeof(pings), "%d", STOPPED_PINGS);
	kill(forwarder.pid, SIGSTOP);
	net_start(NEIGHBOUR, &talk, ARGV(net_args.talk, "ping", HOST4, "1", "1"));
	child_wait(&talk, 20000);
	EXPECT(talk.code != 0 && json_number(&talk, "answered") == 0, "answered past the forwarder: %s", talk.out);
	net_start(HOST, &talk, ARGV(net_args.talk, "ping", OTHER4, "1", "1"));
	child_wait(&talk, 20000);
	EXPECT(talk.code != 0 && json_number(&talk, "answered") == 0, "answered past the forwarder: %s", talk.out);
	kill(forwarder.pid, SIGCONT);
	talk_well(NEIGHBOUR, ARGV(net_args.talk, "ping", HOST4, pings, "1"), 20000);
}

static double tcp_rate(int from, const char *to)
{
	return talk_well(from, ARGV(net_args.talk, "send", to, PORT, TCP_BYTES), 60000)
	           ? json_double_of(&talk, "bits_per_second") / 1e9
	           : 0;
}

struct rates {
	double out, in; /* Gbit/s: sent by the host behind the forwarder, and to it */
};

static struct rates rates(void)
{
	struct rates r = { .out = tcp_rate(HOST, OTHER4) };

	r.in = tcp_rate(NEIGHBOUR, HOST4);
	return r;
}

static void thousand_connections(void)
{
	talk_well(HOST, ARGV(net_args.talk, "connect", OTHER4, PORT, "500"), 60000);
	talk_well(NEIGHBOUR, ARGV(net_args.talk, "connect", HOST6, PORT, "500"), 60000);
}

static void works_within_a_second_of_a_kill(const struct snapshot *host, const struct snapshot *neighbour)
{
	static struct child pings;
	int took[2];

	start_forwarder(BRIDGE);
	net_start(NEIGHBOUR, &pings, ARGV(net_args.talk, "watch", HOST4, "5"));
	sleep_ms(300);
	EXPECT(child_is_running(&forwarder), "the bridge has ended by itself");
	kill(forwarder.pid, SIGKILL);
	child_wait(&forwarder, 1000);
	took[0] = net_same_after_kill(HOST, "eth0", host, 1000);
	took[1] = net_same_within(NEIGHBOUR, "eth0", neighbour, 1000);
	sleep_ms(1200);
	kill(pings.pid, SIGTERM);
	child_wait(&pings, 5000);
	EXPECT(json_number(&pings, "answered") > 100, "%s", pings.out);
	EXPECT(json_number(&pings, "longest_silence_ms") < 1000, "silent for too long after the kill: %s", pings.out);
	net_next_tidies(HOST, "eth0", host);
	printf("killed: interface as before after %d ms, its peer after %d ms; pings %s", took[0], took[1],
	       pings.out);
}

static void start_servers(void)
{
	const struct {
		int side;
		const char *address;
	} at[] = { { HOST, HOST4 }, { HOST, HOST6 }, { NEIGHBOUR, OTHER4 }, { NEIGHBOUR, OTHER6 } };

	for (int i = 0; i < 4; i++) {
		net_start(at[i].side, &servers[i], ARGV(net_args.talk, "serve", at[i].address, PORT));
		child_will_say(&servers[i], "serving", 5000);
	}
}

static void stop_servers(void)
{
	for (int i = 0; i < 4; i++) {
		kill(servers[i].pid, SIGKILL);
		child_wait(&servers[i], 1000);
	}
}

static void through_the_bridge(struct rates *bridge)
{
	static struct snapshot host, neighbour;

	net_snapshot(HOST, "eth0", &host);
	net_snapshot(NEIGHBOUR, "eth0", &neighbour);
	start_forwarder(BRIDGE);
	pings_and_neighbours_get_through();
	everything_goes_through_the_forwarder();
	*bridge = rates();
	thousand_connections();
	stop_forwarder();
	net_same_within(HOST, "eth0", &host, 1000);
	net_same_within(NEIGHBOUR, "eth0", &neighbour, 1000);
	works_within_a_second_of_a_kill(&host, &neighbour);
}

static void beside_two_taps(const struct rates *bridge)
{
	struct rates taps;

	if (!net_has_tcx()) {
		printf("TCP in Gbit/s, sent and received by the host: %.2f and %.2f through the bridge; nothing to compare it "
		       "with, for tapforward needs tcx (Linux 6.6)\n",
		       bridge->out, bridge->in);
		return;
	}
	start_forwarder(TAPS);
	taps = rates();
	stop_forwarder();
	if (taps.out > 0 && taps.in > 0)
		printf("TCP in Gbit/s, sent and received by the host: %.2f and %.2f through the bridge, %.2f and "
		       "%.2f "
		       "through two taps: ratios %.2f and %.2f\n",
		       bridge->out, bridge->in, taps.out, taps.in, bridge->out / taps.out, bridge->in / taps.in);
}

/* ---- bench */

enum { MAX_ROUNDS = 99 };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void show_spread(const char *what, double *values, long n, const char *unit)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	printf("%-32s %6.2f [%.2f-%.2f]%s\n", what, values[n / 2], values[0], values[n - 1], unit);
}

/* The two in turn, so that what else the machine does meets both; the ratio is that of one round. */
static void bench(void)
{
	static double out[2][MAX_ROUNDS], in[2][MAX_ROUNDS], ratio_out[MAX_ROUNDS], ratio_in[MAX_ROUNDS];
	long n = net_args.number > 0 && net_args.number <= MAX_ROUNDS ? net_args.number : 7;
	char what[64];

	for (long i = 0; i < n; i++) {
		for (int w = BRIDGE; w <= TAPS; w++) {
			struct rates r;

			start_forwarder((enum which)w);
			r = rates();
			stop_forwarder();
			out[w][i] = r.out;
			in[w][i] = r.in;
		}
		ratio_out[i] = out[BRIDGE][i] / out[TAPS][i];
		ratio_in[i] = in[BRIDGE][i] / in[TAPS][i];
	}
	printf("one TCP stream of " TCP_BYTES " bytes, median of %ld [least-most]\n", n);
	for (int w = BRIDGE; w <= TAPS; w++) {
		snprintf(what, sizeof(what), "%s, sent by the host", which_name[w]);
		show_spread(what, out[w], n, " Gbit/s");
		snprintf(what, sizeof(what), "%s, received", which_name[w]);
		show_spread(what, in[w], n, " Gbit/s");
	}
	show_spread("ratio, sent by the host", ratio_out, n, "");
	show_spread("ratio, received", ratio_in, n, "");
}

static void make_link(int queues)
{
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", queues, MTU, NET_TALKS);
	net_address(HOST, "eth0", HOST4 "/24");
	net_address(HOST, "eth0", HOST6 "/64");
	net_address(NEIGHBOUR, "eth0", OTHER4 "/24");
	net_address(NEIGHBOUR, "eth0", OTHER6 "/64");
	start_servers();
}

static void remove_link(void)
{
	stop_servers();
	net_script(HOST, "ip link del eth0");
}

int main(int argc, char **argv)
{
	static const int queues[] = { 1, 4 };
	struct rates bridge_rates;

	net_begin(argc, argv, 2);
	net_needs_ports();
	for (int i = 0; i < (net_args.bench ? 1 : 2); i++) {
		make_link(queues[i]);
		if (net_args.bench) {
			bench();
		} else {
			printf("%d queues\n", queues[i]);
			through_the_bridge(&bridge_rates);
			if (i == 0)
				beside_two_taps(&bridge_rates);
		}
		remove_link();
	}
	return expect_result();
}
