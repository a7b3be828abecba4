/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The parts of the nmx command that need no port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "hist.h"
#include "json.h"
#include "pace.h"
#include "units.h"

/* ---------------------------------------------------------------- units */

static void counts_are_exact(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "1000", 1000 },
		{ "10k", 10000 },
		{ "2.5M", 2500000 },
		{ "1G", 1000000000 },
		{ "0.001k", 1 },
		{ "1.500000k", 1500 },
		{ "18446744073709551615", UINT64_MAX },
		{ "18446744073.709551615G", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t value = 77;
		assert_null(units_count(good[i].text, &value));
		assert_int_equal(value, good[i].value);
	}
}

static void what_is_no_count_is_refused(void **state)
{
	static const char *const bad[] = {
		"",     "k",      "12q",    "1.",    ".5",  "1..2", "-1",
		"+1",   " 1",     "1 ",     "0x10",  "1K",  "1kk",  "1m",
		"1e3",  "2.5",    "1.2345k", "1,000", "inf", "18446744073709551616",
		"18446744073.709551616G", "99999999999999999999999", "0.0000000000000000000000000001k",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint64_t value = 77;
		assert_non_null(units_count(bad[i], &value));
		assert_int_equal(value, 77);
	}
}

static void times_ranges_and_addresses(void **state)
{
	uint64_t a, b;
	uint8_t mac[6], ip[4];

	(void)state;
	assert_null(units_seconds("1.5", &a));
	assert_int_equal(a, 1500000000);
	assert_null(units_seconds("20ms", &a));
	assert_int_equal(a, 20000000);
	assert_null(units_seconds("0.000000001", &a));
	assert_int_equal(a, 1);
	assert_non_null(units_seconds("0.0000000001", &a));
	assert_non_null(units_seconds("20000000000", &a));
	assert_non_null(units_seconds("1h", &a));
	assert_null(units_range("60", &a, &b));
	assert_true(a == 60 && b == 60);
	assert_null(units_range("60-1500", &a, &b));
	assert_true(a == 60 && b == 1500);
	assert_non_null(units_range("1500-60", &a, &b));
	assert_non_null(units_range("60-", &a, &b));
	assert_non_null(units_range("60.0-70", &a, &b));
	assert_null(units_mac("02:aB:00:00:0f:ff", mac));
	assert_true(mac[1] == 0xab && mac[5] == 0xff);
	assert_non_null(units_mac("02:ab:00:00:0f", mac));
	assert_non_null(units_mac("02:ab:00:00:0f:ff:", mac));
	assert_non_null(units_mac("2:ab:00:00:0f:ff", mac));
	assert_null(units_ip4("198.18.0.255", ip));
	assert_int_equal(ip[3], 255);
	assert_non_null(units_ip4("198.18.0.256", ip));
	assert_non_null(units_ip4("198.18.0", ip));
	assert_non_null(units_ip4("198.18.0.1.", ip));
}

