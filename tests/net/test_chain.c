/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two interfaces with three processes and two pipes between them: what comes in at one end goes out at the other, in order
 * and intact, both ways at once, and nobody on the way has copied a packet.
 *
 *   host ==veth== eth0 [bridge] p [bridge] q [bridge] eth1 ==veth== host
 *
 * A queue belongs to one process: the hosts receive by the first, which the chain sends on, and send by the second.
 *
 * -n PACKETS: instead of 30000, in as many seconds.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

enum { LEFT, MIDDLE, RIGHT, MTU = 1500, BRIDGES = 3 };
/* The rings of the chain hold a tenth of a second of it: seven processes may have to share two processors.  Larger ones
 * would have more buffers than an interface registers, and what lies beyond these has to be copied. */
#define COUNT 30000
#define SECONDS 3
#define SLOTS "8192" /* of the sinks */

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

static long count;

static void start_traffic(void)
{
	char packets[32], rate[32];

	snprintf(packets, sizeof(packets), "%ld", count);
	snprintf(rate, sizeof(rate), "%ld", count / SECONDS + 1);
	for (int i = 0; i < 2; i++) {
		int from = i ? RIGHT : LEFT, to = i ? LEFT : RIGHT;

		NMX_IN(to, &sinks[i], "sink", "eth0-0", "--verify", "--dir", run_dir, "-q", "--json", "-n", packets,
		       "--timeout", "10", "--slots", SLOTS);
		net_await_port(&sinks[i]);
		NMX_IN(from, &gens[i], "gen", "eth0-1", "--verify", "--dir", run_dir, "-q", "--json", "-n", packets,
		       "-r", rate, "-l", "60-1514");
	}
}

static void look_at_bridges(void)
{
	for (int i = 0; i < BRIDGES; i++) {
		kill(bridges[i].pid, SIGTERM);
		child_wait(&bridges[i], 5000);
		EXPECT(bridges[i].code < RUN_TIMED_OUT, "bridge %d: %d", i, bridges[i].code);
		EXPECT(json_number(&bridges[i], "bytes_copied") == 0, "bridge %d copied: %s", i, bridges[i].out);
	}
}

/* What does not arrive must stand in a counter of who had no room for it. */
static void everything_arrives(int way)
{
	const struct child *entrance = &bridges[way ? BRIDGES - 1 : 0];
	int64_t lost = json_number(&sinks[way], "lost"), dropped;

	dropped = (int64_t)(json_sum(entrance, "drops") + json_sum(&sinks[way], "drops"));
	EXPECT(lost == 0, "%" PRId64 " lost: %s%s%s%s", lost, gens[way].out, entrance->out, entrance->err,
	       sinks[way].out);
	EXPECT(lost == dropped, "%" PRId64 " lost, %" PRId64 " in the counters of the bridge and the sink", lost,
	       dropped);
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 3);
	net_needs_ports();
	count = net_args.number ? net_args.number : COUNT;
	net_join(MIDDLE, "eth0", LEFT, "eth0", 2, MTU, NET_QUIET);
	net_join(MIDDLE, "eth1", RIGHT, "eth0", 2, MTU, NET_QUIET);
	start_bridges();
	start_traffic();
	for (int i = 0; i < 2; i++) {
		child_ends(&gens[i], 0);
		child_ends(&sinks[i], 0);
	}
	look_at_bridges();
	for (int i = 0; i < 2; i++)
		everything_arrives(i);
	printf("2 ways of %ld packets through %d bridges and %d pipes\n", count, BRIDGES, BRIDGES - 1);
	run_dir_is_empty();
	return expect_result();
}
