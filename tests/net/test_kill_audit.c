/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * kill -9 at random instants, half of them while ports are being opened, of processes that move packets between interfaces
 * and pipes in one segment: no buffer is ever lost or doubled, and two seconds later all that they held is free.
 *
 *   LEFT [gen] eth0 ==veth== eth0 [bridge] p [bridge] eth1 ==veth== eth0 [sink] RIGHT
 *
 * -n ROUNDS: instead of 8; all are killed in each.  $NMX_TEST_SEED repeats a run.
 */
#include "rings.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LEFT, MIDDLE, RIGHT, MTU = 1500, QUEUES = 2, QUARANTINE_MS = 2100, BETWEEN = 30 };

static const struct {
	int side;
	const char *words[3];
} victims[] = {
	{ MIDDLE, { "bridge", "eth0", "p{1" } }, { MIDDLE, { "bridge", "p}1", "eth1" } }, { LEFT, { "gen", "eth0", NULL } },
	{ RIGHT, { "sink", "eth0", NULL } },     { MIDDLE, { "sink", "eth0^", NULL } },   { LEFT, { "pong", "eth0^", NULL } },
};
enum { VICTIMS = sizeof(victims) / sizeof(*victims) };

static struct child children[VICTIMS];
static struct nmx_audit idle;
static uint32_t most_quarantined, dead_in_all, by_themselves;

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void start(int v)
{
	const char *argv[8] = { nmx_path, victims[v].words[0], victims[v].words[1] };
	int n = 3;

	if (victims[v].words[2])
		argv[n++] = victims[v].words[2];
	argv[n++] = "--dir";
	argv[n++] = run_dir;
	argv[n++] = "-q";
	net_start(victims[v].side, &children[v], argv);
}

static void clean(void)
{
	struct nmx_report why = { 0 };
	bool removed = false;
	int dead = nmx_segment_clean(run_dir, NULL, &removed, &why);

	EXPECT(dead >= 0 && !removed, "clean: %s", why.text);
	dead_in_all += dead > 0 ? (uint32_t)dead : 0;
}

/* Buffers that the kernel held are in quarantine; all others must be free already. */
static void nothing_is_lost(long round)
{
	struct nmx_audit now;

	clean();
	now = rings_audit();
	EXPECT(now.lost == 0 && now.doubled == 0, "round %ld: %u buffers lost, %u doubled", round, now.lost, now.doubled);
	EXPECT(now.held == idle.held && now.free + now.queued + now.quarantined == idle.free + idle.queued, "round %ld: %u held, %u free, %u queued, %u in quarantine",
	       round, now.held, now.free, now.queued, now.quarantined);
	most_quarantined = now.quarantined > most_quarantined ? now.quarantined : most_quarantined;
}

static void all_is_free(void)
{
	sleep_ms(QUARANTINE_MS);
	clean();
	rings_audit_same(&idle, "two seconds later");
}

static void one_round(long round, uint64_t *random)
{
	uint32_t order = (uint32_t)draw(random);

	for (int i = 0; i < VICTIMS; i++)
		start(i);
	usleep((useconds_t)(draw(random) % (draw(random) % 2 ? 60000 : 400000)));
	for (int i = 0; i < VICTIMS; i++) {
		struct child *child = &children[(i + order % VICTIMS) % VICTIMS];

		by_themselves += !child_is_running(child);
		kill(child->pid, SIGKILL);
		if (order >> 8 & 1)
			usleep((useconds_t)(draw(random) % 5000));
	}
	for (int i = 0; i < VICTIMS; i++)
		child_wait(&children[i], 2000);
	nothing_is_lost(round);
}

int main(int argc, char **argv)
{
	const char *given = getenv("NMX_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), random = seed * 2654435769u + 1;
	struct nmx_port *keeper;
	long rounds;

	net_begin(argc, argv, 3);
	net_needs_ports();
	rounds = net_args.number ? net_args.number : 8;
	net_join(MIDDLE, "eth0", LEFT, "eth0", QUEUES, MTU, NET_TALKS);
	net_join(MIDDLE, "eth1", RIGHT, "eth0", QUEUES, MTU, NET_TALKS);
	keeper = rings_open(MIDDLE, "keeper{1", NULL);
	idle = rings_audit();
	for (long i = 0; i < rounds && expect_result() == 0; i++) {
		one_round(i, &random);
		if (i % BETWEEN == BETWEEN - 1)
			all_is_free();
	}
	all_is_free();
	printf("%ld rounds, seed %" PRIu64 ": %u dead were found, %u ended by themselves, at most %u buffers in quarantine\n", rounds, seed,
	       dead_in_all, by_themselves, most_quarantined);
	nmx_close(keeper);
	run_dir_is_empty();
	return expect_result();
}
