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
#include "frame.h"
#include "hist.h"
#include "json.h"
#include "pace.h"
#include "units.h"
#include "verify.h"

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

/* ---------------------------------------------------------------- frames */

static const struct frame_addresses addresses = FRAME_ADDRESSES;

/* The Internet checksum by the book: 16-bit words, big endian. */
static uint32_t plain_sum(const uint8_t *data, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	return sum;
}

static uint32_t plain_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void check_headers(const uint8_t *data, uint32_t len)
{
	assert_int_equal(data[16] << 8 | data[17], len - 14);
	assert_int_equal(data[38] << 8 | data[39], len - 34);
	assert_int_equal(plain_fold(plain_sum(data + 14, 20)), 0xffff);
	assert_int_equal(plain_fold(plain_sum(data + 26, 8) + 17 + (len - 34) + plain_sum(data + 34, len - 34)), 0xffff);
	assert_true(data[40] || data[41]);
}

static void checksums_are_right_at_every_length(void **state)
{
	static uint8_t data[2048];
	struct frame_template t;

	(void)state;
	for (int stamped = 0; stamped < 2; stamped++) {
		frame_template(&t, &addresses, stamped, 0xbeef);
		for (uint32_t len = FRAME_MIN; len <= 1600; len++) {
			struct frame_stamp stamp = { 0xbeef, len * 2654435761u, len * UINT64_C(77777777), len };
			memset(data, 0xee, sizeof(data));
			frame_build(&t, data, len, &stamp);
			check_headers(data, len);
			assert_int_equal(data[len], 0xee);
		}
	}
}

static void stamps_come_back(void **state)
{
	uint8_t data[100];
	struct frame_template t;
	struct frame_stamp stamp = { 7, 0xfffffff0u, (UINT64_C(1) << 48) - 1, UINT64_C(0x123456789abc) }, got;

	(void)state;
	frame_template(&t, &addresses, true, 7);
	frame_build(&t, data, sizeof(data), &stamp);
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_INTACT);
	assert_int_equal(got.run, stamp.run);
	assert_int_equal(got.flow, stamp.flow);
	assert_int_equal(got.sequence, stamp.sequence);
	assert_int_equal(got.time_ns, stamp.time_ns);
	assert_int_equal(frame_age(&got, stamp.time_ns + 5), 5);
	assert_int_equal(frame_age(&got, stamp.time_ns - 5), 0);
	frame_turn(data, sizeof(data));
	assert_memory_equal(data, addresses.src_mac, 6);
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_INTACT);
	frame_template(&t, &addresses, false, 7);
	frame_build(&t, data, sizeof(data), &stamp);
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_FOREIGN);
}

/* Every bit after the MAC addresses, at lengths with all kinds of ends. */
static void every_bit_that_flips_is_seen(void **state)
{
	uint8_t data[128];
	struct frame_template t;
	struct frame_stamp stamp = { 3, 9, 1234567, 42 }, got;

	(void)state;
	frame_template(&t, &addresses, true, 3);
	for (uint32_t len = FRAME_MIN; len <= 80; len++) {
		frame_build(&t, data, len, &stamp);
		for (uint32_t bit = 12 * 8; bit < len * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(frame_check(data, len, &got), FRAME_INTACT);
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_int_equal(frame_check(data, len, &got), FRAME_INTACT);
		assert_int_not_equal(frame_check(data, len - 1, &got), FRAME_INTACT);
	}
}

static void the_filler_of_another_packet_is_seen(void **state)
{
	uint8_t a[200], b[200];
	struct frame_template t;
	struct frame_stamp first = { 3, 0, 1, 0 }, second = { 3, 0, 2, 0 }, got;

	(void)state;
	frame_template(&t, &addresses, true, 3);
	frame_build(&t, a, sizeof(a), &first);
	frame_build(&t, b, sizeof(b), &second);
	memcpy(a + FRAME_MIN, b + FRAME_MIN, sizeof(a) - FRAME_MIN);
	assert_int_equal(frame_check(a, sizeof(a), &got), FRAME_CORRUPT);
}

/* ---------------------------------------------------------------- verify */

static struct verify *verify;

static int verify_begin(void **state)
{
	(void)state;
	verify = verify_new();
	return verify ? 0 : -1;
}

static int verify_finish(void **state)
{
	(void)state;
	verify_free(verify);
	return 0;
}

static void feed_run(uint16_t run, uint32_t flow, uint64_t sequence)
{
	uint8_t data[FRAME_MIN];
	struct frame_template t;
	struct frame_stamp stamp = { run, flow, sequence, 1000 };

	frame_template(&t, &addresses, true, run);
	frame_build(&t, data, sizeof(data), &stamp);
	verify_packet(verify, data, sizeof(data), 1500);
}

static void feed(uint64_t sequence) { feed_run(1, 1, sequence); }

static void expect(uint64_t lost, uint64_t reordered, uint64_t duplicate, uint64_t too_late)
{
	assert_int_equal(verify->lost, lost);
	assert_int_equal(verify->reordered, reordered);
	assert_int_equal(verify->duplicate, duplicate);
	assert_int_equal(verify->too_late, too_late);
	assert_int_equal(verify_bad(verify), lost + reordered + duplicate + too_late);
}

static void in_order_is_fine(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3 * VERIFY_WINDOW; i++)
		feed(i);
	expect(0, 0, 0, 0);
	assert_int_equal(verify->latency.min, 500);
	assert_int_equal(verify->latency.count, 3 * VERIFY_WINDOW);
}

