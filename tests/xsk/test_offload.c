/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Partial checksums are completed, right ones and everything else are left alone, and nothing beyond the frame is
 * touched: frames end where the memory does. */
#include <string.h>
#include <sys/mman.h>

#include "frames.h"
#include "support.h"
#include "xsk/offload.h"

static const struct recipe recipes[] = {
	{ "UDP over IPv4", 0, 4, 0, NULL, 17, false, 0 },
	{ "TCP over IPv4", 0, 4, 0, NULL, 6, false, 0 },
	{ "UDP, options of IPv4", 0, 4, 4, NULL, 17, false, 0 },
	{ "TCP, options of IPv4", 0, 4, 40, NULL, 6, false, 0 },
	{ "UDP, VLAN", 1, 4, 0, NULL, 17, false, 0 },
	{ "TCP, QinQ", 2, 4, 8, NULL, 6, false, 0 },
	{ "UDP over IPv6", 0, 6, 0, NULL, 17, false, 0 },
	{ "TCP over IPv6", 0, 6, 0, NULL, 6, false, 0 },
	{ "TCP over IPv6, VLAN", 1, 6, 0, NULL, 6, false, 0 },
	{ "UDP over IPv6, hop-by-hop", 0, 6, 0, "h", 17, false, 0 },
	{ "TCP over IPv6, three extensions", 0, 6, 0, "hdr", 6, false, 0 },
	{ "UDP over IPv6, segment routing", 0, 6, 0, "s", 17, false, 0 },
	{ "TCP over IPv6, mobility routing, QinQ", 2, 6, 0, "2d", 6, false, 0 },
	{ "UDP over IPv6, routing of type 0", 0, 6, 0, "h0", 17, false, 0 },
	{ "UDP in VXLAN", 0, 4, 0, NULL, 17, true, OUTER_NONE },
	{ "TCP over IPv6 in VXLAN", 0, 6, 0, NULL, 6, true, OUTER_NONE },
	{ "TCP in VXLAN", 0, 4, 0, NULL, 6, true, OUTER_NONE },
	{ "TCP in VXLAN, outer for complete", 1, 6, 0, "h", 6, true, OUTER_FOR_COMPLETE },
	{ "UDP in VXLAN, outer for complete", 0, 4, 0, NULL, 17, true, OUTER_FOR_COMPLETE },
};
#define NUM_RECIPES (sizeof(recipes) / sizeof(recipes[0]))
#define MOST        1500 /* bytes of payload */

static uint8_t *wall; /* the first byte that cannot be touched */
static uint32_t seed = 1;

static int make_wall(void **state)
{
	(void)state;
	const size_t page = 65536;
	uint8_t *start = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED || mprotect(start + page, page, PROT_NONE) < 0)
		return -1;
	wall = start + page;
	return 0;
}

/* Runs it on bytes that end at the wall, and brings them back. */
static bool completed(uint8_t *bytes, size_t len)
{
	uint8_t *at = wall - len;

	at[-1] = 0xa5;
	memcpy(at, bytes, len);
	const bool did = nmx__complete_checksum(at, (uint32_t)len);
	require_equal(at[-1], 0xa5);
	memcpy(bytes, at, len);
	return did;
}

static void require_left_alone(const struct frame *frame, size_t len, const char *label, const char *what)
{
	struct frame copy = *frame;

	if (completed(copy.bytes, len))
		support_fail(__FILE__, __LINE__, "%s: %s, %zu bytes: was completed", label, what, len);
	require(memcmp(copy.bytes, frame->bytes, sizeof(copy.bytes)) == 0);
}

static void require_completed(const struct frame *right, size_t len, const char *label)
{
	struct frame partial = *right;

	frame_set_field(&partial, right->pseudo);
	if (!completed(partial.bytes, len))
		support_fail(__FILE__, __LINE__, "%s: %zu bytes: was not completed", label, len);
	if (memcmp(partial.bytes, right->bytes, sizeof(partial.bytes)) != 0)
		support_fail(__FILE__, __LINE__, "%s: %zu bytes: checksum %04x, should be %04x", label, len,
		             frame_field(&partial), right->right);
}

static void partial_checksums_are_completed_at_every_length(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++)
		for (size_t payload = 0; payload <= MOST; payload += payload < 200 ? 1 : 37) {
			frame_build(&frame, &recipes[r], payload, &seed);
			if (frame.right == frame.pseudo)
				continue;
			require_completed(&frame, frame.len, recipes[r].label);
			require_left_alone(&frame, frame.len, recipes[r].label, "right");
			/* Ethernet pads short frames, and some drivers leave the frame check sequence. */
			struct frame padded = frame;
			memset(padded.bytes + frame.len, 0x99, 24);
			require_completed(&padded, frame.len + 24, recipes[r].label);
		}
}