static void numbers_for_people(void **state)
{
	char text[UNITS_TEXT];

	(void)state;
	assert_string_equal(units_grouped(text, 0), "0");
	assert_string_equal(units_grouped(text, 999), "999");
	assert_string_equal(units_grouped(text, 1000), "1,000");
	assert_string_equal(units_grouped(text, UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(units_scaled(text, 14880952, "pps"), "14.9 Mpps");
	assert_string_equal(units_scaled(text, 999.7, "pps"), "1.00 kpps");
	assert_string_equal(units_time(text, 850), "850 ns");
	assert_string_equal(units_time(text, 12340), "12.3 us");
	assert_string_equal(units_time(text, UINT64_MAX), "18446744074 s");
}

/* ---------------------------------------------------------------- options */

struct example {
	const char *port, *file;
	uint64_t count, rate;
	bool quiet, json;
};

static const struct opt example_opts[] = {
	{ 0, NULL, OPT_TEXT, offsetof(struct example, port), "PORT", "", 0, 0 },
	{ 0, NULL, OPT_TEXT, offsetof(struct example, file), "FILE", "", 0, 0 },
	{ 'n', "count", OPT_COUNT, offsetof(struct example, count), "COUNT", "", 1, 1000 },
	{ 'r', "rate", OPT_RATE, offsetof(struct example, rate), "PPS", "", 1, 1000 },
	{ 'q', "quiet", OPT_FLAG, offsetof(struct example, quiet), NULL, "", 0, 0 },
	{ 0, "json", OPT_FLAG, offsetof(struct example, json), NULL, "", 0, 0 },
};

static const struct command example = {
	.name = "example",
	.opts = example_opts,
	.num_opts = sizeof(example_opts) / sizeof(*example_opts),
	.size = sizeof(struct example),
	.defaults = &(const struct example){ .count = 5 },
};

static char error[512];

static enum opt_result parse(struct example *options, const char *line)
{
	static char words[256];
	char *argv[16];
	int argc = 0;

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	return opt_parse(&example, argc, argv, options, error, sizeof(error));
}

static void options_are_read_in_every_spelling(void **state)
{
	static const char *const lines[] = {
		"x f -n 10 -q",      "-n10 -q x f", "-qn10 x f",    "x --count 10 f --quiet",
		"--count=10 -q x f", "-q -n 10 -- x f",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct example o;
		assert_int_equal(parse(&o, lines[i]), OPT_OK);
		assert_string_equal(o.port, "x");
		assert_string_equal(o.file, "f");
		assert_int_equal(o.count, 10);
		assert_true(o.quiet && !o.json);
	}
}

static void defaults_words_and_dashes(void **state)
{
	struct example o;

	(void)state;
	assert_int_equal(parse(&o, "x -"), OPT_OK);
	assert_string_equal(o.file, "-");
	assert_int_equal(o.count, 5);
	assert_int_equal(parse(&o, "x -- -n"), OPT_OK);
	assert_string_equal(o.file, "-n");
	assert_int_equal(parse(&o, "x f --rate max"), OPT_OK);
	assert_true(o.rate == OPT_RATE_MAX);
	assert_int_equal(parse(&o, "x f -n 3 --help"), OPT_HELP);
	assert_int_equal(parse(&o, "-h"), OPT_HELP);
}

static void wrong_options_are_shown(void **state)
{
	static const struct {
		const char *line, *error;
	} bad[] = {
		{ "", "PORT is missing" },
		{ "x", "FILE is missing" },
		{ "x f g", "\"g\": one argument too many" },
		{ "x f -n", "-n: COUNT is missing" },
		{ "x f --count", "--count: COUNT is missing" },
		{ "x f --count=", "--count \"\": not a count; write 1000, 10k, 2.5M or 1G" },
		{ "x f -n 12q", "-n \"12q\": not a count; write 1000, 10k, 2.5M or 1G" },
		{ "x f -n 0", "-n \"0\": at least 1" },
		{ "x f -n 1.001k", "-n \"1.001k\": at most 1000" },
		{ "x f -r real", "-r \"real\": not a count; write 1000, 10k, 2.5M or 1G" },
		{ "x f -n 1 -n 2", "-n: given twice" },
		{ "x f --cout 3", "unknown option --cout" },
		{ "x f --coun=3", "unknown option --coun" },
		{ "x f -z", "unknown option -z" },
		{ "x f --json=1", "--json=1: takes no value" },
	};
	struct example o;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse(&o, bad[i].line), OPT_WRONG);
		assert_string_equal(error, bad[i].error);
	}
}

static bool same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

/* A table that is wrong would only show when somebody used the row. */
static void tables_of_all_commands_make_sense(void **state)
{
	(void)state;
	for (const struct command *const *c = commands; *c; c++) {
		assert_true((*c)->num_opts <= 64); /* a bit each while parsing */
		for (size_t i = 0; i < (*c)->num_opts; i++) {
			const struct opt *a = &(*c)->opts[i];
			assert_true(a->offset < (*c)->size);
			assert_true((a->kind == OPT_FLAG) == (a->value == NULL));
			for (size_t j = 0; j < i; j++) {
				const struct opt *b = &(*c)->opts[j];
				assert_false(a->letter && a->letter == b->letter);
				assert_false(same(a->name, b->name));
				assert_true(a->offset != b->offset);
			}
		}
	}
}

