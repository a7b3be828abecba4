/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * host_receive: shows what the host sends on an interface, a line a packet.  The packets are ours then: they reach the
 * wire only if a program puts them there, as nmx bridge does.
 *
 *     build/examples/host_receive 'eth0^' [PACKETS]        PACKETS: 10, then it ends
 *     ping -c 10 192.0.2.1                                 anything that goes out by eth0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include <nmx/nmx.h>

#include "number.h"

enum { MAX_RINGS = 64 };

static uint32_t be16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* Addresses of a packet, and ports where there are any.  Reads what is there: any bytes may come. */
static void print_ip(int family, const uint8_t *src, const uint8_t *dst, uint32_t protocol, const uint8_t *ports)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	inet_ntop(family, src, from, sizeof(from));
	inet_ntop(family, dst, to, sizeof(to));
	if (ports && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP))
		printf("%s %s port %u to %s port %u\n", protocol == IPPROTO_TCP ? "TCP" : "UDP", from, be16(ports),
		       to, be16(ports + 2));
	else
		printf("IP protocol %u %s to %s\n", protocol, from, to);
}

static void print_packet(const uint8_t *data, uint32_t len)
{
	uint32_t type = len >= 14 ? be16(data + 12) : 0;
	const uint8_t *ip = data + 14;

	printf("%4u bytes  ", len);
	if (type == 0x0800 && len >= 34) {
		uint32_t head = (ip[0] & 15u) * 4;
		bool first = (be16(ip + 6) & 0x1fff) == 0; /* later fragments have no ports */

		print_ip(AF_INET, ip + 12, ip + 16, ip[9], first && len >= 14 + head + 4 ? ip + head : NULL);
	} else if (type == 0x86dd && len >= 54)
		print_ip(AF_INET6, ip + 8, ip + 24, ip[6], len >= 58 ? ip + 40 : NULL);
	else
		printf("%s, type 0x%04x\n", type == 0x0806 ? "ARP" : "not IP", type);
}

/* The rings of "eth0^" are the host's, one or more; of another port, simply its receive rings. */
static int open_rings(struct nmx_port *port, struct nmx_wait_entry *rings)
{
	struct nmx_info info;
	int n, err;

	nmx_port_info(port, &info);
	for (n = 0; n < (int)(info.rx_rings + info.host_rx_rings) && n < MAX_RINGS; n++)
		if ((err = nmx_rx_ring(port, (uint32_t)n, &rings[n].rx)) < 0)
			return err;
	return n;
}

static int show(struct nmx_wait_entry *rings, int num_rings, uint64_t packets)
{
	int n = 0;

	while (packets > 0 && n >= 0) {
		for (int i = 0; i < num_rings && packets > 0; i++) {
			n = nmx_rx_sync(rings[i].rx);
			if (n == NMX_ERR_LINK_DOWN) /* it may come up again */
				n = 0;
			if (n < 0)
				return n;
			nmx_rx_for_each (rings[i].rx, frame) {
				if (packets == 0)
					break;
				print_packet(frame.data, frame.len);
				packets--;
			}
		}
		if (packets > 0)
			n = nmx_wait(rings, (uint32_t)num_rings, -1); /* at once while something was received */
	}
	return n < 0 ? n : 0;
}

int main(int argc, char **argv)
{
	uint64_t packets = argc > 2 ? read_number("host_receive: PACKETS", argv[2]) : 10;
	struct nmx_wait_entry rings[MAX_RINGS] = { { .rx = NULL } };
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	int n, err;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc < 2 ? stderr : stdout, "usage: host_receive PORT [PACKETS], for instance host_receive eth0^ 10\n");
		return argc < 2 ? 2 : 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (nmx_open(&port, argv[1], &(struct nmx_options){ .flags = NMX_RX_ONLY }, &why) < 0) {
		fprintf(stderr, "host_receive: %s\n", why.text);
		return 1;
	}
	n = open_rings(port, rings);
	err = n < 0 ? n : show(rings, n, packets);
	for (int i = 0; i < MAX_RINGS; i++)
		nmx_rx_close(rings[i].rx);
	if (err < 0) {
		fprintf(stderr, "host_receive: %s: %s\n", argv[1], nmx_strerror(err));
		return 1;
	}
	return 0;
}
