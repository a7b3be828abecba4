/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "opt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "units.h"

struct parser {
	const struct command *command;
	int argc, at;
	char *const *argv;
	uint8_t *options;
	uint64_t given; /* one bit a row */
	char *error;
	size_t error_size;
};

__attribute__((__format__(__printf__, 2, 3))) static enum opt_result wrong(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, p->error_size, format, args);
	va_end(args);
	return OPT_WRONG;
}

static bool is_operand(const struct opt *opt)
{
	return !opt->letter && !opt->name;
}

/* How the error text calls an option: as it was written, so "-n" or "--count"; an operand by its value's name. */
struct spelling {
	char text[40];
};

static struct spelling spell(const struct opt *opt, bool by_letter)
{
	struct spelling s;

	if (is_operand(opt))
		snprintf(s.text, sizeof(s.text), "%s", opt->value);
	else if (by_letter)
		snprintf(s.text, sizeof(s.text), "-%c", opt->letter);
	else
		snprintf(s.text, sizeof(s.text), "--%s", opt->name);
	return s;
}

static const char *read_rate(const char *text, bool real_too, uint64_t *value)
{
	if (strcmp(text, "max") == 0)
		*value = OPT_RATE_MAX;
	else if (real_too && strcmp(text, "real") == 0)
		*value = OPT_RATE_REAL;
	else
		return units_count(text, value);
	return NULL;
}

/* Reads text into the field.  number is what min and max apply to: the lower and the upper end. */
static const char *read_value(const struct opt *opt, const char *text, void *field, struct opt_range *number)
{
	const char *what = NULL;

	*number = (struct opt_range){ opt->min, opt->min };
	switch (opt->kind) {
	case OPT_FLAG:
		*(bool *)field = true;
		return NULL;
	case OPT_TEXT:
		*(const char **)field = text;
		return *text ? NULL : "empty";
	case OPT_MAC:
		return units_mac(text, field);
	case OPT_IP4:
		return units_ip4(text, field);
	case OPT_RANGE:
		what = units_range(text, &number->low, &number->high);
		if (!what)
			*(struct opt_range *)field = *number;
		return what;
	case OPT_COUNT:
		what = units_count(text, &number->low);
		break;
	case OPT_SECONDS:
		what = units_seconds(text, &number->low);
		break;
	case OPT_RATE:
	case OPT_PACE:
		what = read_rate(text, opt->kind == OPT_PACE, &number->low);
		break;
	}
	number->high = number->low;
	if (!what)
		*(uint64_t *)field = number->low;
	return what;
}

static bool is_word(const struct opt *opt, uint64_t value)
{
	return (opt->kind == OPT_RATE || opt->kind == OPT_PACE) && value >= OPT_RATE_REAL;
}

/* A limit in the unit that the option is written in. */
static const char *limit_text(const struct opt *opt, uint64_t limit, char *text)
{
	if (opt->kind == OPT_SECONDS)
		return units_time(text, limit);
	snprintf(text, UNITS_TEXT, "%" PRIu64, limit);
	return text;
}

static enum opt_result set(struct parser *p, const struct opt *opt, bool by_letter, const char *text)
{
	struct spelling s = spell(opt, by_letter);
	uint64_t bit = UINT64_C(1) << (opt - p->command->opts);
	struct opt_range number;
	char limit[UNITS_TEXT];

	if (p->given & bit)
		return wrong(p, "%s: given twice", s.text);
	p->given |= bit;
	const char *what = read_value(opt, text, p->options + opt->offset, &number);
	if (what)
		return wrong(p, "%s \"%s\": %s", s.text, text, what);
	if (number.low < opt->min)
		return wrong(p, "%s \"%s\": at least %s", s.text, text, limit_text(opt, opt->min, limit));
	if (opt->max && number.high > opt->max && !is_word(opt, number.high))
		return wrong(p, "%s \"%s\": at most %s", s.text, text, limit_text(opt, opt->max, limit));
	return OPT_OK;
}

static enum opt_result missing_value(struct parser *p, const struct opt *opt, bool by_letter)
{
	return wrong(p, "%s: %s is missing", spell(opt, by_letter).text, opt->value);
}

