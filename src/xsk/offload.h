/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Checksums that a sender's stack left to its device.  Between two virtual interfaces no device completes them, and a
 * packet comes in with the sum of the pseudo header in its TCP or UDP checksum field.  A receiver of raw packets has to
 * finish that.
 */
#ifndef NMX_XSK_OFFLOAD_H
#define NMX_XSK_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Looks at one whole Ethernet frame (IPv4 or IPv6, up to two VLAN tags, TCP or UDP, no fragments) and completes the
 * checksum if that is what is in it.  True: it did.  A packet with a right checksum is never changed, whatever the field
 * holds; any other bytes are left alone.  Reads and writes [frame, frame + len) only. */
bool nmx__complete_checksum(uint8_t *frame, uint32_t len);

/* The same for a packet of several fragments. */
struct nmx__fragment {
	uint8_t *data;
	uint32_t len;
};
bool nmx__complete_checksum_of(const struct nmx__fragment *fragments, uint32_t n);

#endif
