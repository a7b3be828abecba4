/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench-xdp [--quick] [--json] [--pairs=N] [--contest=A/B]... [CASE...]
 *
 * Interfaces: nmx against a bare AF_XDP loop, AF_PACKET and DPDK, between veth pairs of its own in namespaces of its own.
 * As nmx-bench: in turns, in fresh pinned processes, and the ratio of each pair counts.  Root only.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xdp.h"

enum { PAIRS = 15, QUICK_PAIRS = 5, MOST_PAIRS = 199, SLOTS = 1024, BATCH = 64, MOST_CONTESTS = 8, PATIENCE_S = 30, MOST_TRIES = 4, NOTHING = 100 };

static const struct xdp_case {
	const char *name, *what;
	enum job job;
	uint32_t len;
} cases[] = {
	{ "rxdrop-60", "receive and drop, 60 bytes", RX_DROP, 60 },
	{ "rxdrop-1500", "receive and drop, 1500 bytes", RX_DROP, 1500 },
	{ "rxfed-60", "the same, fed as by a driver", RX_FED, 60 },
	{ "rxfed-1500", "the same, fed as by a driver", RX_FED, 1500 },
	{ "tx-60", "transmit, 60 bytes", TX, 60 },
	{ "tx-1500", "transmit, 1500 bytes", TX, 1500 },
	{ "fwd-60", "forward, 60 bytes", FORWARD, 60 },
	{ "fwd-1500", "forward, 1500 bytes", FORWARD, 1500 },
};
enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static const struct contender *const contenders[] = { &nmx_contender, &sums_contender, &xsk_contender, &packet_contender, &dpdk_contender };
enum { NUM_CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

struct xdp_contest {
	const struct contender *ours, *theirs;
};

static const struct xdp_contest usual_contests[] = {
	{ &nmx_contender, &xsk_contender },
	{ &sums_contender, &xsk_contender },
	{ &nmx_contender, &packet_contender },
	{ &nmx_contender, &dpdk_contender },
	{ &xsk_contender, &packet_contender }, /* how much of it is the kernel's */
	{ &xsk_contender, &dpdk_contender },
};

struct options {
	bool quick, json;
	int pairs;
	struct xdp_contest contest[MOST_CONTESTS];
	int num_contests;
};

static struct xdp_meeting *meeting;
static int tries, runs, disturbed_runs;
static int far_netns, cpus[2];
static const char *directory;

/* ---- one run */

static pid_t start(void (*half)(const struct xdp_plan *, struct xdp_meeting *), const struct xdp_plan *plan, int netns, int cpu)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid(); /* a session has a share of the processors: each half one, as dpdk-testpmd has */
	if (netns >= 0)
		enter_namespace(netns);
	pin(cpu);
	half(plan, meeting);
	_exit(0);
}

/* Lets both halves run for some time, unless one has died. */
static void let_run(double seconds, uint32_t until_ready, const pid_t pid[2])
{
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

	while (now_ns() < end && !(until_ready && meeting->ready >= until_ready)) {
		uint64_t left = end - now_ns();

		usleep((useconds_t)(left < 20000000 ? left / 1000 + 1 : 20000));
		for (int i = 0; i < 2; i++)
			if (waitpid(pid[i], NULL, WNOHANG) != 0) {
				kill(pid[!i], SIGKILL);
				die("a run", "did not end well");
			}
	}
	if (until_ready && meeting->ready < until_ready)
		die("a run", "does not begin");
}

static uint64_t packets_so_far(const struct contender *c, const struct xdp_plan *plan, uint64_t *when)
{
	if (only_receives(plan->job) && c->has_to_be_asked) {
		meeting->asked++;
		for (int ms = 0; meeting->answered != meeting->asked; ms++) {
			if (ms > PATIENCE_S * 1000)
				die(c->name, "does not answer");
			usleep(1000);
		}
		*when = meeting->count_at;
		return meeting->count;
	}
	*when = now_ns();
	return only_receives(plan->job) ? meeting->count : meeting->arrived;
}

/* Nanoseconds that a process was ready to run and did not; 0 where the kernel does not say. */
static uint64_t waited_ns(pid_t pid)
{
	unsigned long long ran, waited = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	if ((f = fopen(path, "re"))) {
		if (fscanf(f, "%llu %llu", &ran, &waited) != 2)
			waited = 0;
		fclose(f);
	}
	return waited;
}

/* Million packets a second; *disturbed: the part of the time that the two had to wait for a processor, or
 * NOTHING when no packet got through. */
