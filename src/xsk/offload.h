/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Checksums that a sender's stack left to its device.  Between two virtual interfaces no device completes them, and a
 * packet comes in with the sum of the pseudo header in its TCP or UDP checksum field (Linux: CHECKSUM_PARTIAL, virtio:
 * NEEDS_CSUM).  A receiver of raw packets has to finish that.
 *
 * Done: TCP and UDP in IPv4 and IPv6, with options and extension headers, with up to two VLAN tags, whole packets only;
 * and the same once more within VXLAN (ports 4789 and 8472), where the outer checksum may be complete, absent, partial,
 * or computed by the sender for when the inner one will be complete (Linux's default for VXLAN).
 * Not done: within other tunnels (Geneve, GRE, IP in IP), TCP or UDP whose final destination stands in an IPv4 source
 * route, SCTP's CRC (it is zero in the packet).  ICMPv6 is always complete: the stack computes it itself.
 *
 * A packet whose checksum is right is never changed, whatever the field holds.  A damaged one is not told from a partial
 * one if its field happens to be the sum of its pseudo header: 1 in 65,535 of the damaged.
 */
#ifndef NMX_XSK_OFFLOAD_H
#define NMX_XSK_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* As it stands in memory, wherever: sums of these are turned to network order by the way they are stored again. */
static inline uint16_t nmx__raw16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t nmx__raw32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NMX__NET16(x) ((uint16_t)(((x) & 0xff) << 8 | (x) >> 8))
#define NMX__NET32(x) ((uint32_t)(NMX__NET16((x) & 0xffff) << 16 | NMX__NET16((x) >> 16)))
#else
#define NMX__NET16(x) ((uint16_t)(x))
#define NMX__NET32(x) ((uint32_t)(x))
#endif

static inline bool nmx__same_sum(uint64_t sum, uint16_t field) { return (sum + 0xffff - field) % 0xffff == 0; }

static inline bool nmx__is_vxlan(uint16_t raw_port)
{
	return raw_port == NMX__NET16(4789) || raw_port == NMX__NET16(8472);
}

/* For what is not IPv4 without options; len is at least 42. */
bool nmx__may_be_partial_otherwise(const uint8_t *frame, uint32_t len);

/*
 * False: there is nothing to do, which is so for nearly all packets, and must be found out in a few instructions.  The
 * test is exact for TCP and UDP in IP without options; of IPv4 options, VLAN tags, VXLAN, ARP and such it says true.
 *
 * Sums are equal in ones' complement when their difference is a multiple of 65535.  The length in the pseudo header is
 * the packet's without its IPv4 header of 20 bytes, and taking these away is adding ~20.
 */
static inline bool nmx__may_be_partial(const uint8_t *frame, uint32_t len)
{
	uint64_t sum;

	if (len < 14 + 20 + 8)
		return false;
	if ((nmx__raw32(frame + 12) & NMX__NET32(0xffffff00)) != NMX__NET32(0x08004500))
		return nmx__may_be_partial_otherwise(frame, len);
	sum = (uint64_t)nmx__raw32(frame + 26) + nmx__raw32(frame + 30) + nmx__raw16(frame + 16) + NMX__NET16(0xffff - 20);
	if (frame[23] == 6)
		return len >= 14 + 20 + 20 && nmx__same_sum(sum + NMX__NET16(6), nmx__raw16(frame + 50));
	if (frame[23] != 17)
		return false;
	return nmx__same_sum(sum + NMX__NET16(17), nmx__raw16(frame + 40)) || nmx__is_vxlan(nmx__raw16(frame + 36));
}

/* A packet in pieces.  Its headers must be in the first, or it is left alone. */
struct nmx__fragment {
	uint8_t *data;
	uint32_t len;
};

/* Looks at one whole Ethernet frame and completes the checksum if that is what is in it.  True: it did; any other bytes
 * are left alone.  Reads and writes within the fragments only. */
bool nmx__complete_checksum_of(const struct nmx__fragment *fragments, uint32_t n);

/* The same for one piece of memory, [frame, frame + len). */
static inline bool nmx__complete_checksum(uint8_t *frame, uint32_t len)
{
	if (__builtin_expect(!nmx__may_be_partial(frame, len), 1))
		return false;
	const struct nmx__fragment whole = { frame, len };
	return nmx__complete_checksum_of(&whole, 1);
}

#endif
