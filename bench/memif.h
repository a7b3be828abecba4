/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The server's side of memif 2.0, a protocol for packets through shared memory: all memory is the client's, who passes it
 * on over a socket, and the server sleeps never.
 *
 *   to the client     [tail, head) are free buffers: the server fills some, and moves tail
 *   from the client   [tail, head) are packets: the server gives them back by moving tail
 */
#ifndef NMX_BENCH_MEMIF_H
#define NMX_BENCH_MEMIF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMIF_REGIONS = 8 };

struct memif_desc {
	uint16_t flags, region;
	uint32_t len, offset, metadata;
};

/* As it lies in memory. */
struct memif_ring {
	uint32_t cookie;
	uint16_t flags;
	_Atomic uint16_t head; /* the client's */
	uint8_t pad0[56];
	_Atomic uint16_t tail; /* the server's */
	uint8_t pad1[62];
	struct memif_desc desc[];
};
_Static_assert(offsetof(struct memif_ring, head) == 6 && offsetof(struct memif_ring, tail) == 64 &&
                   offsetof(struct memif_ring, desc) == 128 && sizeof(struct memif_desc) == 16,
               "as memif 2.0 has it");

struct memif {
	int fd;
	uint8_t *region[MEMIF_REGIONS];
	uint32_t mask;
	struct memif_ring *to_client, *from_client;
};

/* A socket at this path that a client can come to. */
int memif_listen(const char *path);
/* Waits for a client, and takes what it passes on: it may not use it yet. */
void memif_accept(struct memif *m, int listening);
/* From now on it may. */
void memif_let_go(struct memif *m);
/* Waits until the client has gone: one that is forwarding crashes when its server goes first. */
void memif_outlive(struct memif *m);

static inline uint32_t memif_pending(const struct memif_ring *r)
{
	return (uint16_t)(atomic_load_explicit(&r->head, memory_order_acquire) -
	                  atomic_load_explicit(&r->tail, memory_order_relaxed));
}

/* Of those that are pending, the i-th. */
static inline struct memif_desc *memif_at(const struct memif *m, struct memif_ring *r, uint32_t i)
{
	return &r->desc[(atomic_load_explicit(&r->tail, memory_order_relaxed) + i) & m->mask];
}

static inline uint8_t *memif_data(const struct memif *m, const struct memif_desc *d)
{
	return m->region[d->region] + d->offset;
}

static inline void memif_advance(struct memif_ring *r, uint32_t n)
{
	atomic_store_explicit(&r->tail, (uint16_t)(atomic_load_explicit(&r->tail, memory_order_relaxed) + n),
	                      memory_order_release);
}

#endif