static void damaged_packets_are_left_alone(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++)
		for (uint32_t value = 0; value <= 0xffff; value += 97) {
			frame_build(&frame, &recipes[r], 33, &seed);
			if (value == frame.pseudo)
				continue;
			frame_set_field(&frame, (uint16_t)value);
			require_left_alone(&frame, frame.len, recipes[r].label, "damaged");
		}
}

static void truncated_packets_are_left_alone_at_every_length(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++) {
		frame_build(&frame, &recipes[r], 40, &seed);
		frame_set_field(&frame, frame.pseudo);
		for (size_t len = 0; len < frame.len; len++)
			require_left_alone(&frame, len, recipes[r].label, "truncated");
	}
}

/* Gives the last two bytes of the payload (at an even place) such a value that the checksum comes out as wanted. */
static void steer(struct frame *frame, uint16_t wanted)
{
	uint8_t *last = frame->bytes + frame->len - 2;

	last[0] = last[1] = 0;
	frame_make_right(frame);
	/* right = ~sum, so sum + x = ~wanted: x = ~wanted - sum = ~wanted + right. */
	uint32_t x = (uint32_t)(uint16_t)~wanted + frame->right;
	x = (x & 0xffff) + (x >> 16);
	last[0] = (uint8_t)(x >> 8);
	last[1] = (uint8_t)x;
	frame_make_right(frame);
}

static void a_right_checksum_is_kept_even_if_it_looks_partial(void **state)
{
	struct frame frame;
	int seen = 0;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++)
		for (size_t payload = 2; payload < 200; payload += 2) {
			frame_build(&frame, &recipes[r], payload, &seed);
			steer(&frame, frame.pseudo);
			require_equal(frame.right, frame.pseudo);
			require_left_alone(&frame, frame.len, recipes[r].label, "right, and as if partial");
			seen++;
		}
	require(seen > 1000);
}

static void a_checksum_of_zero_is_written_as_ones(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++) {
		frame_build(&frame, &recipes[r], 64, &seed);
		steer(&frame, 0xffff);
		require_equal(frame.right, 0xffff);
		if (frame.pseudo != 0xffff)
			require_completed(&frame, frame.len, recipes[r].label);
	}
}

static void datagrams_without_a_checksum_stay_so(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++) {
		frame_build(&frame, &recipes[r], 64, &seed);
		frame_set_field(&frame, 0);
		require_left_alone(&frame, frame.len, recipes[r].label, "none");
	}
}

static void fragments_of_ip_are_left_alone(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < 2; r++) {
		frame_build(&frame, &recipes[r], 64, &seed);
		frame_set_field(&frame, frame.pseudo);
		frame.bytes[20] = 0x20;
		require_left_alone(&frame, frame.len, recipes[r].label, "first fragment");
		frame.bytes[20] = 0x00;
		frame.bytes[21] = 0x08;
		require_left_alone(&frame, frame.len, recipes[r].label, "later fragment");
	}
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Whatever lies behind it in the frame. */
static void a_packet_that_is_longer_than_what_carries_it_is_left_alone(void **state)
{
	struct frame frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++) {
		frame_build(&frame, &recipes[r], 40, &seed);
		frame_set_field(&frame, frame.pseudo);
		if (!recipes[r].vxlan || recipes[r].outer != OUTER_NONE)
			continue;
		const size_t all = frame.len - 34;
		for (size_t less = 1; less <= all - 8; less++) {
			put16(frame.bytes + 16, 20 + all - less);
			put16(frame.bytes + 38, all - less);
			require_left_alone(&frame, frame.len, recipes[r].label, "cut");
		}
	}
	/* UDP has a length of its own, which no stack makes another. */
	frame_build(&frame, &recipes[0], 40, &seed);
	frame_set_field(&frame, frame.pseudo);
	put16(frame.bytes + 38, 47);
	require_left_alone(&frame, frame.len, recipes[0].label, "UDP shorter than IP");
}

/* A sender's own: a right sum outside says that the inside is as it should be. */
static void an_outer_checksum_that_is_right_vouches_for_the_inside(void **state)
{
	const struct recipe inside = { "UDP in VXLAN", 0, 4, 0, NULL, 17, true, OUTER_FOR_COMPLETE };
	struct frame frame;

	(void)state;
	frame_build(&frame, &inside, 100, &seed);
	/* The same, with another value inside and what that adds taken from the outer one. */
	const uint32_t before = frame.right, outer = (uint32_t)frame.bytes[40] << 8 | frame.bytes[41];
	frame_set_field(&frame, frame.pseudo);
	uint32_t changed = outer + before + (uint16_t)~frame.pseudo;
	changed = (changed & 0xffff) + (changed >> 16);
	changed = (changed & 0xffff) + (changed >> 16);
	frame.bytes[40] = (uint8_t)(changed >> 8);
	frame.bytes[41] = (uint8_t)changed;
	require_equal(frame_judge(frame.bytes, frame.len), CHECKSUM_RIGHT);
	require_left_alone(&frame, frame.len, inside.label, "outer right");
}

