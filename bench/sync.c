/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench-sync [--quick] [--json] [CASE...]
 * nmx-bench-sync --count CASE nmx|xsk        for callgrind: instructions.sh
 *
 * Our part alone: what nmx and the bare loop do in user space for each packet of an interface.  The kernel takes about a
 * microsecond a packet on veth, and hides it.  So ports are opened as always, on a pair of interfaces where nothing moves,
 * and this program plays the kernel in the rings that the kernel shares with them: it takes buffers from the fill ring,
 * writes descriptors of packets that never came, and completes what is sent when it is kicked.  What this costs is
 * measured too ("kernel").  Everything is one thread, so no line of the rings ever moves between processors.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "xdp_bare.h"

enum { PAIRS = 31, QUICK_PAIRS = 11, BATCH = 64, SLOTS = 1024, LEN = 60, WARM_UP = 500, TURNS = 30000, QUICK_TURNS = 6000, COUNTED_TURNS = 2000, HEADROOM = 256 };

#define TURN __attribute__((__noinline__)) static void

static const char *directory;

/* ---- the kernel, played */

static struct played {
	struct xsk_ring rx, fill, tx, comp;
	uint32_t received, taken, sent, completed; /* its own indices */
	uint64_t mask, offset; /* from an address of the fill ring to that of a packet, by the kernel's two ways to cut memory */
	uint8_t *area;         /* where address 0 is */
	bool playing;
} kernel;

/* The mapping of one of the rings of this process: they are told apart by where in the socket they are. */
static struct xsk_ring find_ring(uint64_t page, const struct xdp_ring_offset *at, size_t entry_size)
{
	uint64_t start, end, offset, entries = 1;
	struct xsk_ring ring = { 0 };
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "socket:[") || sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end, &offset) != 3 || offset != page)
			continue;
		while (at->desc + 2 * entries * entry_size <= end - start)
			entries *= 2;
		ring = (struct xsk_ring){ .producer = (_Atomic uint32_t *)(uintptr_t)(start + at->producer),
			                  .consumer = (_Atomic uint32_t *)(uintptr_t)(start + at->consumer),
			                  .entries = (void *)(uintptr_t)(start + at->desc),
			                  .mask = (uint32_t)entries - 1 };
	}
	if (maps)
		fclose(maps);
	return ring;
}

static void find_rings(enum job job)
{
	struct xdp_mmap_offsets at;
	socklen_t size = sizeof(at);
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) < 0)
		die("an AF_XDP socket", strerror(errno));
	close(fd);
	if (job != TX) {
		kernel.rx = find_ring(XDP_PGOFF_RX_RING, &at.rx, sizeof(struct xdp_desc));
		kernel.fill = find_ring(XDP_UMEM_PGOFF_FILL_RING, &at.fr, sizeof(uint64_t));
	}
	if (job != RX_DROP) {
		kernel.tx = find_ring(XDP_PGOFF_TX_RING, &at.tx, sizeof(struct xdp_desc));
		kernel.comp = find_ring(XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, sizeof(uint64_t));
	}
}

