/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Stamped packets: how they are built, and what became of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "frame.h"
#include "verify.h"

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

/* As an ordinary echo service answers: from a host that fills in its own identification and time to live. */
static void an_echo_is_intact(void **state)
{
	uint8_t data[100], port[2];
	struct frame_template t;
	struct frame_stamp stamp = { 7, 5, 77, 1000 }, got;

	(void)state;
	frame_template(&t, &addresses, true, 7);
	frame_build(&t, data, sizeof(data), &stamp);
	frame_turn(data, sizeof(data));
	memcpy(port, data + 34, 2);
	memmove(data + 34, data + 36, 2);
	memcpy(data + 36, port, 2);
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_INTACT);
	memcpy(data + 18, "\x12\x34\x40\0\x3f", 5);
	memset(data + 24, 0, 2);
	uint32_t sum = ~plain_fold(plain_sum(data + 14, 20)) & 0xffff;
	data[24] = (uint8_t)(sum >> 8);
	data[25] = (uint8_t)sum;
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_INTACT);
	assert_int_equal(got.flow, 5);
	assert_int_equal(got.sequence, 77);
	data[60] ^= 1;
	assert_int_equal(frame_check(data, sizeof(data), &got), FRAME_CORRUPT);
}

static void plain_frames_have_the_ports_that_are_asked_for(void **state)
{
	struct frame_addresses with_ports = FRAME_ADDRESSES;
	uint8_t data[100];
	struct frame_template t;
	struct frame_stamp stamp = { .flow = 2 };

	(void)state;
	with_ports.src_port = 1000;
	with_ports.dst_port = 2000;
	frame_template(&t, &with_ports, false, 0);
	frame_build(&t, data, sizeof(data), &stamp);
	check_headers(data, sizeof(data));
	assert_int_equal(data[34] << 8 | data[35], 1002);
	assert_int_equal(data[36] << 8 | data[37], 2000);
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

static void feed_on(uint32_t ring, uint16_t run, uint32_t flow, uint64_t sequence)
{
	uint8_t data[FRAME_MIN];
	struct frame_template t;
	struct frame_stamp stamp = { run, flow, sequence, 1000 };

	frame_template(&t, &addresses, true, run);
	frame_build(&t, data, sizeof(data), &stamp);
	verify_packet_on(verify, ring, data, sizeof(data), 1500);
}

static void feed_run(uint16_t run, uint32_t flow, uint64_t sequence) { feed_on(0, run, flow, sequence); }

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

/* Of a flow that comes on two rings, which are looked at one after the other. */
static void the_order_is_that_of_each_ring(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i += 2)
		feed_on(0, 1, 1, i);
	assert_int_equal(verify->lost, 49);
	for (uint64_t i = 1; i < 99; i += 2)
		feed_on(1, 1, 1, i);
	expect(0, 0, 0, 0);
	assert_int_equal(verify->overtaken, 49);
	feed_on(1, 1, 1, 101);
	feed_on(1, 1, 1, 99);
	expect(1, 1, 0, 0);
	feed_on(0, 1, 1, 100);
	expect(0, 1, 0, 0);
	feed_on(0, 1, 1, 100);
	expect(0, 1, 1, 0);
	assert_int_equal(verify->overtaken, 50);
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

#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, verify_begin, verify_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_right_at_every_length),
		cmocka_unit_test(stamps_come_back),
		cmocka_unit_test(an_echo_is_intact),
		cmocka_unit_test(plain_frames_have_the_ports_that_are_asked_for),
		cmocka_unit_test(every_bit_that_flips_is_seen),
		cmocka_unit_test(the_filler_of_another_packet_is_seen),
		VERIFY_TEST(in_order_is_fine),
		VERIFY_TEST(loss_is_counted_from_the_first_packet),
		VERIFY_TEST(a_late_packet_is_reordered_and_not_lost),
		VERIFY_TEST(the_order_is_that_of_each_ring),
		VERIFY_TEST(the_window_is_exact_at_its_edge),
		VERIFY_TEST(places_are_forgotten_after_a_gap),
		VERIFY_TEST(flows_and_runs_are_apart),
		VERIFY_TEST(too_many_flows_are_said),
		VERIFY_TEST(corrupt_and_foreign_are_apart),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