static void an_outer_partial_checksum_is_completed(void **state)
{
	const struct recipe inside = { "UDP in VXLAN", 0, 4, 0, NULL, 17, true, OUTER_FOR_COMPLETE };
	struct frame frame, copy;

	(void)state;
	frame_build(&frame, &inside, 101, &seed);
	copy = frame;
	/* Addresses, length and protocol, as of the outer header. */
	uint32_t sum = 17 + (uint32_t)(frame.len - 34);
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)frame.bytes[i] << 8 | frame.bytes[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	copy.bytes[40] = (uint8_t)(sum >> 8);
	copy.bytes[41] = (uint8_t)sum;
	require_equal(frame_judge(copy.bytes, copy.len), CHECKSUM_OF_PSEUDO_HEADER);
	require(completed(copy.bytes, copy.len));
	require(memcmp(copy.bytes, frame.bytes, sizeof(copy.bytes)) == 0);
}

/* In two or three pieces, each at the end of its own memory. */
static bool completed_in_pieces(struct frame *frame, size_t first, size_t second)
{
	const size_t len[3] = { first, second, frame->len - first - second };
	struct nmx__fragment pieces[3];
	size_t at = 0;

	for (int i = 0; i < 3; at += len[i++]) {
		pieces[i].data = malloc(len[i] ? len[i] : 1);
		pieces[i].len = (uint32_t)len[i];
		require(pieces[i].data != NULL);
		memcpy(pieces[i].data, frame->bytes + at, len[i]);
	}
	const bool did = nmx__complete_checksum_of(pieces, 3);
	at = 0;
	for (int i = 0; i < 3; at += len[i++]) {
		memcpy(frame->bytes + at, pieces[i].data, len[i]);
		free(pieces[i].data);
	}
	return did;
}

static void packets_in_pieces_are_completed_wherever_they_are_cut(void **state)
{
	struct frame right, frame;

	(void)state;
	for (size_t r = 0; r < NUM_RECIPES; r++) {
		frame_build(&right, &recipes[r], 61, &seed);
		for (size_t first = 0; first <= right.len; first++)
			for (size_t second = 0; second <= right.len - first; second += 1 + support_random(&seed, 9)) {
				frame = right;
				frame_set_field(&frame, right.pseudo);
				const struct frame partial = frame;
				const bool did = completed_in_pieces(&frame, first, second);
				require(did || first < right.headers);
				require(memcmp(&frame, did ? &right : &partial, sizeof(frame)) == 0);
				require(!completed_in_pieces(&right, first, second));
			}
	}
	require(!nmx__complete_checksum_of(NULL, 0));
}

/* Frames with a few bytes overwritten, and frames of noise. */
static void the_quick_test_never_misses_what_the_whole_one_finds(void **state)
{
	struct frame frame, before;
	int did = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		const struct recipe *recipe = &recipes[support_random(&seed, NUM_RECIPES)];
		frame_build(&frame, recipe, support_random(&seed, 40), &seed);
		frame_set_field(&frame, frame.pseudo);
		for (uint32_t n = support_random(&seed, 4); n > 0; n--)
			frame.bytes[support_random(&seed, (uint32_t)frame.headers)] =
			    (uint8_t)support_random(&seed, 256);
		size_t len = frame.len;
		if (support_random(&seed, 4) == 0)
			len = support_random(&seed, (uint32_t)len + 30);
		before = frame;
		memcpy(wall - len, frame.bytes, len);
		const struct nmx__fragment whole = { wall - len, (uint32_t)len };
		const bool maybe = nmx__may_be_partial(whole.data, whole.len);
		const bool found = nmx__complete_checksum_of(&whole, 1);
		require(maybe || !found);
		memcpy(frame.bytes, wall - len, len);
		int differences = 0;
		for (size_t b = 0; b < len; b++)
			differences += frame.bytes[b] != before.bytes[b];
		require(differences <= (found ? 2 : 0));
		did += found;
	}
	require(did > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partial_checksums_are_completed_at_every_length),
		cmocka_unit_test(damaged_packets_are_left_alone),
		cmocka_unit_test(truncated_packets_are_left_alone_at_every_length),
		cmocka_unit_test(a_right_checksum_is_kept_even_if_it_looks_partial),
		cmocka_unit_test(a_checksum_of_zero_is_written_as_ones),
		cmocka_unit_test(datagrams_without_a_checksum_stay_so),
		cmocka_unit_test(fragments_of_ip_are_left_alone),
		cmocka_unit_test(a_packet_that_is_longer_than_what_carries_it_is_left_alone),
		cmocka_unit_test(an_outer_checksum_that_is_right_vouches_for_the_inside),
		cmocka_unit_test(an_outer_partial_checksum_is_completed),
		cmocka_unit_test(packets_in_pieces_are_completed_wherever_they_are_cut),
		cmocka_unit_test(the_quick_test_never_misses_what_the_whole_one_finds),
	};

	return cmocka_run_group_tests(tests, make_wall, NULL);
}
