/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * kill -9 at random instants, under traffic: afterwards the interface is as it was before nmx came, by all that ip, tc,
 * ethtool and bpftool show of it; the host talks by it again; and it can be opened again.
 *
 * -n ROUNDS: instead of 40.  $NMX_TEST_SEED repeats a run.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, QUEUES = 2, LIMIT_MS = 1000 };
#define HOST4  "10.9.0.1"
#define OTHER4 "10.9.0.2"

static struct child victim, again, talk, traffic;
static struct snapshot host, neighbour;
static int longest_ms;

static const char *const victims[][3] = {
	{ "sink", "eth0" },   { "gen", "eth0" },  { "bridge", "eth0" },        { "sink", "eth0^" },
	{ "sink", "eth0-1" }, { "pong", "eth0" }, { "bridge", "eth0", "p{1" },
};
enum { VICTIMS = sizeof(victims) / sizeof(*victims) };

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void start_victim(const char *const *words)
{
	const char *argv[8] = { nmx_path, words[0], words[1] };
	int n = 3;

	if (words[2])
		argv[n++] = words[2];
	argv[n++] = "--dir";
	argv[n++] = run_dir;
	argv[n++] = "-q";
	net_start(HOST, &victim, argv);
}

static void a_reopen_works(void)
{
	NMX_IN(HOST, &again, "sink", "eth0", "--dir", run_dir, "-q", "--json", "-n", "50", "--timeout", "3");
	child_ends(&again, 0);
}

/* Half of the instants lie in the time that opening takes. */
static void one_round(long round, uint64_t *random)
{
	const char *const *words = victims[round % VICTIMS];
	int after_us = (int)(draw(random) % (draw(random) % 2 ? 25000 : 150000)), took;
	bool good;

	start_victim(words);
	usleep((useconds_t)after_us);
	good = EXPECT(child_is_running(&victim), "%s %s ended by itself: %d: %s", words[0], words[1], victim.code,
	              victim.err);
	kill(victim.pid, SIGKILL);
	child_wait(&victim, 1000);
	took = net_same_after_kill(HOST, "eth0", &host, LIMIT_MS);
	good = net_same_within(NEIGHBOUR, "eth0", &neighbour, LIMIT_MS) >= 0 && took >= 0 && good;
	longest_ms = took > longest_ms ? took : longest_ms;
	net_start(HOST, &talk, ARGV(net_args.talk, "ping", OTHER4, "1", "1"));
	child_ends(&talk, 0);
	good = net_next_tidies(HOST, "eth0", &host) && good;
	a_reopen_works();
	if (!good || talk.code || again.code)
		fprintf(stderr, "    round %ld: %s %s %s, killed after %d us\n", round, words[0], words[1],
		        words[2] ? words[2] : "", after_us);
}

int main(int argc, char **argv)
{
	const char *given = getenv("NMX_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), random = seed * 2654435769u + 1;
	long rounds;

	net_begin(argc, argv, 2);
	net_needs_ports();
	rounds = net_args.number ? net_args.number : 40;
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_TALKS);
	net_address(HOST, "eth0", HOST4 "/24");
	net_address(NEIGHBOUR, "eth0", OTHER4 "/24");
	/* By the kernel: nothing of nmx at the neighbour, so that both ends can be looked at. */
	net_start(NEIGHBOUR, &traffic, ARGV(net_args.talk, "flood", HOST4, "9"));
	net_snapshot(HOST, "eth0", &host);
	net_snapshot(NEIGHBOUR, "eth0", &neighbour);
	for (long i = 0; i < rounds && expect_result() == 0; i++)
		one_round(i, &random);
	EXPECT(child_is_running(&traffic), "no traffic: %s", traffic.err);
	kill(traffic.pid, SIGKILL);
	child_wait(&traffic, 1000);
	printf("%ld rounds, seed %" PRIu64 ": as before after at most %d ms\n", rounds, seed, longest_ms);
	return expect_result();
}