static uint8_t *where(uint64_t address)
{
	return kernel.area + (address & XSK_UNALIGNED_BUF_ADDR_MASK) + (address >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
}

static uint64_t packet_of(uint64_t filled) { return (filled & kernel.mask) + kernel.offset; }

/* From where the real one is. */
static void play(enum job job)
{
	if (job != TX) {
		if (!kernel.rx.producer || !kernel.fill.consumer)
			die("the receive ring", "is not to be found");
		kernel.received = *kernel.rx.producer;
		kernel.taken = *kernel.fill.consumer;
	}
	if (job != RX_DROP) {
		if (!kernel.tx.consumer || !kernel.comp.producer)
			die("the transmit ring", "is not to be found");
		kernel.sent = *kernel.tx.consumer;
		kernel.completed = *kernel.comp.producer;
	}
	kernel.playing = true;
}

/* The packets themselves are written into each buffer when it comes by the first time. */
TURN kernel_receives(uint32_t n)
{
	struct played *k = &kernel;

	if (acquire(k->fill.producer) - k->taken < n)
		die("the fill ring", "runs dry");
	for (uint32_t i = 0; i < n && k->received < 8 * SLOTS; i++)
		write_frame(where(packet_of(*xsk_addr(&k->fill, k->taken + i))), LEN);
	for (uint32_t i = 0; i < n; i++)
		*xsk_desc(&k->rx, k->received + i) = (struct xdp_desc){ .addr = packet_of(*xsk_addr(&k->fill, k->taken + i)), .len = LEN };
	k->taken += n;
	k->received += n;
	release(k->fill.consumer, k->taken);
	release(k->rx.producer, k->received);
}

static void kernel_sends(void)
{
	struct played *k = &kernel;
	uint32_t n = acquire(k->tx.producer) - k->sent;

	for (uint32_t i = 0; i < n; i++)
		*xsk_addr(&k->comp, k->completed + i) = xsk_desc(&k->tx, k->sent + i)->addr;
	k->sent += n;
	k->completed += n;
	release(k->tx.consumer, k->sent);
	release(k->comp.producer, k->completed);
}

/* In place of the C library's, for this program and the library that it uses.  (By another name here: the C library
 * declares its own with a union of pointers.) */
ssize_t played_sendto(int fd, const void *data, size_t size, int flags, const void *address, socklen_t address_size) __asm__("sendto");
ssize_t played_sendto(int fd, const void *data, size_t size, int flags, const void *address, socklen_t address_size)
{
	if (!kernel.playing || size != 0)
		return syscall(SYS_sendto, fd, data, size, flags, address, address_size);
	kernel_sends();
	return 0;
}

/* ---- the loops: a turn moves a batch */

static struct xsk bare_from, bare_to;
static struct receiver receiver;
static struct sender sender;
static struct forwarder forwarder;
static struct nmx_port *ports[2];
static struct nmx_rx *nmx_in;
static struct nmx_tx *nmx_out;
static uint64_t bytes;

TURN bare_receive(void) { take(&receiver, BATCH); }
TURN bare_send(void) { put(&sender, BATCH, LEN); }

TURN bare_forward(void)
{
	move_on(&forwarder, BATCH, SLOTS);
	reclaim(&forwarder);
}

static void check(int err)
{
	if (err < 0)
		die("nmx", nmx_strerror(err));
}

TURN nmx_receive(void)
{
	check(nmx_rx_sync(nmx_in));
	nmx_rx_for_each (nmx_in, frame)
		bytes += frame.len;
}

TURN nmx_send(void)
{
	struct nmx_batch batch;

	if (nmx_tx_space(nmx_out) >= BATCH) {
		check(nmx_tx_reserve(nmx_out, BATCH, &batch));
		while (nmx_batch_packet(&batch, LEN))
			;
		nmx_batch_commit(&batch);
	}
	check(nmx_tx_sync(nmx_out));
}

TURN nmx_forward_all(void)
{
	check(nmx_rx_sync(nmx_in));
	nmx_forward(nmx_in, nmx_out, BATCH);
	check(nmx_tx_sync(nmx_out));
}

/* Nothing but what the kernel does: buffers go back as they came. */
TURN null_receive(void)
{
	release(kernel.rx.consumer, kernel.received);
	release(kernel.fill.producer, *kernel.fill.producer + BATCH);
}

TURN null_send(void)
{
	release(kernel.comp.consumer, kernel.completed);
	release(kernel.tx.producer, kernel.sent + BATCH);
	sendto(-1, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

TURN null_forward(void)
{
	null_receive();
	null_send();
}

/* ---- opening */

static void open_bare(enum job job)
{
	if (job != TX)
		xsk_open(&bare_from, "c0", XSK_RX, SLOTS, NULL);
	if (job != RX_DROP)
		xsk_open(&bare_to, "c1", XSK_TX, SLOTS, job == FORWARD ? &bare_from : NULL);
	receiver = (struct receiver){ .x = &bare_from, .filled = SLOTS };
	sender = (struct sender){ .x = &bare_to, .first_chunk = SLOTS, .slots = SLOTS };
	forwarder = (struct forwarder){ .from = &bare_from, .to = &bare_to, .filled = SLOTS };
	kernel = (struct played){ .rx = bare_from.rx, .fill = bare_from.fill, .tx = bare_to.tx, .comp = bare_to.comp, .mask = ~(uint64_t)(CHUNK - 1), .offset = HEADROOM, .area = bare_from.umem };
	play(job);
}

static struct nmx_port *open_port(const char *name, uint32_t flags)
{
	const struct nmx_options options = { .directory = directory, .tx_rings = 1, .rx_rings = 1, .tx_slots = SLOTS, .rx_slots = SLOTS,
		                             .backend = NMX_XDP, .flags = flags };
	struct nmx_report why;
	struct nmx_port *port;

	if (nmx_open(&port, name, &options, &why) < 0)
		die("nmx_open", why.text);
	return port;
}

static void open_nmx(enum job job)
{
	if (job != TX) {
		ports[0] = open_port("netmap:c0", NMX_RX_ONLY);
		check(nmx_rx_ring(ports[0], 0, &nmx_in));
	}
	if (job != RX_DROP) {
		ports[1] = open_port("netmap:c1", NMX_TX_ONLY);
		check(nmx_tx_ring(ports[1], 0, &nmx_out));
		check(nmx_tx_sync(nmx_out));
	}
	kernel = (struct played){ .mask = UINT64_MAX, .offset = (uint64_t)HEADROOM << XSK_UNALIGNED_BUF_OFFSET_SHIFT };
	if (nmx_in)
		kernel.area = nmx_in->bufs - HEADROOM; /* where AF_XDP has to put a packet for it to begin a buffer */
	find_rings(job);
	play(job);
}

static void close_nmx(void)
{
	nmx_rx_close(nmx_in);
	nmx_tx_close(nmx_out);
	kernel.playing = false;
	nmx_close(ports[0]);
	nmx_close(ports[1]);
}

/* ---- measuring */

enum who { NMX, BARE, KERNEL, NUM_WHO };

static const struct alone_case {
	const char *name;
	enum job job;
	void (*turn[NUM_WHO])(void);
} cases[] = {
	{ "sync-rx", RX_DROP, { nmx_receive, bare_receive, null_receive } },
	{ "sync-tx", TX, { nmx_send, bare_send, null_send } },
	{ "sync-fwd", FORWARD, { nmx_forward_all, bare_forward, null_forward } },
};
enum { NUM_CASES = sizeof(cases) / sizeof(cases[0]) };

static void make_turns(const struct alone_case *c, enum who who, uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++) {
		if (c->job != TX)
			kernel_receives(BATCH);
		c->turn[who]();
	}
}

/* Every packet has to have been there. */
static void check_count(const struct alone_case *c, uint32_t turns)
{
	uint32_t expected = turns * BATCH;

	if (c->job != TX && acquire(kernel.rx.consumer) != expected)
		die(c->name, "not every packet was received");
	if (c->job != RX_DROP && kernel.sent < expected - BATCH)
		die(c->name, "not every packet was sent");
}

/* Nanoseconds a packet, in a process of its own. */
static double run(const struct alone_case *c, enum who who, uint32_t turns)
{
	double *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), ns;
	int status, cpu[2];
	uint64_t start;
	pid_t pid;

	fflush(stdout);
	if (result == MAP_FAILED || (pid = fork()) < 0)
		die("a run", strerror(errno));
	if (pid == 0) {
		two_cpus(cpu);
		pin(cpu[1]);
		who == NMX ? open_nmx(c->job) : open_bare(c->job);
		make_turns(c, who, WARM_UP);
		start = now_ns();
		make_turns(c, who, turns);
		*result = (double)(now_ns() - start) / turns / BATCH;
		check_count(c, WARM_UP + turns);
		if (who == NMX)
			close_nmx();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die(c->name, "a run did not end well");
	ns = *result;
	munmap(result, sizeof(*result));
	return ns;
}

static void measure(const struct alone_case *c, bool quick, bool json)
{
	double ns[NUM_WHO][PAIRS], adds[PAIRS], middle[NUM_WHO];
	int pairs = quick ? QUICK_PAIRS : PAIRS;

	for (int i = 0; i < pairs; i++) {
		for (int k = 0; k < NUM_WHO; k++) {
			enum who who = (enum who)((k + i) % NUM_WHO);

			ns[who][i] = run(c, who, quick ? QUICK_TURNS : TURNS);
		}
		adds[i] = ns[NMX][i] - ns[BARE][i];
	}
	for (int k = 0; k < NUM_WHO; k++)
		middle[k] = quantile(ns[k], pairs, 0.5);
	double more = quantile(adds, pairs, 0.5), low = quantile(adds, pairs, 0.25), high = quantile(adds, pairs, 0.75);

	if (json)
		printf("{\"case\":\"%s\",\"ours\":%.3g,\"baseline\":%.3g,\"kernel\":%.3g,\"unit\":\"ns\",\"adds\":%.3g,\"low\":%.3g,\"high\":%.3g,\"better\":\"lower\"}\n",
		       c->name, middle[NMX], middle[BARE], middle[KERNEL], more, low, high);
	else
		printf("%-9s %7.2f %7.2f %7.2f %7.2f  [%.2f-%.2f]\n", c->name, middle[NMX], middle[BARE], middle[KERNEL], more, low, high);
	fflush(stdout);
}

/* ---- the whole */

static const struct alone_case *case_named(const char *name)
{
	for (int i = 0; i < NUM_CASES; i++)
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	return NULL;
}

/* For somebody who counts the instructions of a turn: makes some, and says how many packets they have moved. */
static void count(const struct alone_case *c, enum who who)
{
	who == NMX ? open_nmx(c->job) : open_bare(c->job);
	make_turns(c, who, COUNTED_TURNS);
	check_count(c, COUNTED_TURNS);
	if (who == NMX)
		close_nmx();
	printf("packets %d\n", COUNTED_TURNS * BATCH);
}

static int usage(void)
{
	fprintf(stderr, "usage: nmx-bench-sync [--quick] [--json] [CASE...]\n       nmx-bench-sync --count CASE nmx|xsk\ncases:");
	for (int i = 0; i < NUM_CASES; i++)
		fprintf(stderr, " %s", cases[i].name);
	fputc('\n', stderr);
	return 2;
}

int main(int argc, char **argv)
{
	bool quick = false, json = false, counting = false;

	for (argv++; argc > 1 && *argv && **argv == '-'; argv++)
		if (strcmp(*argv, "--quick") == 0)
			quick = true;
		else if (strcmp(*argv, "--json") == 0)
			json = true;
		else if (strcmp(*argv, "--count") == 0)
			counting = true;
		else
			return usage();
	for (char **name = argv; *name && !counting; name++)
		if (!case_named(*name))
			return usage();
	if (counting && (!argv[0] || !argv[1] || !case_named(argv[0])))
		return usage();
	if (geteuid() != 0)
		die("root is needed", "it makes namespaces and interfaces of its own; run it with sudo");
	make_lab(2);
	directory = temporary_directory();
	if (counting) {
		count(case_named(argv[0]), strcmp(argv[1], "nmx") == 0 ? NMX : BARE);
		return 0;
	}
	if (!json)
		printf("%-9s %7s %7s %7s %7s  %s\n", "ns/packet", "nmx", "bare", "kernel", "adds", "[quartiles]");
	for (int i = 0; i < NUM_CASES; i++)
		if (named_in(cases[i].name, argv))
			measure(&cases[i], quick, json);
	return 0;
}
