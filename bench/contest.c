/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs cases: two contenders in turns, pair by pair, and what is told of them. */
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

struct window window_open(const struct plan *plan)
{
	uint64_t now = now_ns();

	return (struct window){ .start = now + (uint64_t)(plan->seconds * 1e8), .end = now + (uint64_t)(plan->seconds * 1.1e9) };
}

bool window_over(struct window *w, uint64_t count, struct meeting *m)
{
	uint64_t now = now_ns();

	if (!w->began_at && now >= w->start) {
		w->began_at = now;
		w->before = count;
	}
	if (!w->began_at || now < w->end)
		return false;
	m->stop = 1;
	m->count = count - w->before;
	m->elapsed_ns = now - w->began_at;
	return true;
}

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
	double ours[PAIRS], bare[PAIRS], ratio[PAIRS];
	int pairs = quick ? QUICK_PAIRS : PAIRS;
	struct plan plan = c->plan;

	plan.slots = SLOTS;
	plan.seconds = quick ? 0.1 : 0.4;
	plan.directory = directory;
	if (c->alone) {
		measure_alone(c, json, &plan);
		return;
	}
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
		printf("%-16s %9.4g %9.4g %-5s %6.2f  [%.2f-%.2f]  %-8s %s\n", c->name, a, b, unit, middle, low, high,
		       c->goal == 0 ? "" : (c->turns ? middle <= c->goal : low >= c->goal) ? "met" : "NOT met", c->what);
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
	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		die("mmap", strerror(errno));
	if (!json)
		printf("%-16s %9s %9s %-5s %6s  %-11s  %-8s\n", "case", "nmx", "bare", "unit", "ratio", "[quartiles]", "goal");
	for (int i = 0; cases[i].name; i++)
		if (named_in(cases[i].name, argv))
			measure(&cases[i], quick, json, directory, m);
	if (rmdir(directory) < 0)
		die(directory, strerror(errno)); /* a run left something behind */
	return 0;
}
