/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ethernet frames with an IPv4 UDP packet, plain or stamped; building one allocates nothing and enters no kernel.
 *
 *   0   destination MAC, source MAC, 0x0800
 *   14  IPv4: 20 bytes.  Identification: upper half of the flow id
 *   34  UDP: 8 bytes.  Source port: lower half of the flow id, plus FRAME_FIRST_PORT.  Destination port: FRAME_PORT,
 *       which says that the packet is stamped, or 9 (discard).  Plain packets can have other ports
 *   42  stamp: 18 bytes, so that it fits the shortest frame (60 bytes without the check sequence); little endian
 *         run 16 bits        of the sender, random
 *         sequence 48 bits   of the flow, from 0
 *         time 48 bits       CLOCK_MONOTONIC, ns
 *         check 32 bits      over flow, length and the three above
 *   60  filler, a function of run, flow and sequence: the receiver compares every byte
 *
 * A plain frame has zeros after the headers.  Both checksums are always there.  So a change of any byte shows, the
 * two MAC addresses excepted.
 *
 * A stamped frame that has the two ports exchanged is intact too: so an ordinary echo service answers, whose host fills
 * in an identification of its own.
 */
#ifndef NMX_TOOLS_FRAME_H
#define NMX_TOOLS_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HEAD 42u
#define FRAME_MIN 60u
#define FRAME_MAX 65535u
#define FRAME_PORT 0x6e6du
#define FRAME_FIRST_PORT 10000u

struct frame_addresses {
	uint8_t src_mac[6], dst_mac[6];
	uint8_t src_ip[4], dst_ip[4];
	uint16_t src_port, dst_port; /* of plain packets: of the first flow; 0: FRAME_FIRST_PORT, 9 */
};
/* Locally administered MACs, and addresses of 198.18.0.0/15, which is kept for benchmarks (RFC 2544). */
#define FRAME_ADDRESSES                                                        \
	{                                                                      \
		{ 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 }, { 198, 18, 0, 1 }, \
		{ 198, 18, 0, 2 }, 0, 0                                        \
	}

/* Rows of a table of options, for a struct with a member `struct frame_addresses addresses`; see opt.h. */
/* clang-format off */
#define FRAME_OPTIONS(type)                                                                                          \
	{ 'S', "src-mac", OPT_MAC, offsetof(type, addresses.src_mac), "MAC", "default: 02:00:00:00:00:01", 0, 0 },   \
	{ 'D', "dst-mac", OPT_MAC, offsetof(type, addresses.dst_mac), "MAC", "default: 02:00:00:00:00:02", 0, 0 },   \
	{ 's', "src-ip", OPT_IP4, offsetof(type, addresses.src_ip), "IP", "default: 198.18.0.1", 0, 0 },             \
	{ 'd', "dst-ip", OPT_IP4, offsetof(type, addresses.dst_ip), "IP", "default: 198.18.0.2", 0, 0 }
/* clang-format on */

struct frame_template {
	uint8_t head[FRAME_HEAD]; /* with zeros where packets differ */
	uint64_t ip_sum, udp_sum; /* of what they have in common */
	uint16_t run;
	uint16_t first_port;
	bool stamped;
};

struct frame_stamp {
	uint16_t run;
	uint32_t flow;
	uint64_t sequence; /* 48 bits */
	uint64_t time_ns;  /* 48 bits */
};

/* A run number that two senders in a row hardly share: else they would look like one to a receiver. */
uint16_t frame_run_id(void);

void frame_template(struct frame_template *t, const struct frame_addresses *addresses, bool stamped, uint16_t run);

/* Builds a frame of len bytes, FRAME_MIN to FRAME_MAX.  A plain one uses stamp->flow only. */
void frame_build(const struct frame_template *t, uint8_t *data, uint32_t len, const struct frame_stamp *stamp);

enum frame_kind { FRAME_INTACT, FRAME_CORRUPT, FRAME_FOREIGN };

/* Looks at every byte; fills *stamp if the frame is intact.  Foreign: not stamped by frame_build(). */
enum frame_kind frame_check(const uint8_t *data, uint32_t len, struct frame_stamp *stamp);

/* Nanoseconds from the stamp to now_ns, less than 39 hours; 0 if it is from the future. */
uint64_t frame_age(const struct frame_stamp *stamp, uint64_t now_ns);

/* Exchanges the two MAC addresses and, if there are any, the two IPv4 addresses: no checksum changes. */
void frame_turn(uint8_t *data, uint32_t len);

#endif
