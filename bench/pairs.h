/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Two contenders in turns, pair by pair: what is told of them, and the command line of programs that have several. */
#ifndef NMX_BENCH_PAIRS_H
#define NMX_BENCH_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

/* ---- pairs */

struct spread {
	double low, middle, high; /* quartiles */
};
struct outcome {
	struct spread ours, theirs, ratio; /* the ratio of each pair, ours to theirs */
};

/* run: one run of a contender, of what has to be done; its figure. */
struct outcome take_turns(int pairs, double (*run)(const void *who, const void *what), const void *ours,
                          const void *theirs, const void *what);
/* One object on a line.  contest: who; may be NULL. */
void tell_json(const char *name, const char *contest, const struct outcome *o, const char *unit, double goal,
               const char *better);

/* ---- programs with several contenders */

struct contender {
	const char *name;
	void (*missing)(const char *directory, char *why,
	                size_t size); /* fills in why it cannot take part; may be NULL */
};
struct pairing {
	const struct contender *ours, *theirs;
};
enum { MOST_PAIRINGS = 16 };

struct program {
	const struct contender *const *contenders; /* NULL: the end */
	const struct pairing *usual;               /* the same */
	bool (*is_case)(const char *name);
	void (*print_cases)(void);             /* to stderr, with a blank before each */
	const char *own_options;               /* for the usage; may be NULL */
	bool (*parse_own)(const char *option); /* may be NULL */
};
struct options {
	bool quick, json;
	int pairs;
	struct pairing pairing[MOST_PAIRINGS];
	int num_pairings;
	char **cases;
};

/* Ends the program where it does not understand. */
struct options read_options(const struct program *program, int argc, char **argv);
/* Says who is missing, and forgets the pairings with them. */
void leave_out_the_missing(const struct program *program, struct options *options, const char *directory);
bool takes_part(const struct options *options, const struct contender *c);

void tell_head(const struct options *options);
/* In million packets a second. */
void tell(const struct options *options, const char *name, const struct pairing *pairing, const struct outcome *o,
          double goal, const char *verdict, const char *what);

#endif
