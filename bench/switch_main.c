/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench-switch [--quick] [--json] [--pairs=N] [--contest=A/B]... [--svg=FILE] [CASE...]
 *
 * Ports of a switch against a bare copying loop, a pipe, a bridge of the kernel's, and DPDK: in turns, each time in fresh
 * processes pinned to two processors; the ratio of each pair counts.  CASE may be the beginning of several, or `growth`, whose
 * plot goes into the file of --svg.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "switch.h"
#include "xdp.h"

enum { TRIES = 5, SLOTS = 1024, LAB_PAIRS = 1 + FLOOD_RECEIVERS, NUM_CASES = NUM_SHAPES * 8 };

static const char *const shapes[NUM_SHAPES] = { [ONE] = "one", [FLOOD] = "flood", [TWO] = "two" };
static const uint32_t lengths[] = { 60, 1500 }, batches[] = { 32, 256 };
static const struct contender *const contenders[] = { &switch_contender.is,
	                                              &blocking_contender.is,
	                                              &pipe_contender.is,
	                                              &bridge_contender.is,
	                                              &dpdk_switch_contender.is,
	                                              &copy_contender.is,
	                                              NULL };
static const struct pairing usual[] = {
	{ &switch_contender.is, &copy_contender.is },        { &switch_contender.is, &pipe_contender.is },
	{ &blocking_contender.is, &pipe_contender.is },      { &switch_contender.is, &bridge_contender.is },
	{ &switch_contender.is, &dpdk_switch_contender.is }, { 0 },
};

static struct meeting *meeting;
static const char *directory, *svg;

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
	if (fork_pinned(cpu) > 0)
		return;
	if (sender >= 0)
		c->send(c, plan, meeting, (uint32_t)sender);
	else
		c->receive(c, plan, meeting);
	_exit(0);
}

/* Million packets a second that arrived. */
static double try_run(const struct switch_contender *c, const struct switch_plan *plan)
{
	int senders = (int)senders_of(plan), cpu[2];

	two_cpus(cpu);
	memset(meeting, 0, sizeof(*meeting));
	if (c->prepare)
		c->prepare(plan);
	start(c, plan, cpu[1], -1);
	for (int i = 0; i < senders; i++)
		start(c, plan, cpu[0], i);
	wait_for(c->is.name, senders + 1);
	return (double)meeting->count * 1e3 / (double)meeting->elapsed_ns;
}

/* On a machine that others keep busy, one of the processes may not have run at all. */
static double run(const void *who, const void *what)
{
	const struct switch_contender *c = who;
	double rate = 0;

	for (int i = 0; i < TRIES && rate == 0; i++)
		rate = try_run(c, what);
	if (rate == 0)
		die(c->is.name, "no packet got through");
	return rate;
}

/* ---- cases */

struct switch_case {
	char name[32];
	struct switch_plan plan;
};

static struct switch_case case_number(uint32_t i)
{
	struct switch_case c = { .plan = { .shape = (enum shape)(i / 8),
		                           .base = { .slots = SLOTS,
		                                     .len = lengths[i / 4 % 2],
		                                     .batch = batches[i / 2 % 2],
		                                     .touch = i % 2,
		                                     .directory = directory } } };

	snprintf(c.name, sizeof(c.name), "%s-%u-b%u%s", shapes[c.plan.shape], c.plan.base.len, c.plan.base.batch,
	         c.plan.base.touch ? "-touch" : "");
	return c;
}

static bool begins_with(const char *name, const char *beginning)
{
	return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool is_case(const char *name)
{
	for (uint32_t i = 0; i < NUM_CASES; i++)
		if (begins_with(case_number(i).name, name))
			return true;
	return strcmp(name, "growth") == 0;
}

static bool is_wanted(const char *name, char **cases)
{
	for (char **begin = cases; *begin; begin++)
		if (begins_with(name, *begin))
			return true;
	return !*cases;
}

static void print_cases(void)
{
	for (uint32_t i = 0; i < NUM_CASES; i++)
		fprintf(stderr, " %s", case_number(i).name);
	fputs(" growth (or the beginning of several)", stderr);
}

/* ---- pairs */

/* The lower quartile of the ratios is to reach it; 0: only reported. */
static double goal_of(const struct pairing *p, const struct switch_plan *plan)
{
	if (p->ours != &switch_contender.is || plan->shape != ONE)
		return 0;
	if (p->theirs == &pipe_contender.is)
		return plan->base.len == 60 ? 0.4 : 0;
	if (p->theirs != &copy_contender.is || plan->base.len != 1500)
		return 0;
	return plan->base.touch ? 1 : 4;
}

static bool can(const struct contender *who, enum shape shape)
{
	const struct switch_contender *c = (const void *)who;

	return shape == ONE || !c->only_one;
}

static void measure(struct switch_case *c, const struct options *options)
{
	c->plan.base.seconds = options->quick ? 0.1 : 0.2;
	for (int i = 0; i < options->num_pairings; i++) {
		const struct pairing *p = &options->pairing[i];
		const double goal = goal_of(p, &c->plan);

		if (!can(p->ours, c->plan.shape) || !can(p->theirs, c->plan.shape))
			continue;
		const struct outcome o = take_turns(options->pairs, run, p->ours, p->theirs, &c->plan);
		tell(options, c->name, p, &o, goal, goal == 0 ? "" : o.ratio.low >= goal ? "met" : "NOT met", "");
	}
}

/* ---- the command line */

static bool parse_svg(const char *option)
{
	svg = begins_with(option, "--svg=") ? option + 6 : NULL;
	return svg && *svg;
}

static const struct program program = { .contenders = contenders,
	                                .usual = usual,
	                                .is_case = is_case,
	                                .print_cases = print_cases,
	                                .own_options = " [--svg=FILE]",
	                                .parse_own = parse_svg };

int main(int argc, char **argv)
{
	struct options options = read_options(&program, argc, argv);
	bool any = false;

	if (svg && !is_wanted("growth", options.cases))
		die("--svg", "it shows growth, which is not among these cases");
	directory = temporary_directory();
	meeting = shared_memory(sizeof(*meeting));
	leave_out_the_missing(&program, &options, directory);
	if (takes_part(&options, &bridge_contender.is))
		bridge_far_ends(make_lab(LAB_PAIRS), LAB_PAIRS);
	for (uint32_t i = 0; i < NUM_CASES; i++) {
		struct switch_case c = case_number(i);

		if (!is_wanted(c.name, options.cases))
			continue;
		if (!any)
			tell_head(&options);
		any = true;
		measure(&c, &options);
	}
	if (is_wanted("growth", options.cases))
		growth(directory, options.json, svg);
	return 0;
}
