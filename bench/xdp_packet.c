/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * AF_PACKET as it is used for speed: a mapped ring of blocks (TPACKET_V3) that are waited for by poll, and sendmmsg in
 * batches past the queueing discipline, which on veth is at least as fast as a mapped ring to transmit from.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "xdp.h"

enum { BLOCK_SIZE = 1 << 18, BLOCKS = 16, MAX_BATCH = 64, RETIRE_MS = 1, POLL_MS = 20 };

struct block_ring {
	int fd;
	uint8_t *blocks;
	uint32_t at;
};

static int open_socket(const char *interface, int protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)ifindex_of(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("a packet socket", strerror(errno));
	return fd;
}

static struct block_ring open_ring(const char *interface)
{
	struct tpacket_req3 req = { .tp_block_size = BLOCK_SIZE,
		                    .tp_block_nr = BLOCKS,
		                    .tp_frame_size = 2048,
		                    .tp_frame_nr = BLOCKS * (BLOCK_SIZE / 2048),
		                    .tp_retire_blk_tov = RETIRE_MS };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), version = TPACKET_V3;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)ifindex_of(interface) };
	void *blocks;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
		die("a packet socket", strerror(errno));
	blocks = mmap(NULL, (size_t)BLOCK_SIZE * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (blocks == MAP_FAILED || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("a packet socket", strerror(errno));
	return (struct block_ring){ .fd = fd, .blocks = blocks };
}

/* The next block that the kernel has filled; NULL when there is none after a while. */
static struct tpacket_hdr_v1 *next_block(const struct block_ring *r)
{
	struct tpacket_block_desc *block = (struct tpacket_block_desc *)(r->blocks + (size_t)r->at * BLOCK_SIZE);
	struct pollfd fd = { .fd = r->fd, .events = POLLIN };

	if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
		poll(&fd, 1, POLL_MS);
		if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return NULL;
	}
	return &block->hdr.bh1;
}

static void give_back(struct block_ring *r, struct tpacket_hdr_v1 *block)
{
	__atomic_store_n(&block->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->at = (r->at + 1) % BLOCKS;
}

static inline struct tpacket3_hdr *first_of(struct tpacket_hdr_v1 *block)
{
	struct tpacket_block_desc *desc = (struct tpacket_block_desc *)((uint8_t *)block - offsetof(struct tpacket_block_desc, hdr));

	return (struct tpacket3_hdr *)((uint8_t *)desc + block->offset_to_first_pkt);
}

static inline struct tpacket3_hdr *after(struct tpacket3_hdr *packet)
{
	return (struct tpacket3_hdr *)((uint8_t *)packet + packet->tp_next_offset);
}

static void receive_and_drop(struct xdp_meeting *m)
{
	struct block_ring r = open_ring("c0");
	uint64_t count = 0, bytes = 0;
	struct tpacket_hdr_v1 *block;

	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		if (!(block = next_block(&r)))
			continue;
		struct tpacket3_hdr *packet = first_of(block);

		for (uint32_t i = 0; i < block->num_pkts; i++, packet = after(packet))
			bytes += packet->tp_snaplen;
		publish(&m->count, count += block->num_pkts);
		give_back(&r, block);
	}
	m->checksum += bytes;
}

static int open_output(const char *interface)
{
	int fd = open_socket(interface, 0), one = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		die("a packet socket", strerror(errno));
	return fd;
}

struct messages {
	struct mmsghdr message[MAX_BATCH];
	struct iovec part[MAX_BATCH];
};

static void prepare(struct messages *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < MAX_BATCH; i++) {
		out->message[i].msg_hdr.msg_iov = &out->part[i];
		out->message[i].msg_hdr.msg_iovlen = 1;
	}
}

static void send_all(int fd, struct messages *out, uint32_t n)
{
	for (uint32_t sent = 0; sent < n;) {
		int now = sendmmsg(fd, out->message + sent, n - sent, 0);

		if (now < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("sendmmsg", strerror(errno));
		sent += now > 0 ? (uint32_t)now : 1; /* one that is refused is dropped */
	}
}

static void transmit(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	static uint8_t frame[MAX_BATCH][CHUNK];
	int fd = open_output("c0");
	struct messages out;

	prepare(&out);
	for (int i = 0; i < MAX_BATCH; i++) {
		write_frame(frame[i], plan->len);
		out.part[i] = (struct iovec){ .iov_base = frame[i], .iov_len = plan->len };
	}
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m))
		send_all(fd, &out, MAX_BATCH);
}

/* From the blocks themselves: nothing is copied here. */
static void forward(struct xdp_meeting *m)
{
	struct block_ring r = open_ring("c0");
	struct tpacket_hdr_v1 *block;
	int fd = open_output("c1");
	struct messages out;

	prepare(&out);
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		if (!(block = next_block(&r)))
			continue;
		struct tpacket3_hdr *packet = first_of(block);
		uint32_t n = 0;

		for (uint32_t i = 0; i < block->num_pkts; i++, packet = after(packet)) {
			out.part[n++] = (struct iovec){ .iov_base = (uint8_t *)packet + packet->tp_mac, .iov_len = packet->tp_snaplen };
			if (n == MAX_BATCH || i + 1 == block->num_pkts) {
				send_all(fd, &out, n);
				n = 0;
			}
		}
		give_back(&r, block);
	}
}

static void packet_run(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	if (only_receives(plan->job))
		receive_and_drop(m);
	else if (plan->job == TX)
		transmit(plan, m);
	else
		forward(m);
}

const struct xdp_contender packet_contender = { .is = { "packet", NULL }, .run = packet_run };