static double try_run(const struct contender *c, const struct xdp_plan *plan, double *disturbed)
{
	uint64_t before, after, from, to, waited;
	pid_t pid[2];
	int status;

	memset(meeting, 0, sizeof(*meeting));
	pid[0] = start(far_side, plan, far_netns, cpus[0]);
	pid[1] = start(c->run, plan, -1, cpus[1]);
	let_run(PATIENCE_S, 2, pid);
	let_run(plan->seconds / 4, 0, pid);
	waited = waited_ns(pid[0]) + waited_ns(pid[1]);
	before = packets_so_far(c, plan, &from);
	let_run(plan->seconds, 0, pid);
	after = packets_so_far(c, plan, &to);
	waited = waited_ns(pid[0]) + waited_ns(pid[1]) - waited;
	meeting->stop = 1;
	if (plan->job == RX_FED)
		kill(pid[0], FEED_END);
	for (int i = 0; i < 2; i++)
		if (waitpid(pid[i], &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			kill(pid[!i], SIGKILL);
			die(i ? c->name : "the far side", "did not end well");
		}
	if (c->has_to_be_asked)
		clean_lab();
	*disturbed = after == before ? NOTHING : (double)waited / (double)(to - from);
	return (double)(after - before) * 1e3 / (double)(to - from);
}

/* The same, tried again where somebody else had the processors for more than a tenth of the time; of several such, the
 * least disturbed. */
static double run(const struct contender *c, const struct xdp_plan *plan)
{
	double best = 0, least = NOTHING, disturbed;

	for (int i = 0; least > 0.1 && (i < MOST_TRIES || (best == 0 && i < 4 * MOST_TRIES)); i++) {
		usleep((useconds_t)i * 100000); /* whatever it is may be over then */
		double rate = try_run(c, plan, &disturbed);

		tries++;
		if (disturbed < least) {
			least = disturbed;
			best = rate;
		}
	}
	runs++;
	disturbed_runs += least > 0.1;
	if (best == 0)
		die(c->name, "no packet got through");
	return best;
}

/* ---- pairs */

static const char *verdict(const struct xdp_contest *contest, double middle, double ours, double their_low)
{
	if (contest->ours != &nmx_contender)
		return "";
	if (contest->theirs == &xsk_contender)
		return middle >= 0.97 ? "met" : ours >= their_low ? "in spread" : "NOT met";
	return middle > 1 ? "met" : "NOT met";
}

static double goal(const struct xdp_contest *contest)
{
	return contest->ours != &nmx_contender ? 0 : contest->theirs == &xsk_contender ? 0.97 : 1;
}

static void measure(const struct xdp_case *c, const struct xdp_contest *contest, const struct options *options)
{
	const struct xdp_plan plan = { .job = c->job, .len = c->len, .batch = BATCH, .slots = SLOTS, .seconds = options->quick ? 0.12 : 0.4, .directory = directory };
	double ours[MOST_PAIRS], theirs[MOST_PAIRS], ratio[MOST_PAIRS];
	int n = options->pairs;
	char name[32];

	for (int i = 0; i < n; i++) {
		bool ours_first = i % 2;

		for (int half = 0; half < 2; half++)
			if (ours_first == (half == 0))
				ours[i] = run(contest->ours, &plan);
			else
				theirs[i] = run(contest->theirs, &plan);
		ratio[i] = ours[i] / theirs[i];
	}
	double middle = quantile(ratio, n, 0.5), low = quantile(ratio, n, 0.25), high = quantile(ratio, n, 0.75);
	double a = quantile(ours, n, 0.5), a_low = quantile(ours, n, 0.25), a_high = quantile(ours, n, 0.75);
	double b = quantile(theirs, n, 0.5), b_low = quantile(theirs, n, 0.25), b_high = quantile(theirs, n, 0.75);

	snprintf(name, sizeof(name), "%s/%s", contest->ours->name, contest->theirs->name);
	if (options->json)
		printf("{\"case\":\"%s\",\"contest\":\"%s\",\"ours\":%.4g,\"ours_low\":%.4g,\"ours_high\":%.4g,\"baseline\":%.4g,\"baseline_low\":%.4g,\"baseline_high\":%.4g,"
		       "\"unit\":\"Mpps\",\"ratio\":%.3f,\"low\":%.3f,\"high\":%.3f,\"goal\":%g,\"better\":\"higher\"}\n",
		       c->name, name, a, a_low, a_high, b, b_low, b_high, middle, low, high, goal(contest));
	else
		printf("%-12s %-12s %6.3f [%.3f-%.3f] %6.3f [%.3f-%.3f] %6.2f [%.2f-%.2f]  %-9s %s\n", c->name, name, a, a_low, a_high, b, b_low, b_high,
		       middle, low, high, verdict(contest, middle, a, b_low), c->what);
	fflush(stdout);
}

/* ---- who takes part */

/* Asked in a child, for what is tried there must not stay. */
static bool takes_part(const struct contender *c)
{
	const struct xdp_plan plan = { .slots = SLOTS, .directory = directory };
	char *why;
	pid_t pid;

	if (!c->missing)
		return true;
	why = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED || (pid = fork()) < 0)
		die(c->name, strerror(errno));
	if (pid == 0) {
		c->missing(&plan, why, 4096);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (*why)
		fprintf(stderr, "%s is left out: %s\n", c->name, why);
	bool takes = !*why;
	munmap(why, 4096);
	return takes;
}

static void leave_out_the_missing(struct options *options)
{
	bool there[NUM_CONTENDERS] = { false }, asked[NUM_CONTENDERS] = { false };
	int kept = 0;

	for (int i = 0; i < options->num_contests; i++) {
		const struct contender *of[2] = { options->contest[i].ours, options->contest[i].theirs };
		bool both = true;

		for (int side = 0; side < 2; side++)
			for (int k = 0; k < NUM_CONTENDERS; k++)
				if (contenders[k] == of[side]) {
					if (!asked[k])
						there[k] = takes_part(of[side]);
					asked[k] = true;
					both &= there[k];
				}
		if (both)
			options->contest[kept++] = options->contest[i];
	}
	options->num_contests = kept;
}

/* ---- the command line */

static int usage(const char *offending)
{
	fprintf(stderr, "nmx-bench-xdp: \"%s\" is neither an option nor a case\n"
	                "usage: nmx-bench-xdp [--quick] [--json] [--pairs=N] [--contest=A/B]... [CASE...]\ncases:", offending);
	for (int i = 0; i < NUM_CASES; i++)
		fprintf(stderr, " %s", cases[i].name);
	fputs("\ncontenders:", stderr);
	for (int i = 0; i < NUM_CONTENDERS; i++)
		fprintf(stderr, " %s", contenders[i]->name);
	fputc('\n', stderr);
	return 2;
}

static const struct contender *contender_named(const char *name, size_t len)
{
	for (int i = 0; i < NUM_CONTENDERS; i++)
		if (strlen(contenders[i]->name) == len && memcmp(name, contenders[i]->name, len) == 0)
			return contenders[i];
	return NULL;
}

static bool parse_contest(const char *text, struct options *options)
{
	const char *slash = strchr(text, '/');
	struct xdp_contest *c = &options->contest[options->num_contests];

	if (!slash || options->num_contests == MOST_CONTESTS)
		return false;
	c->ours = contender_named(text, (size_t)(slash - text));
	c->theirs = contender_named(slash + 1, strlen(slash + 1));
	options->num_contests++;
	return c->ours && c->theirs;
}

static bool parse_option(const char *text, struct options *options)
{
	if (strcmp(text, "--quick") == 0)
		options->quick = true;
	else if (strcmp(text, "--json") == 0)
		options->json = true;
	else if (strncmp(text, "--pairs=", 8) == 0)
		options->pairs = atoi(text + 8);
	else
		return strncmp(text, "--contest=", 10) == 0 && parse_contest(text + 10, options);
	return options->pairs >= 0 && options->pairs <= MOST_PAIRS;
}

static bool known_case(const char *name)
{
	for (int i = 0; i < NUM_CASES; i++)
		if (strcmp(name, cases[i].name) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };

	for (argv++; argc > 1 && *argv && **argv == '-'; argv++)
		if (!parse_option(*argv, &options))
			return usage(*argv);
	for (char **name = argv; *name; name++)
		if (!known_case(*name))
			return usage(*name);
	if (options.pairs == 0)
		options.pairs = options.quick ? QUICK_PAIRS : PAIRS;
	if (options.num_contests == 0) {
		memcpy(options.contest, usual_contests, sizeof(usual_contests));
		options.num_contests = sizeof(usual_contests) / sizeof(usual_contests[0]);
	}
	if (geteuid() != 0)
		die("root is needed", "it makes namespaces and interfaces of its own; run it with sudo");
	two_cpus(cpus);
	far_netns = make_lab(2);
	directory = temporary_directory();
	meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (meeting == MAP_FAILED)
		die("mmap", strerror(errno));
	leave_out_the_missing(&options);
	if (!options.json)
		printf("%-12s %-12s %6s %13s %6s %13s %6s %11s\n", "case", "ours/theirs", "ours", "[Mpps]", "theirs", "[Mpps]", "ratio", "[quartiles]");
	for (int i = 0; i < NUM_CASES; i++)
		for (int k = 0; k < options.num_contests && named_in(cases[i].name, argv); k++)
			if (cases[i].job != TX || !options.contest[k].ours->must_receive)
				measure(&cases[i], &options.contest[k], &options);
	if (tries > runs)
		fprintf(stderr, "%d runs were repeated because other work took more than a tenth of the time; %d stayed so\n", tries - runs, disturbed_runs);
	return 0;
}
