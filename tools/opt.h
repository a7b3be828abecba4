/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Options as data: one table of a command drives the parsing and the usage text.
 *
 * command  a row of the dispatch table: its name, what it does, its table, its run()
 * option   -n 10k, -n10k, --count 10k, --count=10k; a flag takes no value
 * operand  a row without a letter and a name: given by position, in the order of the table; required, unless its value
 *          is written in brackets, "[NAME]"
 *
 * Parsing is strict and pure: it writes the options and the error text, and looks at nothing but its arguments.
 */
#ifndef NMX_TOOLS_OPT_H
#define NMX_TOOLS_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What a value is, and the type of the field that it goes to. */
enum opt_kind {
	OPT_FLAG,    /* bool */
	OPT_COUNT,   /* uint64_t, see units_count() */
	OPT_RATE,    /* uint64_t: a count, or "max" as OPT_RATE_MAX */
	OPT_PACE,    /* as OPT_RATE, or "real" as OPT_RATE_REAL */
	OPT_SECONDS, /* uint64_t, in nanoseconds */
	OPT_RANGE,   /* struct opt_range */
	OPT_MAC,     /* uint8_t[6] */
	OPT_IP4,     /* uint8_t[4] */
	OPT_TEXT,    /* const char *, never empty */
};

#define OPT_RATE_MAX UINT64_MAX
#define OPT_RATE_REAL (UINT64_MAX - 1)

struct opt_range {
	uint64_t low, high;
};

struct opt {
	char letter;      /* 0: none */
	const char *name; /* without the dashes; NULL: none */
	enum opt_kind kind;
	size_t offset;     /* of the field */
	const char *value; /* how the usage text calls it; NULL for flags */
	const char *help;
	uint64_t min, max; /* of numbers; max 0: no limit */
};

struct command {
	const char *name;
	const char *summary;
	const char *details; /* more for the help text, or NULL */
	const struct opt *opts;
	size_t num_opts;
	size_t size;          /* of the struct of options */
	const void *defaults; /* such a struct */
	int (*run)(const void *options);
};

enum opt_result { OPT_OK, OPT_HELP, OPT_WRONG };

/* Reads argv[0..argc): what follows the command's name.  options: command->size bytes, filled with the defaults and
 * then with what was given; texts point into argv.  OPT_WRONG: error holds a sentence with the offending text. */
enum opt_result opt_parse(const struct command *command, int argc, char *const *argv, void *options, char *error,
			  size_t error_size);

void opt_usage(const struct command *command, FILE *to); /* one line */
void opt_help(const struct command *command, FILE *to);

#endif
