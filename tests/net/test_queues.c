/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Queues and rings: a name takes all queues; fewer rings share them; more are refused with the way to raise them;
 * "eth0-2" takes one and leaves the others to the host, or to other processes, and these do not disturb each other.
 *
 * -n PACKETS: what each of four processes gets in a second, instead of 20000.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { SENDER, RECEIVER, QUEUES = 4, MTU = 1500, EACH = 1000, FLOWS = 64 };

#define MAC "02:00:00:00:00:02"

static struct child sinks[QUEUES], gen, talk;
static const char *const one_queue[QUEUES] = { "eth0-0", "eth0-1", "eth0-2", "eth0-3" };

static void start_sink(struct child *sink, const char *port, const char *count)
{
	NMX_IN(RECEIVER, sink, "sink", port, "--dir", run_dir, "-q", "--json", "-n", count, "--timeout", "8",
	       "--slots", "8192");
	net_await_port(sink);
}

/* Stamped or not, they go out of this queue and, on a veth pair, in by the one of the same number. */
static void send_from(const char *port, const char *count)
{
	NMX_IN(SENDER, &gen, "gen", port, "--dir", run_dir, "-q", "--json", "-n", count, "-r", "50k");
	child_ends(&gen, 0);
}

static void received(struct child *sink, const char *what, int64_t count)
{
	EXPECT(json_number(sink, "packets") == count, "%s: not %" PRId64 ": %s%s", what, count, sink->out, sink->err);
}

/* Every queue, whatever the number of rings. */
static void all_queues_come(const char *port)
{
	start_sink(&sinks[0], port, "4000");
	for (int i = 0; i < QUEUES; i++)
		send_from(one_queue[i], "1000");
	child_ends(&sinks[0], 0);
	received(&sinks[0], port, QUEUES * EACH);
}

/* What the kernel's own sender spreads over its queues. */
static void flows_of_the_kernel_come(void)
{
	int64_t sent;

	start_sink(&sinks[0], "eth0", "6400");
	net_script(SENDER, "ip neigh replace 10.9.0.1 lladdr " MAC " dev eth0");
	net_start(SENDER, &talk, ARGV(net_args.talk, "flows", "10.9.0.1", "9", "64", "100"));
	child_ends(&talk, 0);
	sent = json_number(&talk, "sent");
	child_ends(&sinks[0], 0);
	received(&sinks[0], "64 flows of the kernel", sent);
}

static void more_rings_than_queues(void)
{
	NMX_IN(RECEIVER, &sinks[0], "sink", "eth0@conf:rings=8", "--dir", run_dir, "-q", "--timeout", "1");
	child_ends(&sinks[0], 1);
	child_says(&sinks[0], "ethtool -L");
	child_says(&sinks[0], "8");
	child_says(&sinks[0], "4");
	NMX_IN(RECEIVER, &sinks[0], "sink", "eth0-4", "--dir", run_dir, "-q", "--timeout", "1");
	child_ends(&sinks[0], 1);
	child_says(&sinks[0], "4");
}

/* UDP packets that reached the host's stack, where nobody listens. */
static long seen_by_the_host(void)
{
	return strtol(net_script(RECEIVER, "awk '/^Udp: [0-9]/ { print $3 }' /proc/net/snmp"), NULL, 10);
}

static void one_queue_leaves_the_others_to_the_host(void)
{
	long before, after;

	start_sink(&sinks[0], "eth0-2", "1000");
	before = seen_by_the_host();
	for (int i = 0; i < QUEUES; i++) {
		NMX_IN(SENDER, &gen, "gen", one_queue[i], "--dir", run_dir, "-q", "--json", "-n", "1000", "-r", "20k",
		       "--dst-mac", MAC, "--src-ip", "10.9.0.2", "--dst-ip", "10.9.0.1");
		child_ends(&gen, 0);
	}
	child_ends(&sinks[0], 0);
	received(&sinks[0], "eth0-2", EACH);
	after = seen_by_the_host();
	EXPECT(after - before == 3 * EACH, "eth0-2 is open, and the host saw %ld of %d packets of the other queues",
	       after - before, 3 * EACH);
}

/* Four processes, a queue each: one is killed in the middle, one closes, and the others lose nothing. */
static void processes_do_not_disturb_each_other(void)
{
	static struct child senders[QUEUES];
	long count = net_args.number ? net_args.number : 20000;
	char packets[32];

	snprintf(packets, sizeof(packets), "%ld", count);
	for (int i = 0; i < QUEUES; i++)
		start_sink(&sinks[i], one_queue[i], i == 0 ? "1000000" : i == 1 ? "1000" : packets);
	sleep_ms(50);
	for (int i = 0; i < QUEUES; i++)
		NMX_IN(SENDER, &senders[i], "gen", one_queue[i], "--dir", run_dir, "-q", "--json", "-n", packets,
		       "-r", packets);
	sleep_ms(300);
	EXPECT(child_is_running(&sinks[0]), "%s", sinks[0].err);
	kill(sinks[0].pid, SIGKILL);
	child_wait(&sinks[0], 1000);
	child_ends(&sinks[1], 0); /* has enough early on */
	for (int i = 0; i < QUEUES; i++)
		child_ends(&senders[i], 0);
	for (int i = 2; i < QUEUES; i++) {
		child_ends(&sinks[i], 0);
		received(&sinks[i], one_queue[i], count);
		/* The device's own counter is about all its queues, and two have lost their process. */
		EXPECT(json_sum(&sinks[i], "drops") ==
		           (json_has(&sinks[i], "device") ? (uint64_t)json_number(&sinks[i], "device") : 0),
		       "%s", sinks[i].out);
	}
}

static void a_taken_queue_is_busy(void)
{
	static const char *const others[] = { "eth0-2", "eth0" };
	char process[64];

	start_sink(&sinks[0], "eth0-2", "1000000");
	snprintf(process, sizeof(process), "nmx (process %d)", (int)sinks[0].pid);
	for (int i = 0; i < 2; i++) {
		NMX_IN(RECEIVER, &sinks[1], "sink", others[i], "--dir", run_dir, "-q", "--timeout", "1");
		child_ends(&sinks[1], 1);
		child_says(&sinks[1], process);
	}
	EXPECT(child_is_running(&sinks[0]), "disturbed: %s", sinks[0].err);
	start_sink(&sinks[1], "eth0-1", "1000");
	send_from("eth0-1", "1000");
	child_ends(&sinks[1], 0);
	kill(sinks[0].pid, SIGTERM);
	child_wait(&sinks[0], 5000);
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(SENDER, "eth0", RECEIVER, "eth0", QUEUES, MTU, NET_QUIET);
	net_script(RECEIVER, "ip link set eth0 address " MAC);
	net_address(SENDER, "eth0", "10.9.0.2/24");
	net_address(RECEIVER, "eth0", "10.9.0.1/24");
	net_snapshot(RECEIVER, "eth0", &before);
	all_queues_come("eth0");
	all_queues_come("eth0@conf:rings=1");
	all_queues_come("eth0@conf:rings=2");
	all_queues_come("eth0@conf:rings=3");
	flows_of_the_kernel_come();
	more_rings_than_queues();
	one_queue_leaves_the_others_to_the_host();
	processes_do_not_disturb_each_other();
	a_taken_queue_is_busy();
	net_same_within(RECEIVER, "eth0", &before, 1000);
	run_dir_is_empty();
	return expect_result();
}
