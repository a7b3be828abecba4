/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the parts of nmx-bench-xdp share.
 *
 *   near namespace                             far namespace
 *   contender, second processor   c0 ==veth== g0   generator and drain, first processor: always the same bare loop
 *                                 c1 ==veth== g1
 *
 *   receive and drop   g0 -> c0             counted by the contender
 *   the same, fed                           with frames as a driver hands them over, made in the kernel (xdp_feed.c)
 *   transmit           c0 -> g0             counted at the drain
 *   forward            g0 -> c0, c1 -> g1   counted at the drain
 */
#ifndef NMX_BENCH_XDP_H
#define NMX_BENCH_XDP_H

#include <linux/if_xdp.h>
#include <stddef.h>

#include "bench.h"
#include "pairs.h"

/* ---- the run (xdp_main.c) */

enum job { RX_DROP, RX_FED, TX, FORWARD };
static inline bool only_receives(enum job job) { return job == RX_DROP || job == RX_FED; }

struct xdp_plan {
	enum job job;
	uint32_t len;          /* bytes of a frame, without its check sequence */
	uint32_t batch, slots; /* a power of two each */
	double seconds;        /* that are measured, after a quarter of it to warm up */
	const char *directory; /* for nmx: its namespace directory */
};

/* Between the processes of one run.  Each counter has its own lines: the parent reads them twice, its owner writes them
 * once a batch. */
struct xdp_meeting {
	_Atomic uint32_t ready; /* how many of contender and far side are running */
	_Atomic uint32_t stop;
	_Atomic uint32_t asked, answered; /* for a contender that has to be asked: `count` is of the time `count_at` */
	_Atomic uint64_t count_at;
	uint8_t pad0[104];
	_Atomic uint64_t count; /* packets that the contender has received */
	uint8_t pad1[120];
	_Atomic uint64_t arrived; /* packets that the drain has received */
	_Atomic uint64_t checksum;
};

static inline bool stopped(struct xdp_meeting *m) { return atomic_load_explicit(&m->stop, memory_order_relaxed); }
static inline void publish(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

struct xdp_contender {
	struct contender is;
	void (*run)(const struct xdp_plan *plan, struct xdp_meeting *m); /* on c0 and c1, until it is stopped */
	bool has_to_be_asked;
};

extern const struct xdp_contender xsk_contender, nmx_contender, sums_contender, packet_contender, dpdk_contender;

/* The feeder of RX_FED: sends to an interface as fast as the kernel can make frames, until the signal FEED_END. */
#define FEED_END SIGUSR1
void feed(const struct xdp_plan *plan, struct xdp_meeting *m, const char *interface);
void far_side(const struct xdp_plan *plan, struct xdp_meeting *m);

/* xdp_frame.c */
void write_frame(uint8_t *data, uint32_t len);

/* ---- namespaces and interfaces (xdp_net.c) */

/* Makes the two namespaces and pairs c0 and g0, c1 and g1, ... between them, and leaves the calling process in the near one.
 * They live as long as the process: nothing has to be removed.  Returns a descriptor of the far namespace. */
int make_lab(int pairs);
void enter_namespace(int netns);
/* Joins the far ends by a bridge of the kernel's. */
void bridge_far_ends(int far, int pairs);
/* Takes away an XDP program that a contender has left on c0 or c1. */
void clean_lab(void);
unsigned ifindex_of(const char *name);
/* Receives in NAPI, as a NIC does, also while no XDP program is there. */
void switch_gro_on(const char *name);

/* ---- AF_XDP by system calls (xdp_socket.c) */

enum { CHUNK = 2048 };

union bpf_attr;
struct bpf_insn;
int bpf(int command, union bpf_attr *attr);
int load_xdp_program(const struct bpf_insn *code, uint32_t instructions);

struct xsk_ring {
	_Atomic uint32_t *producer, *consumer;
	void *entries; /* struct xdp_desc in rx and tx, uint64_t in fill and comp */
	uint32_t mask;
};

struct xsk {
	int fd, link, map;
	struct xsk_ring rx, tx, fill, comp;
	uint8_t *umem;
};

enum { XSK_RX = 1, XSK_TX = 2 };
/* A socket on queue 0 of an interface, copy mode, rings of `slots` entries each, with memory of its own of 2 * slots
 * chunks, or, when other is not NULL, that of other.  XSK_RX: with the program that leads packets to it, and chunks
 * [0, slots) in the fill ring. */
void xsk_open(struct xsk *x, const char *interface, int directions, uint32_t slots, const struct xsk *other);
/* Sends what is in the tx ring, as much as the kernel does at a time. */
void xsk_kick(const struct xsk *x);

static inline struct xdp_desc *xsk_desc(const struct xsk_ring *ring, uint32_t at)
{
	return &((struct xdp_desc *)ring->entries)[at & ring->mask];
}

static inline uint64_t *xsk_addr(const struct xsk_ring *ring, uint32_t at)
{
	return &((uint64_t *)ring->entries)[at & ring->mask];
}

#endif
