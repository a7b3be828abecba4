/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The frame that is sent: UDP over IPv4 with right checksums, between addresses of the network for benchmarks (RFC 2544), to
 * an Ethernet address that nobody has, so that no host's stack does more than throw it away. */
#include <arpa/inet.h>
#include <string.h>

#include "xdp.h"

enum { IP = 14, UDP = IP + 20, DATA = UDP + 8 };

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum16(const uint8_t *at, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void write_frame(uint8_t *data, uint32_t len)
{
	static const uint8_t header[DATA] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0,
		                              198, 18, 0, 1, 198, 18, 0, 2, 0, 9, 0, 9, 0, 0, 0, 0 };

	memset(data, 0x5a, len);
	memcpy(data, header, sizeof(header));
	put16(data + IP + 2, len - IP);
	put16(data + UDP + 4, len - UDP);
	put16(data + IP + 10, ~sum16(data + IP, 20, 0));
	put16(data + UDP + 6, ~sum16(data + UDP, len - UDP, sum16(data + IP + 12, 8, 17 + len - UDP)));
}