static void loss_is_counted_from_the_first_packet(void **state)
{
	(void)state;
	feed(3);
	expect(3, 0, 0, 0);
	feed(10);
	expect(9, 0, 0, 0);
}

static void a_late_packet_is_reordered_and_not_lost(void **state)
{
	(void)state;
	feed(0);
	feed(3);
	feed(1);
	expect(1, 1, 0, 0);
	feed(2);
	expect(0, 2, 0, 0);
	feed(2);
	feed(0);
	feed(3);
	expect(0, 2, 3, 0);
}

static void the_window_is_exact_at_its_edge(void **state)
{
	(void)state;
	feed(VERIFY_WINDOW); /* next is one more: 1 is the oldest in the window */
	expect(VERIFY_WINDOW, 0, 0, 0);
	feed(1);
	expect(VERIFY_WINDOW - 1, 1, 0, 0);
	feed(0);
	expect(VERIFY_WINDOW - 1, 1, 0, 1);
	feed(1);
	expect(VERIFY_WINDOW - 1, 1, 1, 1);
}

/* What was seen a lap ago says nothing about the packets whose places it has. */
static void places_are_forgotten_after_a_gap(void **state)
{
	uint64_t lost = 0;

	(void)state;
	for (uint64_t i = 0; i < VERIFY_WINDOW; i++)
		feed(i);
	for (uint64_t gap = 1; gap <= 3 * (uint64_t)VERIFY_WINDOW; gap = gap * 3 + 1) {
		uint64_t next = verify->last->next;
		feed(next + gap);
		lost += gap;
		feed(next + gap - 1);
		lost--;
		assert_int_equal(verify->lost, lost);
		assert_int_equal(verify->duplicate, 0);
	}
}

static void flows_and_runs_are_apart(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		for (uint32_t flow = 0; flow < 100; flow++)
			feed_run(1, flow, i);
	for (uint64_t i = 0; i < 10; i++)
		feed_run(2, 5, i);
	expect(0, 0, 0, 0);
	assert_int_equal(verify->num_flows, 101);
}

static void too_many_flows_are_said(void **state)
{
	(void)state;
	for (uint32_t flow = 0; flow < VERIFY_FLOWS + 3; flow++)
		feed_run(1, flow, 0);
	assert_int_equal(verify->untracked, 3);
	assert_int_equal(verify_bad(verify), 3);
}

static void corrupt_and_foreign_are_apart(void **state)
{
	uint8_t data[FRAME_MIN];
	struct frame_template t;
	struct frame_stamp stamp = { 1, 1, 0, 0 };

	(void)state;
	frame_template(&t, &addresses, true, 1);
	frame_build(&t, data, sizeof(data), &stamp);
	data[50] ^= 1;
	verify_packet(verify, data, sizeof(data), 0);
	memset(data, 0xff, sizeof(data));
	verify_packet(verify, data, sizeof(data), 0);
	verify_packet(verify, data, 1, 0);
	assert_int_equal(verify->corrupt, 1);
	assert_int_equal(verify->foreign, 2);
	assert_int_equal(verify->intact, 0);
	assert_int_equal(verify_bad(verify), 1);
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

#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, verify_begin, verify_finish)

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
		cmocka_unit_test(checksums_are_right_at_every_length),
		cmocka_unit_test(stamps_come_back),
		cmocka_unit_test(every_bit_that_flips_is_seen),
		cmocka_unit_test(the_filler_of_another_packet_is_seen),
		VERIFY_TEST(in_order_is_fine),
		VERIFY_TEST(loss_is_counted_from_the_first_packet),
		VERIFY_TEST(a_late_packet_is_reordered_and_not_lost),
		VERIFY_TEST(the_window_is_exact_at_its_edge),
		VERIFY_TEST(places_are_forgotten_after_a_gap),
		VERIFY_TEST(flows_and_runs_are_apart),
		VERIFY_TEST(too_many_flows_are_said),
		VERIFY_TEST(corrupt_and_foreign_are_apart),
		cmocka_unit_test(percentiles_are_within_the_error),
		cmocka_unit_test(buckets_cover_every_value_in_order),
		cmocka_unit_test(the_pace_is_kept_exactly),
		cmocka_unit_test(a_pace_does_not_make_good_for_long),
		cmocka_unit_test(json_is_escaped),
	};

	return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
