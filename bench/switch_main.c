/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench-switch [--quick] [--json] [--pairs=N] [--contest=A/B]... [CASE...]
 *
 * Ports of a switch against a bare copying loop, a pipe, and a bridge of the kernel's: in turns, each time in fresh
 * processes pinned to two processors; the ratio of each pair counts.  CASE may be the beginning of several, or `growth`.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "switch.h"
#include "xdp.h"

enum { PAIRS = 15, QUICK_PAIRS = 5, MOST_PAIRS = 99, TRIES = 5, SLOTS = 1024, MOST_CONTESTS = 16, LAB_PAIRS = 1 + FLOOD_RECEIVERS };

static const char *const shapes[NUM_SHAPES] = { [ONE] = "one", [FLOOD] = "flood", [TWO] = "two" };
static const uint32_t lengths[] = { 60, 1500 }, batches[] = { 32, 256 };
static const struct switch_contender *const contenders[] = { &switch_contender, &blocking_contender, &pipe_contender,
	                                                     &bridge_contender, &dpdk_switch_contender, &copy_contender };
enum { NUM_CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

struct switch_contest {
	const struct switch_contender *ours, *theirs;
};
static const struct switch_contest usual_contests[] = { { &switch_contender, &copy_contender },
	                                                { &switch_contender, &pipe_contender },
	                                                { &blocking_contender, &pipe_contender },
	                                                { &switch_contender, &bridge_contender },
	                                                { &switch_contender, &dpdk_switch_contender } };

struct options {
	bool quick, json;
	int pairs, num_contests;
	struct switch_contest contest[MOST_CONTESTS];
	char **cases;
};

static struct meeting *meeting;
static const char *directory;

/* ---- a run */

struct header header_of_sender(const struct switch_plan *plan, uint32_t index)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 }, first[6] = { 2, 0, 0, 0, 1, 0 };
	const uint8_t sender[6] = { 2, 0, 0, 0, 2, (uint8_t)index };

	return header_to(plan->shape == FLOOD ? all : first, sender);
}

struct header header_of_receiver(uint32_t index)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	const uint8_t receiver[6] = { 2, 0, 0, 0, 1, (uint8_t)index };

	return header_to(all, receiver);
}

void gather(const struct switch_plan *plan, struct meeting *m)
{
	atomic_fetch_add(&m->ready, 1);
	while (atomic_load(&m->ready) < senders_of(plan) + 1)
		sched_yield();
}

static void start(const struct switch_contender *c, const struct switch_plan *plan, int cpu, int sender)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	if (sender >= 0)
		c->send(c, plan, meeting, (uint32_t)sender);
	else
		c->receive(c, plan, meeting);
	_exit(0);
}

