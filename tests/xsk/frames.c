/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>

#include "frames.h"
#include "support.h"

static uint8_t random_byte(uint32_t *seed) { return (uint8_t)support_random(seed, 256); }

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

/* RFC 1071, as it is written. */
static uint32_t add(uint32_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t add_number(uint32_t sum, size_t number)
{
	const uint8_t bytes[2] = { (uint8_t)(number >> 8), (uint8_t)number };

	return add(sum, bytes, 2);
}

static size_t build_ethernet(uint8_t *at, int tags, int ethertype, uint32_t *seed)
{
	size_t len = 12;

	for (size_t i = 0; i < len; i++)
		at[i] = random_byte(seed);
	for (int i = tags; i > 0; i--, len += 4) {
		put16(at + len, i == 2 ? 0x88a8 : 0x8100);
		put16(at + len + 2, 7);
	}
	put16(at + len, (size_t)ethertype);
	return len + 2;
}

static size_t build_v4(uint8_t *at, int options, int protocol, size_t payload, uint32_t *seed)
{
	const size_t len = 20 + (size_t)options;

	at[0] = (uint8_t)(0x40 | len / 4);
	at[1] = random_byte(seed);
	put16(at + 2, len + payload);
	put16(at + 4, random_byte(seed));
	put16(at + 6, 0x4000);
	at[8] = 64;
	at[9] = (uint8_t)protocol;
	put16(at + 10, 0x1234);
	for (size_t i = 12; i < 20; i++)
		at[i] = random_byte(seed);
	memset(at + 20, 1, (size_t)options);
	return len;
}

/* One extension header; *destination becomes what the pseudo header has. */
static size_t build_extension(uint8_t *at, char kind, const uint8_t **destination, uint32_t *seed)
{
	const size_t len = kind == 'h' ? 8 : kind == 'd' ? 16 : kind == 's' || kind == '0' ? 40 : 24;

	for (size_t i = 0; i < len; i++)
		at[i] = random_byte(seed);
	at[1] = (uint8_t)(len / 8 - 1);
	if (strchr("rs20", kind)) {
		at[2] = kind == 's' ? 4 : kind == '0' ? 0 : 2;
		at[3] = kind == 'r' ? 0 : 1;
		if (kind != 'r')
			*destination = kind == '0' ? at + 24 : at + 8;
	}
	return len;
}

static uint8_t number_of(char kind) { return kind == 'h' ? 0 : kind == 'd' ? 60 : 43; }

static size_t build_v6(uint8_t *at, const char *chain, int protocol, size_t payload, const uint8_t **destination,
                       uint32_t *seed)
{
	size_t len = 40;
	uint8_t *next = at + 6;

	for (size_t i = 0; i < 40; i++)
		at[i] = random_byte(seed);
	at[0] = 0x60 | (at[0] & 15);
	*destination = at + 24;
	for (; *chain; chain++) {
		uint8_t *extension = at + len;
		*next = number_of(*chain);
		next = extension;
		len += build_extension(extension, *chain, destination, seed);
	}
	*next = (uint8_t)protocol;
	put16(at + 4, len - 40 + payload);
	return len;
}

static uint32_t pseudo_of(const uint8_t *source, const uint8_t *destination, size_t address, size_t len, int protocol)
{
	return add_number(add_number(add(add(0, source, address), destination, address), len), (size_t)protocol);
}

void frame_set_field(struct frame *frame, uint16_t value) { put16(frame->bytes + frame->field, value); }
uint16_t frame_field(const struct frame *frame) { return get16(frame->bytes + frame->field); }

static uint16_t checksum(uint32_t pseudo, const uint8_t *segment, size_t len)
{
	const uint16_t sum = (uint16_t)~add(pseudo, segment, len);

	return sum ? sum : 0xffff;
}

void frame_make_right(struct frame *frame)
{
	const size_t start = frame->field - (frame->headers - frame->field > 2 ? 16 : 6);

	frame_set_field(frame, 0);
	frame->right = checksum(frame->pseudo, frame->bytes + start, frame->len - start);
	frame_set_field(frame, frame->right);
}

static void build_inner(struct frame *frame, size_t at, const struct recipe *recipe, size_t payload, uint32_t *seed)
{
	const size_t header = recipe->protocol == 6 ? 20 : 8, segment = header + payload;
	const uint8_t *destination, *source;
	uint8_t *bytes = frame->bytes, *ip;

	at += build_ethernet(bytes + at, recipe->tags, recipe->version == 4 ? 0x0800 : 0x86dd, seed);
	ip = bytes + at;
	if (recipe->version == 4) {
		source = ip + 12;
		destination = ip + 16;
		at += build_v4(ip, recipe->options, recipe->protocol, segment, seed);
	} else {
		source = ip + 8;
		at += build_v6(ip, recipe->chain ? recipe->chain : "", recipe->protocol, segment, &destination, seed);
	}
	for (size_t i = 0; i < segment; i++)
		bytes[at + i] = random_byte(seed);
	if (recipe->protocol == 17) {
		put16(bytes + at + 2, 7);
		put16(bytes + at + 4, segment);
	}
	frame->field = at + (recipe->protocol == 6 ? 16 : 6);
	frame->headers = at + header;
	frame->len = at + segment;
	frame->pseudo =
	    (uint16_t)pseudo_of(source, destination, recipe->version == 4 ? 4 : 16, segment, recipe->protocol);
	frame_make_right(frame);
}

#define OVER_VXLAN (14 + 20 + 8 + 8)

void frame_build(struct frame *frame, const struct recipe *recipe, size_t payload, uint32_t *seed)
{
	uint8_t *bytes = frame->bytes, *udp = bytes + 34;

	memset(frame, 0, sizeof(*frame));
	build_inner(frame, recipe->vxlan ? OVER_VXLAN : 0, recipe, payload, seed);
	if (!recipe->vxlan)
		return;
	build_ethernet(bytes, 0, 0x0800, seed);
	build_v4(bytes + 14, 0, 17, frame->len - 34, seed);
	put16(udp, 40000);
	put16(udp + 2, 4789);
	put16(udp + 4, frame->len - 34);
	udp[8] = 0x08;
	if (recipe->outer != OUTER_NONE) {
		const uint32_t pseudo = pseudo_of(bytes + 26, bytes + 30, 4, frame->len - 34, 17);
		put16(udp + 6, checksum(pseudo, udp, frame->len - 34));
	}
}

enum verdict frame_judge(const uint8_t *bytes, size_t len)
{
	const uint8_t *ip = bytes + 14, *segment;
	size_t segment_len;
	uint32_t pseudo;
	int protocol;

	if (len >= 34 && get16(bytes + 12) == 0x0800) {
		protocol = ip[9];
		segment = ip + (ip[0] & 15) * 4;
		segment_len = get16(ip + 2) - (size_t)(segment - ip);
		pseudo = pseudo_of(ip + 12, ip + 16, 4, segment_len, protocol);
	} else if (len >= 54 && get16(bytes + 12) == 0x86dd) {
		protocol = ip[6];
		segment = ip + 40;
		segment_len = get16(ip + 4);
		pseudo = pseudo_of(ip + 8, ip + 24, 16, segment_len, protocol);
	} else {
		return NO_CHECKSUM;
	}
	if (protocol != 6 && protocol != 17)
		return NO_CHECKSUM;
	const uint16_t field = get16(segment + (protocol == 6 ? 16 : 6));
	if (protocol == 17 && field == 0)
		return NO_CHECKSUM;
	if (add(pseudo, segment, segment_len) == 0xffff)
		return CHECKSUM_RIGHT;
	return field == pseudo ? CHECKSUM_OF_PSEUDO_HEADER : CHECKSUM_WRONG;
}

const uint8_t *frame_within(const uint8_t *bytes, size_t len, size_t *inner_len)
{
	if (len < OVER_VXLAN + 14 || get16(bytes + 12) != 0x0800 || bytes[23] != 17 || get16(bytes + 36) != 4789)
		return NULL;
	*inner_len = len - OVER_VXLAN;
	return bytes + OVER_VXLAN;
}