static enum opt_result parse_long(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < p->command->num_opts; i++) {
		const struct opt *opt = &p->command->opts[i];
		if (!opt->name || strlen(opt->name) != len || memcmp(opt->name, word, len) != 0)
			continue;
		if (opt->kind == OPT_FLAG)
			return word[len] ? wrong(p, "--%s: takes no value", word) : set(p, opt, false, "");
		if (word[len])
			return set(p, opt, false, word + len + 1);
		if (p->at == p->argc)
			return missing_value(p, opt, false);
		return set(p, opt, false, p->argv[p->at++]);
	}
	if (strcmp(word, "help") == 0)
		return OPT_HELP;
	return wrong(p, "unknown option --%.*s", (int)(len < 200 ? len : 200), word);
}

static const struct opt *by_letter(const struct command *command, char letter)
{
	for (size_t i = 0; i < command->num_opts; i++)
		if (command->opts[i].letter && command->opts[i].letter == letter)
			return &command->opts[i];
	return NULL;
}

/* One word may carry several flags, and end with an option that takes the rest of it: -qn10k. */
static enum opt_result parse_letters(struct parser *p, const char *word)
{
	for (; *word; word++) {
		const struct opt *opt = by_letter(p->command, *word);
		if (!opt && *word == 'h')
			return OPT_HELP;
		if (!opt)
			return wrong(p, "unknown option -%c", *word);
		if (opt->kind != OPT_FLAG) {
			if (word[1])
				return set(p, opt, true, word + 1);
			if (p->at == p->argc)
				return missing_value(p, opt, true);
			return set(p, opt, true, p->argv[p->at++]);
		}
		enum opt_result result = set(p, opt, true, "");
		if (result != OPT_OK)
			return result;
	}
	return OPT_OK;
}

static const struct opt *next_operand(const struct parser *p)
{
	for (size_t i = 0; i < p->command->num_opts; i++)
		if (is_operand(&p->command->opts[i]) && !(p->given & UINT64_C(1) << i))
			return &p->command->opts[i];
	return NULL;
}

static enum opt_result parse_operand(struct parser *p, const char *word)
{
	const struct opt *opt = next_operand(p);

	return opt ? set(p, opt, false, word) : wrong(p, "\"%s\": one argument too many", word);
}

enum opt_result opt_parse(const struct command *command, int argc, char *const *argv, void *options, char *error,
			  size_t error_size)
{
	struct parser p = { command, argc, 0, argv, options, 0, error, error_size };
	enum opt_result result = OPT_OK;
	bool only_operands = false;

	error[0] = '\0';
	memcpy(options, command->defaults, command->size);
	while (p.at < argc && result == OPT_OK) {
		const char *word = argv[p.at++];
		if (only_operands || word[0] != '-' || word[1] == '\0')
			result = parse_operand(&p, word);
		else if (word[1] != '-')
			result = parse_letters(&p, word + 1);
		else if (word[2] == '\0')
			only_operands = true;
		else
			result = parse_long(&p, word + 2);
	}
	if (result == OPT_OK && next_operand(&p) && next_operand(&p)->value[0] != '[')
		return wrong(&p, "%s is missing", next_operand(&p)->value);
	return result;
}

void opt_usage(const struct command *command, FILE *to)
{
	fprintf(to, "nmx %s", command->name);
	bool options = false;
	for (size_t i = 0; i < command->num_opts; i++) {
		const struct opt *opt = &command->opts[i];
		if (is_operand(opt))
			fprintf(to, " %s", opt->value);
		else
			options = true;
	}
	fputs(options ? " [options]\n" : "\n", to);
}

static void help_row(const struct opt *opt, FILE *to)
{
	char left[64];
	int n = 0;

	if (is_operand(opt)) {
		snprintf(left, sizeof(left), "%s", opt->value);
	} else {
		n += snprintf(left, sizeof(left), opt->letter ? "-%c" : "  ", opt->letter);
		n += snprintf(left + n, sizeof(left) - (size_t)n, opt->letter && opt->name ? ", " : "  ");
		if (opt->name)
			n += snprintf(left + n, sizeof(left) - (size_t)n, "--%s", opt->name);
		if (opt->value)
			snprintf(left + n, sizeof(left) - (size_t)n, " %s", opt->value);
	}
	fprintf(to, "  %-22s %s\n", left, opt->help);
}

void opt_help(const struct command *command, FILE *to)
{
	fprintf(to, "nmx %s: %s\n\nusage: ", command->name, command->summary);
	opt_usage(command, to);
	fputc('\n', to);
	for (int operands = 1; operands >= 0; operands--)
		for (size_t i = 0; i < command->num_opts; i++)
			if (is_operand(&command->opts[i]) == (operands == 1))
				help_row(&command->opts[i], to);
	if (command->details)
		fprintf(to, "\n%s", command->details);
}
