/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Frames with TCP and UDP checksums, built and judged byte by byte, by the RFCs and not by the code under test. */
#ifndef NMX_TESTS_FRAMES_H
#define NMX_TESTS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recipe {
	const char *label;
	int tags;          /* of VLAN; with two, the outer one is 802.1ad */
	int version;       /* of IP */
	int options;       /* of IPv4, in bytes */
	const char *chain; /* extension headers of IPv6: 'h' hop-by-hop, 'd' destination, 'r' routing with no segments
	                      left, 's' segment routing with some, '0' and '2' the old types with some */
	int protocol;      /* 6, 17 */
	bool vxlan;        /* this, within VXLAN over IPv4, whose own checksum is as of `outer` */
	int outer;         /* OUTER_* */
};
enum { OUTER_NONE, OUTER_FOR_COMPLETE, OUTER_RIGHT };

struct frame {
	uint8_t bytes[2048];
	size_t len;     /* of the frame */
	size_t headers; /* to the end of the (inner) TCP or UDP header */
	size_t field;   /* offset of the (inner) checksum */
	uint16_t pseudo, right;
};

/* With a payload of so many random bytes; *seed moves on.  The field holds what is right. */
void frame_build(struct frame *frame, const struct recipe *recipe, size_t payload, uint32_t *seed);
/* Recomputes `right` after a change of the payload, and stores it. */
void frame_make_right(struct frame *frame);
uint16_t frame_field(const struct frame *frame);
void frame_set_field(struct frame *frame, uint16_t value);

/* What is true of a TCP or UDP packet in plain IPv4 or IPv6, as captured. */
enum verdict { NO_CHECKSUM, CHECKSUM_RIGHT, CHECKSUM_OF_PSEUDO_HEADER, CHECKSUM_WRONG };
enum verdict frame_judge(const uint8_t *bytes, size_t len);
/* The frame within one of VXLAN (IPv4, no options); NULL for others. */
const uint8_t *frame_within(const uint8_t *bytes, size_t len, size_t *inner_len);

#endif
