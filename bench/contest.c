/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The cases of nmx-bench and nmx-bench-event. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "pairs.h"

enum { PAIRS = 15, QUICK_PAIRS = 11, SLOTS = 1024 };

void meet(struct meeting *m)
{
	atomic_fetch_add(&m->ready, 1);
	while (atomic_load(&m->ready) < 2)
		sched_yield();
}

/* What a run is about. */
struct job {
	const struct plan *plan;
	struct meeting *m;
	bool turns;
};

static void start(void (*half)(const struct plan *, struct meeting *), const struct job *job, int cpu)
{
	if (fork_pinned(cpu) > 0)
		return;
	half(job->plan, job->m);
	_exit(0);
}

/* Million packets a second, or nanoseconds a turn. */
static double run(const void *who, const void *what)
{
	const struct contest *contest = who;
	const struct job *job = what;
	struct meeting *m = job->m;
	int cpu[2];

	two_cpus(cpu);
	memset(m, 0, sizeof(*m));
	if (contest->prepare)
		contest->prepare(job->plan);
	start(contest->first, job, cpu[0]);
	start(contest->second, job, cpu[1]);
	wait_for("a run", 2);
	if (m->count == 0)
		die("a run", "measured nothing");
	return job->turns ? (double)m->elapsed_ns / (double)m->count : (double)m->count * 1e3 / (double)m->elapsed_ns;
}

/* One figure, and the most that it may be. */
static void measure_alone(const struct bench_case *c, bool json, const struct plan *plan)
{
	double ours = c->alone(plan);

	if (json)
		printf("{\"case\":\"%s\",\"ours\":%.4g,\"baseline\":0,\"unit\":\"%s\",\"ratio\":%.3f,\"low\":%.3f,\"high\":%.3f,\"goal\":%g,\"better\":\"lower\"}\n",
		       c->name, ours, c->unit, ours, ours, ours, c->goal);
	else
		printf("%-16s %9.4g %9s %-5s %6s  %-11s  %-8s %s\n", c->name, ours, "", c->unit, "", "", ours <= c->goal ? "met" : "NOT met", c->what);
	fflush(stdout);
}

static void measure(const struct bench_case *c, bool quick, bool json, const char *directory, struct meeting *m)
{
	const char *unit = c->turns ? "ns" : "Mpps";
	struct plan plan = c->plan;
	struct outcome o;

	plan.slots = SLOTS;
	plan.seconds = quick ? 0.1 : 0.4;
	plan.directory = directory;
	if (c->alone) {
		measure_alone(c, json, &plan);
		return;
	}
	o = take_turns(quick ? QUICK_PAIRS : PAIRS, run, c->ours, c->bare, &(struct job){ &plan, m, c->turns });
	if (json)
		tell_json(c->name, NULL, &o, unit, c->goal, c->turns ? "lower" : "higher");
	else
		printf("%-16s %9.4g %9.4g %-5s %6.2f  [%.2f-%.2f]  %-8s %s\n", c->name, o.ours.middle, o.theirs.middle, unit,
		       o.ratio.middle, o.ratio.low, o.ratio.high,
		       c->goal == 0                                                      ? ""
		       : (c->turns ? o.ratio.middle <= c->goal : o.ratio.low >= c->goal) ? "met"
		                                                                         : "NOT met",
		       c->what);
	fflush(stdout);
}

static int usage(const struct bench_case *cases, const char *offending)
{
	const char *program = program_invocation_short_name;

	fprintf(stderr, "%s: \"%s\" is neither an option nor a case\nusage: %s [--quick] [--json] [CASE...]\ncases:", program, offending, program);
	for (int i = 0; cases[i].name; i++)
		fprintf(stderr, " %s", cases[i].name);
	fputc('\n', stderr);
	return 2;
}

int run_cases(const struct bench_case *cases, int argc, char **argv)
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
			return usage(cases, *argv);
	for (char **name = argv; *name; name++) {
		known = false;
		for (int i = 0; cases[i].name; i++)
			known |= strcmp(*name, cases[i].name) == 0;
		if (!known)
			return usage(cases, *name);
	}
	if (!mkdtemp(directory))
		die(directory, strerror(errno));
	m = shared_memory(sizeof(*m));
	if (!json)
		printf("%-16s %9s %9s %-5s %6s  %-11s  %-8s\n", "case", "nmx", "bare", "unit", "ratio", "[quartiles]", "goal");
	for (int i = 0; cases[i].name; i++)
		if (named_in(cases[i].name, argv))
			measure(&cases[i], quick, json, directory, m);
	if (rmdir(directory) < 0)
		die(directory, strerror(errno)); /* a run left something behind */
	return 0;
}
