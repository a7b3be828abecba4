/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two interfaces with three processes and two pipes between them: what comes in at one end goes out at the other, in order
 * and intact, both ways at once, and nobody on the way has copied a packet.
 *
 *   sender ==veth== eth0 [bridge] p [bridge] q [bridge] eth1 ==veth== receiver
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

enum { LEFT, MIDDLE, RIGHT, MTU = 1500, BRIDGES = 3 };
#define COUNT "100000"
#define RATE  "50k"

static struct child bridges[BRIDGES], gens[2], sinks[2];

static void start_bridges(void)
{
	static const char *const ends[BRIDGES][2] = { { "eth0", "p{1" }, { "p}1", "q{1" }, { "q}1", "eth1" } };

	for (int i = 0; i < BRIDGES; i++)
		NMX_IN(MIDDLE, &bridges[i], "bridge", ends[i][0], ends[i][1], "--dir", run_dir, "-q", "--json");
	net_await_port(&bridges[0]);
	net_await_port(&bridges[2]);
	EXPECT(child_is_running(&bridges[1]), "%s%s", bridges[1].out, bridges[1].err);
}

static void start_traffic(void)
{
	for (int i = 0; i < 2; i++) {
		int from = i ? RIGHT : LEFT, to = i ? LEFT : RIGHT;

		NMX_IN(to, &sinks[i], "sink", "eth0", "--verify", "--dir", run_dir, "-q", "--json", "-n", COUNT,
		       "--timeout", "3", "--slots", "8192");
		net_await_port(&sinks[i]);
		NMX_IN(from, &gens[i], "gen", "eth0", "--verify", "--dir", run_dir, "-q", "--json", "-n", COUNT, "-r",
		       RATE, "-l", "60-1514");
	}
}

static void look_at_bridges(void)
{
	for (int i = 0; i < BRIDGES; i++) {
		kill(bridges[i].pid, SIGTERM);
		child_wait(&bridges[i], 5000);
		EXPECT(bridges[i].code < RUN_TIMED_OUT, "bridge %d: %d", i, bridges[i].code);
		printf("bridge %d: %s", i, bridges[i].out);
		EXPECT(json_number(&bridges[i], "bytes_copied") == 0, "bridge %d copied", i);
	}
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 3);
	net_needs_ports();
	net_join(MIDDLE, "eth0", LEFT, "eth0", 1, MTU, NET_QUIET);
	net_join(MIDDLE, "eth1", RIGHT, "eth0", 1, MTU, NET_QUIET);
	start_bridges();
	start_traffic();
	for (int i = 0; i < 2; i++) {
		child_ends(&gens[i], 0);
		child_ends(&sinks[i], 0);
		EXPECT(json_number(&sinks[i], "lost") == 0, "%s%s", gens[i].out, sinks[i].out);
	}
	look_at_bridges();
	run_dir_is_empty();
	return expect_result();
}
