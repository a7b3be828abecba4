/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * host_transmit: gives the host a UDP datagram as if it had come in on an interface.  The host checks it as it checks any
 * other: it must be for the interface's MAC address and one of the host's IP addresses, with right checksums, and from
 * an address that may come in there.
 *
 *     nc -u -l 4711                                        or any other UDP socket of this host
 *     build/examples/host_transmit 'eth0^' 02:00:00:00:00:07 192.0.2.1 192.0.2.7 4711 'hello host'
 *                                  PORT    MAC of eth0       from      IP of eth0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include <nmx/nmx.h>

#include "number.h"

enum { ETHERNET = 14, IP = 20, UDP = 8, HEAD = ETHERNET + IP + UDP, MAX_TEXT = 1472, SOURCE_PORT = 40000 };

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The Internet checksum, RFC 1071: the sum of all 16-bit words in ones' complement.  An odd last byte is a high one. */
static uint32_t sum(uint32_t so_far, const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		so_far += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	return so_far;
}

static uint32_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

struct datagram {
	uint8_t dst_mac[6];
	struct in_addr src, dst;
	uint32_t port;
	const char *text;
};

static uint32_t length(const struct datagram *d) { return HEAD + (uint32_t)strlen(d->text); }

static void build(const struct datagram *d, uint8_t *data)
{
	static const uint8_t src_mac[6] = { 2, 0, 0, 0, 0, 1 }; /* locally administered */
	uint8_t *ip = data + ETHERNET, *udp = ip + IP;
	uint32_t udp_len = length(d) - ETHERNET - IP, udp_sum;

	memset(data, 0, HEAD);
	memcpy(data, d->dst_mac, 6);
	memcpy(data + 6, src_mac, 6);
	put16(data + 12, 0x0800);
	ip[0] = 0x45; /* version 4, header of five words */
	put16(ip + 2, IP + udp_len);
	ip[8] = 64; /* time to live */
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &d->src, 4);
	memcpy(ip + 16, &d->dst, 4);
	put16(ip + 10, checksum(sum(0, ip, IP)));
	put16(udp, SOURCE_PORT);
	put16(udp + 2, d->port);
	put16(udp + 4, udp_len);
	memcpy(udp + UDP, d->text, udp_len - UDP);
	udp_sum =
	    checksum(sum(sum(IPPROTO_UDP + udp_len, ip + 12, 8), udp, udp_len)); /* addresses, protocol, length too */
	put16(udp + 6, udp_sum ? udp_sum : 0xffff);                              /* 0 would say that there is none */
}

static int send_one(struct nmx_port *port, const struct datagram *d)
{
	NMX_AUTO(tx) tx = NULL;
	struct nmx_batch batch;
	uint8_t *data;
	int err = nmx_tx_ring(port, 0, &tx); /* of "eth0^", the first ring of the host */

	if (err < 0 || (err = nmx_tx_reserve(tx, 1, &batch)) < 0)
		return err;
	data = nmx_batch_packet(&batch, length(d));
	if (data)
		build(d, data);
	nmx_batch_commit(&batch);
	if (!data)
		return NMX_ERR_WOULD_BLOCK;
	while ((err = nmx_tx_drain(tx, 1000)) == NMX_ERR_PEER_GONE)
		; /* only a pipe has another end; it may take what was sent and go */
	return err;
}

static bool read_arguments(char **argv, struct datagram *d)
{
	uint8_t *m = d->dst_mac;
	char more;
	uint64_t port = read_number("host_transmit: UDP_PORT", argv[5]);

	d->port = (uint32_t)port;
	d->text = argv[6];
	return sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%c", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &more) ==
	           6 &&
	       inet_pton(AF_INET, argv[3], &d->src) == 1 && inet_pton(AF_INET, argv[4], &d->dst) == 1 &&
	       port > 0 && port < 65536 && strlen(d->text) <= MAX_TEXT;
}

int main(int argc, char **argv)
{
	struct datagram datagram = { 0 };
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	int err;

	if (argc != 7 || !read_arguments(argv, &datagram)) {
		bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

		fprintf(help ? stdout : stderr, "usage: host_transmit PORT DST_MAC SRC_IP DST_IP UDP_PORT TEXT (at most %d bytes)\n",
		        MAX_TEXT);
		return help ? 0 : 2;
	}
	if (nmx_open(&port, argv[1], &(struct nmx_options){ .flags = NMX_TX_ONLY }, &why) < 0) {
		fprintf(stderr, "host_transmit: %s\n", why.text);
		return 1;
	}
	err = send_one(port, &datagram);
	if (err < 0) {
		fprintf(stderr, "host_transmit: %s: %s\n", argv[1], nmx_strerror(err));
		return 1;
	}
	printf("%s: %u bytes for %s, UDP port %u\n", argv[1], length(&datagram), argv[4], datagram.port);
	return 0;
}