/* ---------------------------------------------------------------- the rest */

static void percentiles_are_within_the_error(void **state)
{
	struct hist *h = calloc(1, sizeof(*h));

	(void)state;
	assert_non_null(h);
	assert_int_equal(hist_percentile(h, 50), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		hist_add(h, i * 10);
	static const double percents[] = { 0.001, 1, 50, 90, 99, 99.9, 100 };
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		double exact = percents[i] / 100 * 1000000, got = (double)hist_percentile(h, percents[i]);
		assert_true(got >= exact * 0.9999 && got <= exact * (1 + 1.0 / HIST_STEPS));
	}
	assert_int_equal(h->min, 10);
	assert_int_equal(hist_percentile(h, 100), 1000000);
	free(h);
}

static void buckets_cover_every_value_in_order(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (uint64_t value = 0; value < 5000; value++) {
		uint32_t bucket = hist_bucket(value);
		assert_true(bucket == last || bucket == last + 1);
		last = bucket;
	}
	assert_int_equal(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}

static void the_pace_is_kept_exactly(void **state)
{
	static const uint64_t rates[] = { 1, 3, 7919, 1000000, 14880952, PACE_MAX_PPS };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct pace pace;
		uint64_t sent = 0, step = 1234567, seconds = 10, last = 0;
		pace_start(&pace, rates[i], 5000);
		for (uint64_t now = 0; now < seconds * 1000000000; now += step) {
			uint64_t due = pace_due(&pace, UINT64_MAX, 5000 + now);
			pace_sent(&pace, due);
			sent += due;
			last = now;
		}
		uint64_t exact = (uint64_t)((double)rates[i] * ((double)last / 1e9)) + 1;
		assert_in_range(sent, exact - 1, exact + 1);
	}
}

static void a_pace_does_not_make_good_for_long(void **state)
{
	struct pace pace;

	(void)state;
	pace_start(&pace, 1000000, 0);
	assert_int_equal(pace_due(&pace, UINT64_MAX, UINT64_C(5000000000)), 20001);
	pace_start(&pace, 0, 0);
	assert_int_equal(pace_due(&pace, 7, 1), 7);
}

static void json_is_escaped(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct json json;

	(void)state;
	assert_non_null(to);
	json_begin(&json, to);
	json_text(&json, "a\"b", "\\ \n \x01 \xc3\xa9 \xff \xed\xa0\x80");
	json_array(&json, "list");
	json_u64(&json, NULL, UINT64_MAX);
	json_bool(&json, NULL, true);
	json_close_array(&json);
	json_double(&json, "nan", 0.0 / 0.0);
	assert_int_equal(json_end(&json), 0);
	fclose(to);
	assert_string_equal(text, "{\"a\\\"b\": \"\\\\ \\u000a \\u0001 \xc3\xa9 \\ufffd \\ufffd\\ufffd\\ufffd\", "
	                          "\"list\": [18446744073709551615, true], \"nan\": null}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_exact),
		cmocka_unit_test(what_is_no_count_is_refused),
		cmocka_unit_test(times_ranges_and_addresses),
		cmocka_unit_test(numbers_for_people),
		cmocka_unit_test(options_are_read_in_every_spelling),
		cmocka_unit_test(defaults_words_and_dashes),
		cmocka_unit_test(wrong_options_are_shown),
		cmocka_unit_test(tables_of_all_commands_make_sense),
		cmocka_unit_test(percentiles_are_within_the_error),
		cmocka_unit_test(buckets_cover_every_value_in_order),
		cmocka_unit_test(the_pace_is_kept_exactly),
		cmocka_unit_test(a_pace_does_not_make_good_for_long),
		cmocka_unit_test(json_is_escaped),
	};

	return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