/* Million packets a second that arrived. */
static double try_run(const struct switch_contender *c, const struct switch_plan *plan)
{
	uint32_t senders = senders_of(plan);
	int cpu[2], status;

	two_cpus(cpu);
	memset(meeting, 0, sizeof(*meeting));
	if (c->prepare)
		c->prepare(plan);
	start(c, plan, cpu[1], -1);
	for (uint32_t i = 0; i < senders; i++)
		start(c, plan, cpu[0], (int)i);
	for (uint32_t i = 0; i < senders + 1; i++)
		if (waitpid(-1, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			die(c->name, "a run did not end well"); /* and so end the others */
	return (double)meeting->count * 1e3 / (double)meeting->elapsed_ns;
}

/* On a machine that others keep busy, one of the processes may not have run at all. */
static double run(const struct switch_contender *c, const struct switch_plan *plan)
{
	double rate = 0;

	for (int i = 0; i < TRIES && rate == 0; i++)
		rate = try_run(c, plan);
	if (rate == 0)
		die(c->name, "no packet got through");
	return rate;
}

/* ---- pairs */

/* The lower quartile of the ratios is to reach it; 0: only reported. */
static double goal_of(const struct switch_contest *contest, const struct switch_plan *plan)
{
	if (contest->ours != &switch_contender || plan->shape != ONE)
		return 0;
	if (contest->theirs == &pipe_contender)
		return plan->base.len == 60 ? 0.4 : 0;
	if (contest->theirs != &copy_contender || plan->base.len != 1500)
		return 0;
	return plan->base.touch ? 1 : 4;
}

static void measure(const char *name, const struct switch_plan *plan, const struct switch_contest *contest,
                    const struct options *options)
{
	double ours[MOST_PAIRS], theirs[MOST_PAIRS], ratio[MOST_PAIRS], goal = goal_of(contest, plan);
	char who[40];
	int n = options->pairs;

	for (int i = 0; i < n; i++) {
		for (int half = 0; half < 2; half++)
			if (i % 2 == half)
				theirs[i] = run(contest->theirs, plan);
			else
				ours[i] = run(contest->ours, plan);
		ratio[i] = ours[i] / theirs[i];
	}
	double middle = quantile(ratio, n, 0.5), low = quantile(ratio, n, 0.25), high = quantile(ratio, n, 0.75);
	double a = quantile(ours, n, 0.5), a_low = quantile(ours, n, 0.25), b = quantile(theirs, n, 0.5),
	       b_low = quantile(theirs, n, 0.25);

	snprintf(who, sizeof(who), "%s/%s", contest->ours->name, contest->theirs->name);
	if (options->json)
		printf("{\"case\":\"%s\",\"contest\":\"%s\",\"ours\":%.4g,\"ours_low\":%.4g,\"baseline\":%.4g,"
		       "\"baseline_low\":%.4g,\"unit\":\"Mpps\","
		       "\"ratio\":%.3f,\"low\":%.3f,\"high\":%.3f,\"goal\":%g,\"better\":\"higher\"}\n",
		       name, who, a, a_low, b, b_low, middle, low, high, goal);
	else
		printf("%-22s %-14s %7.2f [%7.2f] %7.2f [%7.2f] %6.2f [%.2f-%.2f]  %s\n", name, who, a, a_low, b,
		       b_low, middle, low, high,
		       goal == 0     ? ""
		       : low >= goal ? "met"
		                     : "NOT met");
	fflush(stdout);
}

/* ---- cases */

static bool is_wanted(const char *name, char **cases)
{
	if (!*cases)
		return true;
	for (; *cases; cases++)
		if (strncmp(name, *cases, strlen(*cases)) == 0)
			return true;
	return false;
}

/* Calls fn for every case, with its name. */
static bool each_case(bool (*fn)(const char *name, const struct switch_plan *plan, const void *arg), const void *arg)
{
	bool any = false;
	char name[32];

	for (uint32_t i = 0; i < NUM_SHAPES * 8; i++) {
		struct switch_plan plan = { .shape = (enum shape)(i / 8),
			                    .base = { .slots = SLOTS,
			                              .len = lengths[i / 4 % 2],
			                              .batch = batches[i / 2 % 2],
			                              .touch = i % 2,
			                              .directory = directory } };

		snprintf(name, sizeof(name), "%s-%u-b%u%s", shapes[plan.shape], plan.base.len, plan.base.batch,
		         plan.base.touch ? "-touch" : "");
		any |= fn(name, &plan, arg);
	}
	return any;
}

static bool run_case(const char *name, const struct switch_plan *given, const void *arg)
{
	const struct options *options = arg;
	struct switch_plan plan = *given;

	plan.base.seconds = options->quick ? 0.1 : 0.4;
	if (!is_wanted(name, options->cases))
		return false;
	for (int i = 0; i < options->num_contests; i++) {
		const struct switch_contest *c = &options->contest[i];

		if (plan.shape == ONE || (!c->ours->only_one && !c->theirs->only_one))
			measure(name, &plan, c, options);
	}
	return true;
}

static bool is_case(const char *name, const struct switch_plan *plan, const void *arg)
{
	(void)plan;
	return strncmp(name, arg, strlen(arg)) == 0;
}

static bool print_case(const char *name, const struct switch_plan *plan, const void *arg)
{
	(void)plan;
	(void)arg;
	return fprintf(stderr, " %s", name) > 0;
}

/* ---- who takes part */

static bool takes_part(const struct switch_contender *c)
{
	char why[sizeof(struct nmx_report)] = "";

	if (c->missing)
		c->missing(why, sizeof(why));
	if (*why)
		fprintf(stderr, "%s is left out: %s\n", c->name, why);
	return !*why;
}

static void leave_out_the_missing(struct options *options)
{
	bool there[NUM_CONTENDERS] = { false }, asked[NUM_CONTENDERS] = { false }, wants_lab = false;
	int kept = 0;

	for (int i = 0; i < options->num_contests; i++) {
		const struct switch_contender *of[2] = { options->contest[i].ours, options->contest[i].theirs };
		bool both = true;

		for (int side = 0; side < 2; side++)
			for (int k = 0; k < NUM_CONTENDERS; k++)
				if (contenders[k] == of[side]) {
					if (!asked[k])
						there[k] = takes_part(of[side]);
					asked[k] = true;
					both &= there[k];
				}
		if (both) {
			wants_lab |= of[0]->needs_lab || of[1]->needs_lab;
			options->contest[kept++] = options->contest[i];
		}
	}
	options->num_contests = kept;
	if (wants_lab)
		bridge_far_ends(make_lab(LAB_PAIRS), LAB_PAIRS);
}

/* ---- the command line */

static int usage(const char *offending)
{
	fprintf(stderr,
	        "nmx-bench-switch: \"%s\" is neither an option nor a case\n"
	        "usage: nmx-bench-switch [--quick] [--json] [--pairs=N] [--contest=A/B]... [CASE...]\ncases: growth",
	        offending);
	each_case(print_case, NULL);
	fputs(" (or the beginning of several)\ncontenders:", stderr);
	for (int i = 0; i < NUM_CONTENDERS; i++)
		fprintf(stderr, " %s", contenders[i]->name);
	fputc('\n', stderr);
	return 2;
}

static const struct switch_contender *contender_named(const char *name, size_t len)
{
	for (int i = 0; i < NUM_CONTENDERS; i++)
		if (strlen(contenders[i]->name) == len && memcmp(name, contenders[i]->name, len) == 0)
			return contenders[i];
	return NULL;
}

static bool parse_contest(const char *text, struct options *options)
{
	const char *slash = strchr(text, '/');
	struct switch_contest *c = &options->contest[options->num_contests];

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

static void run_all(const struct options *options)
{
	bool only_growth = options->cases[0] && !options->cases[1] && strcmp(options->cases[0], "growth") == 0;

	if (!options->json && !only_growth)
		printf("%-22s %-14s %7s %9s %7s %9s %6s %11s\n", "case", "ours/theirs", "Mpps", "[quart.]", "Mpps",
		       "[quart.]", "ratio", "[quartiles]");
	each_case(run_case, options);
	if (is_wanted("growth", options->cases))
		growth(directory, options->json);
}

int main(int argc, char **argv)
{
	struct options options = { 0 };

	for (argv++; argc > 1 && *argv && **argv == '-'; argv++)
		if (!parse_option(*argv, &options))
			return usage(*argv);
	options.cases = argv;
	for (char **name = argv; *name; name++)
		if (strcmp(*name, "growth") != 0 && !each_case(is_case, *name))
			return usage(*name);
	if (options.pairs == 0)
		options.pairs = options.quick ? QUICK_PAIRS : PAIRS;
	if (options.num_contests == 0) {
		memcpy(options.contest, usual_contests, sizeof(usual_contests));
		options.num_contests = sizeof(usual_contests) / sizeof(usual_contests[0]);
	}
	leave_out_the_missing(&options);
	directory = temporary_directory();
	meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (meeting == MAP_FAILED)
		die("mmap", strerror(errno));
	run_all(&options);
	return 0;
}
