/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Any bytes, in one piece and in three.  Nothing beyond them is touched, at most a checksum changes, and what the quick
 * test passes over has nothing to complete.  The first two bytes say where to cut, the third which headers are written
 * over the noise, as the fuzzer would not find checksums by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xsk/offload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

#define HEADERS 512 /* more than the code looks through */

/* A copy of exactly this size, so that a step beyond it is seen. */
static uint8_t *copy(const uint8_t *data, size_t len)
{
	uint8_t *bytes = malloc(len ? len : 1);

	CHECK(bytes);
	memcpy(bytes, data, len);
	return bytes;
}

static size_t differences(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += a[i] != b[i];
	return n;
}

static bool in_pieces(uint8_t *frame, size_t len, size_t first, size_t second)
{
	const size_t lens[3] = { first, second, len - first - second };
	struct nmx__fragment pieces[3];
	size_t at = 0;

	for (int i = 0; i < 3; at += lens[i++])
		pieces[i] = (struct nmx__fragment){ copy(frame + at, lens[i]), (uint32_t)lens[i] };
	const bool did = nmx__complete_checksum_of(pieces, 3);
	at = 0;
	for (int i = 0; i < 3; at += lens[i++]) {
		memcpy(frame + at, pieces[i].data, lens[i]);
		free(pieces[i].data);
	}
	return did;
}

enum { SHAPED = 1, V6 = 2, TCP = 4, VLAN = 8, VXLAN = 16, PARTIAL = 32, EXTENDED = 64 };

struct bytes {
	uint8_t *at;
	size_t len;
};

static void put16(struct bytes frame, size_t at, size_t value)
{
	if (at + 2 > frame.len)
		return;
	frame.at[at] = (uint8_t)(value >> 8);
	frame.at[at + 1] = (uint8_t)value;
}

static void put8(struct bytes frame, size_t at, unsigned value)
{
	if (at < frame.len)
		frame.at[at] = (uint8_t)value;
}

/* A packet of UDP or TCP at `at`, to the end of the frame.  Returns where its payload is. */
static size_t shape(struct bytes frame, size_t at, unsigned how)
{
	const unsigned protocol = how & TCP ? 6 : 17;
	size_t address, addresses;
	uint32_t pseudo = protocol;

	if (how & VLAN)
		put16(frame, at + 12, 0x8100);
	at += how & VLAN ? 18 : 14;
	put16(frame, at - 2, how & V6 ? 0x86dd : 0x0800);
	put8(frame, at, how & V6 ? 0x60 : how & EXTENDED ? 0x46 : 0x45);
	put16(frame, at + (how & V6 ? 4 : 2), frame.len - at - (how & V6 ? 40 : 0));
	if (how & V6) {
		put8(frame, at + 6, how & EXTENDED ? 60 : protocol);
		address = at + 8, addresses = 32;
		at += 40;
		put8(frame, at, protocol);
		put8(frame, at + 1, 0);
		at += how & EXTENDED ? 8 : 0;
	} else {
		put16(frame, at + 6, 0);
		put8(frame, at + 9, protocol);
		address = at + 12, addresses = 8;
		at += how & EXTENDED ? 24 : 20;
	}
	if (!(how & TCP))
		put16(frame, at + 4, frame.len - at);
	for (size_t i = 0; i < addresses && address + i < frame.len; i++)
		pseudo += i % 2 ? frame.at[address + i] : (uint32_t)frame.at[address + i] << 8;
	pseudo += (uint32_t)(frame.len - at);
	pseudo = (pseudo & 0xffff) + (pseudo >> 16);
	if (how & PARTIAL)
		put16(frame, at + (how & TCP ? 16 : 6), (pseudo & 0xffff) + (pseudo >> 16));
	return at + 8;
}

static void write_headers(struct bytes frame, unsigned how)
{
	size_t at = 0;

	if (how & VXLAN) {
		at = shape(frame, 0, 0);
		put16(frame, at - 6, 4789);
		put8(frame, at, 0x08);
		at += 8;
	}
	if (frame.len > at)
		shape(frame, at, how);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	const size_t len = size - 3, first = len * data[0] / 255, second = (len - first) * data[1] / 255;
	uint8_t *original = copy(data + 3, len);
	if (data[2] & SHAPED)
		write_headers((struct bytes){ original, len }, data[2]);
	uint8_t *whole = copy(original, len), *pieces = copy(original, len);
	const bool maybe = nmx__may_be_partial(whole, (uint32_t)len);
	const bool did = nmx__complete_checksum(whole, (uint32_t)len);

	CHECK(maybe || !did);
	CHECK(differences(whole, original, len) <= (did ? 2 : 0));
	const bool cut = in_pieces(pieces, len, first, second);
	CHECK(did || !cut);
	CHECK(differences(pieces, original, len) <= (cut ? 2 : 0));
	if (cut || first >= HEADERS || first == len)
		CHECK(did == cut && memcmp(whole, pieces, len) == 0);
	free(original);
	free(whole);
	free(pieces);
	return 0;
}
