/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* AF_XDP by bare system calls: a socket with its rings and its memory, and the smallest program that leads packets to
 * it.  Everything is held by descriptors and mappings, so it goes with the process. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xdp.h"

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif
enum { RETRIES = 400, RETRY_US = 5000 }; /* the kernel lets go of a queue some time after its last user has */

int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(int fd)
{
	union bpf_attr attr;
	uint32_t key = 0;
	int map;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_XSKMAP;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	map = bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		die("an XSKMAP", strerror(errno));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&fd;
	if (bpf(BPF_MAP_UPDATE_ELEM, &attr) < 0)
		die("an XSKMAP", strerror(errno));
	return map;
}

int load_xdp_program(const struct bpf_insn *code, uint32_t instructions)
{
	union bpf_attr attr;
	int program;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.expected_attach_type = BPF_XDP;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = instructions;
	attr.license = (uintptr_t) "Dual MIT/GPL";
	program = bpf(BPF_PROG_LOAD, &attr);
	if (program < 0)
		die("an XDP program", strerror(errno));
	return program;
}

/* return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS); */
static int load_program(int map)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_LDX | BPF_MEM, .dst_reg = 2, .src_reg = 1, .off = 16 },
		{ .code = BPF_LD | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 }, /* the upper half of the constant */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load_xdp_program(code, sizeof(code) / sizeof(code[0]));
}

static int attach(int program, unsigned ifindex)
{
	union bpf_attr attr;

	for (int retry = 0;; retry++) {
		memset(&attr, 0, sizeof(attr));
		attr.link_create.prog_fd = (uint32_t)program;
		attr.link_create.target_ifindex = ifindex;
		attr.link_create.attach_type = BPF_XDP;
		attr.link_create.flags = XDP_FLAGS_DRV_MODE;
		int link = bpf(BPF_LINK_CREATE, &attr);
		if (link >= 0)
			return link;
		if (errno != EBUSY || retry == RETRIES)
			die("attaching an XDP program", strerror(errno));
		usleep(RETRY_US);
	}
}

static void set_option(int fd, int option, const void *value, size_t size)
{
	if (setsockopt(fd, SOL_XDP, option, value, (socklen_t)size) < 0)
		die("an AF_XDP socket", strerror(errno));
}

static struct xsk_ring map_ring(int fd, const struct xdp_ring_offset *at, uint32_t slots, size_t entry_size, off_t page)
{
	uint8_t *base = mmap(NULL, at->desc + slots * entry_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);

	if (base == MAP_FAILED)
		die("an AF_XDP ring", strerror(errno));
	return (struct xsk_ring){ .producer = (_Atomic uint32_t *)(base + at->producer),
		                  .consumer = (_Atomic uint32_t *)(base + at->consumer),
		                  .entries = base + at->desc,
		                  .mask = slots - 1 };
}

/* More than 32 packets a kick, where the kernel can. */
static void raise_budget(int fd, uint32_t slots)
{
	uint32_t budget = slots < 256 ? slots : 256;

	(void)setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
}

static void make_rings(struct xsk *x, int directions, uint32_t slots)
{
	struct xdp_mmap_offsets at;
	socklen_t size = sizeof(at);

	set_option(x->fd, XDP_UMEM_FILL_RING, &slots, sizeof(slots));
	set_option(x->fd, XDP_UMEM_COMPLETION_RING, &slots, sizeof(slots));
	if (directions & XSK_RX)
		set_option(x->fd, XDP_RX_RING, &slots, sizeof(slots));
	if (directions & XSK_TX)
		set_option(x->fd, XDP_TX_RING, &slots, sizeof(slots));
	if (getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) < 0)
		die("an AF_XDP socket", strerror(errno));
	x->fill = map_ring(x->fd, &at.fr, slots, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	x->comp = map_ring(x->fd, &at.cr, slots, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
	if (directions & XSK_RX)
		x->rx = map_ring(x->fd, &at.rx, slots, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
	if (directions & XSK_TX) {
		x->tx = map_ring(x->fd, &at.tx, slots, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
		raise_budget(x->fd, slots);
	}
}

static void bind_queue(const struct xsk *x, unsigned ifindex, const struct xsk *other)
{
	struct sockaddr_xdp to = { .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex };

	if (other) {
		to.sxdp_flags = XDP_SHARED_UMEM;
		to.sxdp_shared_umem_fd = (uint32_t)other->fd;
	} else {
		to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
	}
	for (int retry = 0; bind(x->fd, (struct sockaddr *)&to, sizeof(to)) < 0; retry++) {
		if (errno != EBUSY || retry == RETRIES)
			die("binding an AF_XDP socket", strerror(errno));
		usleep(RETRY_US);
	}
}

static uint8_t *make_memory(int fd, uint32_t chunks)
{
	struct xdp_umem_reg reg = { .len = (uint64_t)chunks * CHUNK, .chunk_size = CHUNK };
	void *memory = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap", strerror(errno));
	reg.addr = (uintptr_t)memory;
	set_option(fd, XDP_UMEM_REG, &reg, sizeof(reg));
	return memory;
}

void xsk_open(struct xsk *x, const char *interface, int directions, uint32_t slots, const struct xsk *other)
{
	unsigned ifindex = ifindex_of(interface);

	*x = (struct xsk){ .fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), .link = -1, .map = -1 };
	if (x->fd < 0)
		die("an AF_XDP socket", strerror(errno));
	x->umem = other ? other->umem : make_memory(x->fd, 2 * slots);
	make_rings(x, directions, slots);
	bind_queue(x, ifindex, other);
	if (directions & XSK_RX) {
		for (uint32_t i = 0; i < slots; i++)
			*xsk_addr(&x->fill, i) = (uint64_t)i * CHUNK;
		atomic_store_explicit(x->fill.producer, slots, memory_order_release);
		x->map = make_map(x->fd);
		x->link = attach(load_program(x->map), ifindex);
	}
}

/* Whatever it says, what was not sent is still in the ring, or was dropped at the device. */
void xsk_kick(const struct xsk *x)
{
	if (sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS)
		die("sending by AF_XDP", strerror(errno));
}
