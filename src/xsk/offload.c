/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "xsk/offload.h"

#define ETHERTYPE_V4   0x0800
#define ETHERTYPE_V6   0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

#define PROTOCOL_TCP    6
#define PROTOCOL_UDP    17
#define V6_HOP_BY_HOP   0
#define V6_ROUTING      43
#define V6_DESTINATION  60
#define V6_MOST_HEADERS 8 /* more than any stack sends */

/* What of the frame can be read here: [frame, frame + head), its first fragment.  `end` is where the packet in question
 * ends, which may be beyond. */
struct view {
	const uint8_t *frame;
	uint32_t head, end;
};

/* A checksum that may be partial. */
struct segment {
	uint32_t start, end; /* what it is over, besides the pseudo header */
	uint32_t field;      /* where it stands */
	uint64_t pseudo;     /* sum of the pseudo header */
};

static uint32_t net16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static bool readable(const struct view *view, uint32_t at, uint32_t bytes)
{
	return at <= view->head && bytes <= view->head - at;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint64_t sum_of(const uint8_t *data, uint32_t len)
{
	uint64_t sum = 0;
	uint8_t last[4] = { 0 };
	uint32_t i;

	for (i = 0; len - i >= 4; i += 4)
		sum += nmx__raw32(data + i);
	memcpy(last, data + i, len - i);
	return sum + nmx__raw32(last);
}

/* Of bytes [start, end) of the packet.  A piece that begins at an odd distance counts with its bytes exchanged. */
static uint64_t sum_of_fragments(const struct nmx__fragment *fragments, uint32_t n, uint32_t start, uint32_t end)
{
	uint64_t sum = 0, at = 0;

	for (uint32_t i = 0; i < n; at += fragments[i++].len) {
		const uint64_t from = at < start ? start : at;
		const uint64_t to = at + fragments[i].len < end ? at + fragments[i].len : end;
		if (from >= to)
			continue;
		const uint16_t part = fold(sum_of(fragments[i].data + (from - at), (uint32_t)(to - from)));
		sum += (from - start) % 2 ? (uint16_t)(part << 8 | part >> 8) : part;
	}
	return sum;
}

/* [at, view->end) is a segment of TCP or UDP; pseudo is the sum of the addresses. */
static bool find_in_transport(const struct view *view, uint32_t at, uint8_t protocol, uint64_t pseudo,
                              struct segment *out)
{
	const uint32_t len = view->end - at;

	if (protocol == PROTOCOL_TCP && len >= 20)
		out->field = at + 16;
	else if (protocol == PROTOCOL_UDP && len >= 8)
		out->field = at + 6;
	else
		return false;
	if (!readable(view, at, out->field + 2 - at))
		return false;
	if (protocol == PROTOCOL_UDP && net16(view->frame + at + 4) != len)
		return false; /* not a stack's */
	out->start = at;
	out->end = view->end;
	out->pseudo = pseudo + NMX__NET16(len & 0xffff) + NMX__NET16(protocol);
	return true;
}

static bool find_in_v4(struct view view, uint32_t at, struct segment *out)
{
	const uint8_t *ip = view.frame + at;

	if (!readable(&view, at, 20) || ip[0] >> 4 != 4)
		return false;
	const uint32_t header = (ip[0] & 15u) * 4, total = net16(ip + 2);
	if (header < 20 || total < header || total > view.end - at)
		return false;
	if (net16(ip + 6) & 0x3fff)
		return false; /* a fragment: its stack has computed it */
	view.end = at + total;
	return find_in_transport(&view, at + header, ip[9], (uint64_t)nmx__raw32(ip + 12) + nmx__raw32(ip + 16), out);
}

static uint64_t sum_of_v6_address(const uint8_t *address)
{
	return (uint64_t)nmx__raw32(address) + nmx__raw32(address + 4) + nmx__raw32(address + 8) +
	       nmx__raw32(address + 12);
}

/* With segments left, the destination that counts is the last one: first in the list of a segment routing header, last
 * in the other types (RFC 8200 section 8.1, RFC 8754). */
static const uint8_t *v6_final_destination(const uint8_t *routing, uint32_t len, const uint8_t *destination)
{
	if (routing[3] == 0)
		return destination;
	if (len < 24)
		return NULL;
	return routing[2] == 4 ? routing + 8 : routing + len - 16;
}

static bool is_v6_extension(uint8_t next)
{
	return next == V6_HOP_BY_HOP || next == V6_ROUTING || next == V6_DESTINATION;
}

static bool find_in_v6(struct view view, uint32_t at, struct segment *out)
{
	const uint8_t *ip = view.frame + at, *destination = ip + 24;

	if (!readable(&view, at, 40) || ip[0] >> 4 != 6)
		return false;
	const uint32_t payload = net16(ip + 4);
	uint8_t next = ip[6];
	if (view.end - at < 40 || payload > view.end - at - 40)
		return false;
	at += 40;
	view.end = at + payload;
	for (int i = 0; i < V6_MOST_HEADERS && is_v6_extension(next); i++) {
		const uint8_t *extension = view.frame + at;
		if (view.end - at < 8 || !readable(&view, at, 8))
			return false;
		const uint32_t len = (extension[1] + 1u) * 8;
		if (view.end - at < len || !readable(&view, at, len))
			return false;
		if (next == V6_ROUTING)
			destination = v6_final_destination(extension, len, destination);
		if (!destination)
			return false;
		next = extension[0];
		at += len;
	}
	return find_in_transport(&view, at, next, sum_of_v6_address(ip + 8) + sum_of_v6_address(destination), out);
}

/* An Ethernet frame at `at`. */
static bool find_in_frame(const struct view *view, uint32_t at, struct segment *out)
{
	uint32_t type;

	at += 12;
	for (int tags = 0;; tags++, at += 4) {
		if (at + 2 > view->end || !readable(view, at, 2))
			return false;
		type = net16(view->frame + at);
		if (tags == 2 || (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ))
			break;
	}
	at += 2;
	if (type == ETHERTYPE_V4)
		return find_in_v4(*view, at, out);
	return type == ETHERTYPE_V6 && find_in_v6(*view, at, out);
}

/* The frame that a VXLAN packet carries: UDP header, flags of which only I is set, network identifier (RFC 7348). */
static bool find_in_vxlan(struct view view, const struct segment *udp, struct segment *out)
{
	const uint8_t *header = view.frame + udp->start;

	if (udp->field != udp->start + 6 || !readable(&view, udp->start, 16) || udp->end - udp->start < 16)
		return false;
	if (!nmx__is_vxlan(nmx__raw16(header + 2)) || header[8] != 0x08)
		return false;
	view.end = udp->end;
	return find_in_frame(&view, udp->start + 16, out);
}

static bool looks_partial(const struct nmx__fragment *fragments, const struct segment *segment)
{
	return fold(segment->pseudo) == nmx__raw16(fragments[0].data + segment->field);
}

static uint16_t sum_of_segment(const struct nmx__fragment *fragments, uint32_t n, const struct segment *segment)
{
	return fold(sum_of_fragments(fragments, n, segment->start, segment->end));
}

static bool is_right(const struct segment *segment, uint16_t sum) { return fold(segment->pseudo + sum) == 0xffff; }

/* The field holds what the pseudo header adds, and so does the sum.  As Linux does it (skb_checksum_help): never 0, which
 * is no checksum, but its other form. */
static bool complete_unless_right(const struct nmx__fragment *fragments, const struct segment *segment, uint16_t sum)
{
	const uint16_t checksum = sum == 0xffff ? 0xffff : (uint16_t)~sum;

	if (is_right(segment, sum))
		return false;
	memcpy(fragments[0].data + segment->field, &checksum, sizeof(checksum));
	return true;
}

static bool complete_in_vxlan(const struct nmx__fragment *fragments, uint32_t n, const struct view *view,
                              const struct segment *outer)
{
	struct segment inner;

	if (!find_in_vxlan(*view, outer, &inner) || !looks_partial(fragments, &inner))
		return false;
	/* An outer checksum that is right vouches for what is inside.  One that a stack computed for when the inner one
	 * will be complete is not right yet. */
	if (nmx__raw16(view->frame + outer->field) != 0 && is_right(outer, sum_of_segment(fragments, n, outer)))
		return false;
	return complete_unless_right(fragments, &inner, sum_of_segment(fragments, n, &inner));
}

bool nmx__may_be_partial_otherwise(const uint8_t *frame, uint32_t len)
{
	uint64_t sum;

	if ((nmx__raw32(frame + 12) & NMX__NET32(0xfffff000)) != NMX__NET32(0x86dd6000))
		return true;
	if (len < 14 + 40 + 8)
		return false;
	sum = sum_of_v6_address(frame + 22) + sum_of_v6_address(frame + 38) + nmx__raw16(frame + 18);
	switch (frame[20]) {
	case PROTOCOL_TCP:
		return len >= 14 + 40 + 20 && nmx__same_sum(sum + NMX__NET16(PROTOCOL_TCP), nmx__raw16(frame + 70));
	case PROTOCOL_UDP:
		return nmx__same_sum(sum + NMX__NET16(PROTOCOL_UDP), nmx__raw16(frame + 60)) ||
		       nmx__is_vxlan(nmx__raw16(frame + 56));
	default:
		return is_v6_extension(frame[20]);
	}
}

bool nmx__complete_checksum_of(const struct nmx__fragment *fragments, uint32_t n)
{
	struct segment segment;
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += fragments[i].len;
	if (n == 0 || total > UINT32_MAX)
		return false;
	const struct view view = { fragments[0].data, fragments[0].len, (uint32_t)total };
	if (!find_in_frame(&view, 0, &segment))
		return false;
	if (looks_partial(fragments, &segment)) /* then no other is: a stack leaves one to the device */
		return complete_unless_right(fragments, &segment, sum_of_segment(fragments, n, &segment));
	return complete_in_vxlan(fragments, n, &view, &segment);
}
