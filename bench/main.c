/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench [--quick] [--json] [CASE...]
 *
 * Each case runs nmx and a bare loop that does the least that could do the same, in turns, each time in two fresh
 * processes pinned to two cores; the ratio of each pair counts, for machines are shared and noisy.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PAIRS = 15, QUICK_PAIRS = 11, SLOTS = 1024 };

struct bench_case {
	const char *name;
	const struct contest *ours, *bare;
	struct plan plan;
	bool turns;  /* nanoseconds a turn, lower is better; otherwise million packets a second */
	double goal; /* 0: only reported */
	const char *what;
};

static const struct bench_case cases[] = {
	{ "touch64-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 64, .touch = true }, false, 0.6, "64 bytes written and read, batch 32" },
	{ "touch64-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 64, .touch = true }, false, 0.6, "64 bytes written and read, batch 256" },
	{ "copy1500-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 1500, .touch = true, .copy = true }, false, 0.9, "1500 bytes copied in and read, batch 32" },
	{ "copy1500-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 1500, .touch = true, .copy = true }, false, 0.9, "1500 bytes copied in and read, batch 256" },
	{ "bare64-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 64 }, false, 0, "payload untouched, batch 32" },
	{ "bare64-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 64 }, false, 0, "payload untouched, batch 256" },
	{ "turn-spin", &nmx_spin, &bare_spin, { 0 }, true, 1.5, "round trip, spinning" },
	{ "turn-sleep", &nmx_sleep, &bare_sleep, { 0 }, true, 1.3, "round trip, sleeping, against two eventfds" },
};
enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

void meet(struct meeting *m)
{
	atomic_fetch_add(&m->ready, 1);
	while (atomic_load(&m->ready) < 2)
		sched_yield();
}

static pid_t start(void (*half)(const struct plan *, struct meeting *), const struct plan *plan, struct meeting *m, int cpu)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	half(plan, m);
	_exit(0);
}

/* Million packets a second, or nanoseconds a turn. */
static double run(const struct contest *contest, const struct plan *plan, struct meeting *m, bool turns)
{
	int cpu[2], status;
	pid_t pid[2];

	two_cpus(cpu);
	memset(m, 0, sizeof(*m));
	if (contest->prepare)
		contest->prepare(plan);
	pid[0] = start(contest->first, plan, m, cpu[0]);
	pid[1] = start(contest->second, plan, m, cpu[1]);
	for (int i = 0; i < 2; i++)
		if (waitpid(pid[i], &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			kill(pid[!i], SIGKILL);
			die("a run", "did not end well");
		}
	if (m->count == 0)
		die("a run", "measured nothing");
	return turns ? (double)m->elapsed_ns / (double)m->count : (double)m->count * 1e3 / (double)m->elapsed_ns;
}

static void measure(const struct bench_case *c, bool quick, bool json, const char *directory, struct meeting *m)
{
	double ours[PAIRS], bare[PAIRS], ratio[PAIRS];
	int pairs = quick ? QUICK_PAIRS : PAIRS;
	struct plan plan = c->plan;

	plan.slots = SLOTS;
	plan.seconds = quick ? 0.1 : 0.4;
	plan.directory = directory;
	for (int i = 0; i < pairs; i++) {
		bool ours_first = i % 2;

		for (int half = 0; half < 2; half++)
			if (ours_first == (half == 0))
				ours[i] = run(c->ours, &plan, m, c->turns);
			else
				bare[i] = run(c->bare, &plan, m, c->turns);
		ratio[i] = ours[i] / bare[i];
	}
	double middle = quantile(ratio, pairs, 0.5), low = quantile(ratio, pairs, 0.25), high = quantile(ratio, pairs, 0.75);
	double a = quantile(ours, pairs, 0.5), b = quantile(bare, pairs, 0.5);
	const char *unit = c->turns ? "ns" : "Mpps", *better = c->turns ? "lower" : "higher";

	if (json)
		printf("{\"case\":\"%s\",\"ours\":%.4g,\"baseline\":%.4g,\"unit\":\"%s\",\"ratio\":%.3f,\"low\":%.3f,\"high\":%.3f,\"goal\":%g,\"better\":\"%s\"}\n",
		       c->name, a, b, unit, middle, low, high, c->goal, better);
	else
		printf("%-14s %9.4g %9.4g %-5s %6.2f  [%.2f-%.2f]  %-8s %s\n", c->name, a, b, unit, middle, low, high,
		       c->goal == 0 ? "" : (c->turns ? middle <= c->goal : low >= c->goal) ? "met" : "NOT met", c->what);
	fflush(stdout);
}

static int usage(const char *offending)
{
	fprintf(stderr, "nmx-bench: \"%s\" is neither an option nor a case\nusage: nmx-bench [--quick] [--json] [CASE...]\ncases:", offending);
	for (int i = 0; i < NUM_CASES; i++)
		fprintf(stderr, " %s", cases[i].name);
	fputc('\n', stderr);
	return 2;
}

int main(int argc, char **argv)
{
	char directory[] = "/dev/shm/nmx-bench-XXXXXX";
	bool quick = false, json = false, known;
	struct meeting *m;

	for (argv++; argc > 1 && *argv && **argv == '-'; argv++)
		if (strcmp(*argv, "--quick") == 0)
			quick = true;
		else if (strcmp(*argv, "--json") == 0)
			json = true;
		else
			return usage(*argv);
	for (char **name = argv; *name; name++) {
		known = false;
		for (int i = 0; i < NUM_CASES; i++)
			known |= strcmp(*name, cases[i].name) == 0;
		if (!known)
			return usage(*name);
	}
	if (!mkdtemp(directory))
		die(directory, strerror(errno));
	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		die("mmap", strerror(errno));
	if (!json)
		printf("%-14s %9s %9s %-5s %6s  %-11s  %-8s\n", "case", "nmx", "bare", "unit", "ratio", "[quartiles]", "goal");
	for (int i = 0; i < NUM_CASES; i++)
		if (named_in(cases[i].name, argv))
			measure(&cases[i], quick, json, directory, m);
	if (rmdir(directory) < 0)
		die(directory, strerror(errno)); /* a run left something behind */
	return 0;
}
