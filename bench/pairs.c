/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "pairs.h"

enum { PAIRS = 15, QUICK_PAIRS = 5, MOST_PAIRS = 199, WHY = 1024 };

/* ---- pairs */

static struct spread spread_of(double *values, int n)
{
	return (struct spread){ quantile(values, n, 0.25), quantile(values, n, 0.5), quantile(values, n, 0.75) };
}

struct outcome take_turns(int pairs, double (*run)(const void *who, const void *what), const void *ours,
                          const void *theirs, const void *what)
{
	double a[MOST_PAIRS] = { 0 }, b[MOST_PAIRS] = { 0 }, ratio[MOST_PAIRS] = { 0 };

	for (int i = 0; i < pairs; i++) {
		bool ours_first = i % 2;

		for (int half = 0; half < 2; half++)
			if (ours_first == (half == 0))
				a[i] = run(ours, what);
			else
				b[i] = run(theirs, what);
		ratio[i] = a[i] / b[i];
	}
	return (struct outcome){ spread_of(a, pairs), spread_of(b, pairs), spread_of(ratio, pairs) };
}

void tell_json(const char *name, const char *contest, const struct outcome *o, const char *unit, double goal,
               const char *better)
{
	printf("{\"case\":\"%s\",", name);
	if (contest)
		printf("\"contest\":\"%s\",", contest);
	printf("\"ours\":%.4g,\"ours_low\":%.4g,\"ours_high\":%.4g,\"baseline\":%.4g,\"baseline_low\":%.4g,"
	       "\"baseline_high\":%.4g,",
	       o->ours.middle, o->ours.low, o->ours.high, o->theirs.middle, o->theirs.low, o->theirs.high);
	printf("\"unit\":\"%s\",\"ratio\":%.3f,\"low\":%.3f,\"high\":%.3f,\"goal\":%g,\"better\":\"%s\"}\n", unit,
	       o->ratio.middle, o->ratio.low, o->ratio.high, goal, better);
}

void tell_head(const struct options *options)
{
	if (!options->json)
		printf("%-22s %-14s %7s %15s %7s %15s %6s %12s\n", "case", "ours/theirs", "ours", "[Mpps]", "theirs",
		       "[Mpps]", "ratio", "[quartiles]");
}

void tell(const struct options *options, const char *name, const struct pairing *pairing, const struct outcome *o,
          double goal, const char *verdict, const char *what)
{
	char who[40];

	snprintf(who, sizeof(who), "%s/%s", pairing->ours->name, pairing->theirs->name);
	if (options->json)
		tell_json(name, who, o, "Mpps", goal, "higher");
	else
		printf("%-22s %-14s %7.3f [%6.3f-%6.3f] %7.3f [%6.3f-%6.3f] %6.2f [%.2f-%.2f]  %-9s %s\n", name, who,
		       o->ours.middle, o->ours.low, o->ours.high, o->theirs.middle, o->theirs.low, o->theirs.high,
		       o->ratio.middle, o->ratio.low, o->ratio.high, verdict, what);
	fflush(stdout);
}

/* ---- the command line */

static _Noreturn void usage(const struct program *p, const char *offending)
{
	const char *name = program_invocation_short_name;

	fprintf(stderr,
	        "%s: \"%s\" is neither an option nor a case\nusage: %s [--quick] [--json] [--pairs=N] "
	        "[--contest=A/B]...%s [CASE...]\ncases:",
	        name, offending, name, p->own_options ? p->own_options : "");
	p->print_cases();
	fputs("\ncontenders:", stderr);
	for (int i = 0; p->contenders[i]; i++)
		fprintf(stderr, " %s", p->contenders[i]->name);
	fputc('\n', stderr);
	exit(2);
}

static const struct contender *contender_named(const struct program *p, const char *name, size_t len)
{
	for (int i = 0; p->contenders[i]; i++)
		if (strlen(p->contenders[i]->name) == len && memcmp(name, p->contenders[i]->name, len) == 0)
			return p->contenders[i];
	return NULL;
}

static bool parse_pairing(const struct program *p, const char *text, struct options *options)
{
	const char *slash = strchr(text, '/');
	struct pairing *pairing = &options->pairing[options->num_pairings];

	if (!slash || options->num_pairings == MOST_PAIRINGS)
		return false;
	pairing->ours = contender_named(p, text, (size_t)(slash - text));
	pairing->theirs = contender_named(p, slash + 1, strlen(slash + 1));
	options->num_pairings++;
	return pairing->ours && pairing->theirs;
}

static bool parse_pairs(const char *text, struct options *options)
{
	options->pairs = atoi(text);
	return options->pairs > 0 && options->pairs <= MOST_PAIRS;
}

static bool parse_option(const struct program *p, const char *text, struct options *options)
{
	if (strcmp(text, "--quick") == 0)
		options->quick = true;
	else if (strcmp(text, "--json") == 0)
		options->json = true;
	else if (strncmp(text, "--pairs=", 8) == 0)
		return parse_pairs(text + 8, options);
	else if (strncmp(text, "--contest=", 10) == 0)
		return parse_pairing(p, text + 10, options);
	else
		return p->parse_own && p->parse_own(text);
	return true;
}

struct options read_options(const struct program *program, int argc, char **argv)
{
	struct options options = { 0 };

	for (argv++; argc > 1 && *argv && **argv == '-'; argv++)
		if (!parse_option(program, *argv, &options))
			usage(program, *argv);
	for (char **name = argv; *name; name++)
		if (!program->is_case(*name))
			usage(program, *name);
	options.cases = argv;
	if (options.pairs == 0)
		options.pairs = options.quick ? QUICK_PAIRS : PAIRS;
	if (options.num_pairings == 0)
		for (int i = 0; program->usual[i].ours; i++)
			options.pairing[options.num_pairings++] = program->usual[i];
	return options;
}

/* ---- who takes part */

bool takes_part(const struct options *options, const struct contender *c)
{
	for (int i = 0; i < options->num_pairings; i++)
		if (options->pairing[i].ours == c || options->pairing[i].theirs == c)
			return true;
	return false;
}

/* Asked in a child, for what is tried there must not stay. */
static bool is_missing(const struct contender *c, const char *directory)
{
	char *why;
	pid_t pid;

	if (!c->missing)
		return false;
	why = shared_memory(WHY);
	if ((pid = fork()) < 0)
		die(c->name, strerror(errno));
	if (pid == 0) {
		c->missing(directory, why, WHY);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (*why)
		fprintf(stderr, "%s is left out: %s\n", c->name, why);
	bool missing = *why;
	munmap(why, WHY);
	return missing;
}

static void forget(struct options *options, const struct contender *c)
{
	int kept = 0;

	for (int i = 0; i < options->num_pairings; i++)
		if (options->pairing[i].ours != c && options->pairing[i].theirs != c)
			options->pairing[kept++] = options->pairing[i];
	options->num_pairings = kept;
}

void leave_out_the_missing(const struct program *program, struct options *options, const char *directory)
{
	for (int i = 0; program->contenders[i]; i++)
		if (takes_part(options, program->contenders[i]) && is_missing(program->contenders[i], directory))
			forget(options, program->contenders[i]);
}
