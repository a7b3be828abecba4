/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * gen --verify to sink --verify over a veth pair.  At full speed a receiver may be too slow for a sender, and then what is
 * missing must stand in somebody's counter; at a quarter of the rate at which packets arrived, with rings that hold a
 * tenth of a second of it, nothing may be missing.
 *
 * -n PACKETS: instead of a million.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

enum { SENDER, RECEIVER, MTU = 1500, QUARTER_SECONDS = 2, MOST_SLOTS = 32768 };

static struct child gen, sink;

struct passage {
	uint64_t sent, received, drops; /* drops: those that the two ports count */
	uint64_t device_drops;          /* and those that the veth pair counts */
	double pps;                     /* as received */
};

static uint64_t drops_of_devices(void)
{
	struct net_counters a, b;

	net_counters(SENDER, "eth0", &a);
	net_counters(RECEIVER, "eth0", &b);
	return a.tx_dropped + a.tx_errors + b.rx_dropped + b.rx_errors;
}

/* The sink ends a second after the last packet.  False: one of the two could not. */
static bool pass(const char *name, const char *count, const char *rate, const char *slots, struct passage *p)
{
	uint64_t device_drops = drops_of_devices();

	NMX_IN(RECEIVER, &sink, "sink", name, "--verify", "--dir", run_dir, "-q", "--json", "--timeout", "1",
	       "--slots", slots);
	if (!net_await_port(&sink))
		return false;
	NMX_IN(SENDER, &gen, "gen", "eth0", "--verify", "--dir", run_dir, "-q", "--json", "-n", count, "-r", rate,
	       "-l", "60-1514");
	child_wait(&gen, 300000);
	child_wait(&sink, 20000);
	if (!EXPECT(gen.code == 0, "gen: %d: %s%s", gen.code, gen.out, gen.err) ||
	    !EXPECT(sink.code == 0 || sink.code == 1, "sink: %d: %s%s", sink.code, sink.out, sink.err))
		return false;
	*p = (struct passage){ .sent = (uint64_t)json_number(&gen, "packets"),
		               .received = (uint64_t)json_number(&sink, "packets"),
		               .drops = json_sum(&gen, "drops") + json_sum(&sink, "drops"),
		               .device_drops = drops_of_devices() - device_drops,
		               .pps = json_double_of(&sink, "pps") };
	EXPECT(json_number(&sink, "corrupt") == 0, "%s", sink.out);
	EXPECT(json_number(&sink, "duplicate") == 0, "%s", sink.out);
	EXPECT(json_number(&sink, "reordered") == 0, "%s", sink.out);
	EXPECT(json_number(&sink, "foreign") == 0, "%s", sink.out);
	return true;
}

static void everything_is_accounted_for(const char *name, const char *count, struct passage *p)
{
	if (!pass(name, count, "max", "1024", p))
		return;
	printf("%s: %" PRIu64 " sent, %" PRIu64 " received at %.0f a second, %" PRIu64
	       " in drop counters of the ports, %" PRIu64 " in those of the devices\n",
	       name, p->sent, p->received, p->pps, p->drops, p->device_drops);
	EXPECT(p->sent == p->received + p->drops, "%" PRId64 " packets of %" PRIu64 " are in no counter: %s%s",
	       (int64_t)(p->sent - p->received - p->drops), p->sent, gen.out, sink.out);
}

enum { RING_MS = 75 }; /* of the 100 that the rings hold, what a stalled receiver sees in its latencies at least */

static void a_quarter_of_that_loses_nothing(const char *name, double full_pps)
{
	uint64_t rate = (uint64_t)(full_pps / 4), slots = rate / 10 + 1, count = rate * QUARTER_SECONDS;
	struct passage p;
	char texts[3][32];

	snprintf(texts[0], sizeof(texts[0]), "%" PRIu64, count);
	snprintf(texts[1], sizeof(texts[1]), "%" PRIu64, rate);
	snprintf(texts[2], sizeof(texts[2]), "%" PRIu64, slots < MOST_SLOTS ? slots : MOST_SLOTS);
	for (int tries = 0;; tries++) {
		if (rate == 0 || !pass(name, texts[0], texts[1], texts[2], &p))
			return;
		printf("%s: %s a second, rings of %s: %" PRIu64 " of %" PRIu64 " received, the slowest after %" PRId64
		       " ms\n",
		       name, texts[1], texts[2], p.received, p.sent, json_number(&sink, "max") / 1000000);
		/* Who got no processor for as long as the rings last shows nothing. */
		if (p.received == p.sent || json_number(&sink, "max") < RING_MS * INT64_C(1000000) || tries == 4)
			break;
	}
	EXPECT(p.received == p.sent && p.sent == count && sink.code == 0, "%s%s", gen.out, sink.out);
}

/* A port that sends and receives has two sockets on a queue, and some of the kernel's counters are the queue's. */
static void a_port_that_also_sends_counts_once(void)
{
	uint64_t sent, given_back, drops;

	NMX_IN(RECEIVER, &sink, "pong", "eth0", "--dir", run_dir, "-q", "--json", "--slots", "64");
	if (!net_await_port(&sink))
		return;
	NMX_IN(SENDER, &gen, "gen", "eth0", "--dir", run_dir, "-q", "--json", "-n", "200k");
	child_ends(&gen, 0);
	sleep_ms(300);
	kill(sink.pid, SIGTERM);
	child_ends(&sink, 0);
	sent = (uint64_t)json_number(&gen, "packets");
	given_back = (uint64_t)json_number(&sink, "packets");
	drops = json_sum(&sink, "drops") + json_sum(&gen, "drops");
	EXPECT(sent == given_back + drops, "%" PRIu64 " sent, %" PRIu64 " given back, %" PRIu64 " in drop counters: %s", sent,
	       given_back, drops, sink.out);
}

int main(int argc, char **argv)
{
	static const int queues[] = { 1, 4 };
	struct passage p = { 0 };
	char count[32];

	net_begin(argc, argv, 2);
	net_needs_ports();
	snprintf(count, sizeof(count), "%ld", net_args.number ? net_args.number : 1000000);
	for (int i = 0; i < 2; i++) {
		net_join(SENDER, "eth0", RECEIVER, "eth0", queues[i], MTU, NET_QUIET);
		printf("%d queues: ", queues[i]);
		everything_is_accounted_for("eth0", count, &p);
		a_quarter_of_that_loses_nothing("eth0", p.pps);
		a_port_that_also_sends_counts_once();
		net_script(SENDER, "ip link del eth0");
	}
	return expect_result();
}
