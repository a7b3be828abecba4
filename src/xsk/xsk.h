/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * AF_XDP sockets of one interface, and the four rings that the kernel shares with us.
 *
 * The buffers of a segment are the UMEM.  Receiving and transmitting on a queue are two sockets, so that the threads that
 * do them meet neither in the library nor in the kernel: polling a socket that transmits drives its transmission, too.
 * Both share the queue's fill ring (used by the receiver alone) and completion ring (used by the sender alone).
 *
 * A received packet lies at the beginning of its buffer in both of the kernel's ways to cut a UMEM into chunks: see
 * NMX__BUF_OFFSET.
 */
#ifndef NMX_XSK_XSK_H
#define NMX_XSK_XSK_H

#include <linux/if_xdp.h>
#include <stdatomic.h>

#include <nmx/nmx.h>

#ifndef XDP_USE_SG /* Linux 6.6 */
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

/* A ring of the kernel's.  Indices run freely; the size is a power of two.  Whoever produces owns `producer`, whoever
 * consumes `consumer`; ours is kept here and never read back. */
struct nmx__xring {
	_Atomic uint32_t *producer, *consumer;
	_Atomic uint32_t *flags; /* XDP_RING_NEED_WAKEUP */
	void *entries;           /* struct xdp_desc (rx, tx) or uint64_t (fill, done) */
	uint32_t mask;
	uint32_t own;            /* our index */
	void *map;
	size_t map_bytes;
};

#define NMX__XSK_WANTED (-2) /* no descriptor: what is closed before it was opened must not close somebody's */

struct nmx__xsk_queue {
	uint32_t queue;
	int rx_fd, tx_fd;           /* -1: not that way; before the open, NMX__XSK_WANTED */
	struct nmx__xring rx, fill; /* the receiver's */
	struct nmx__xring tx, done; /* the sender's */
	int claim;                  /* says to others who has the queue; -1 */
	bool shows_progress;        /* each time that the kernel is called to send, tx.consumer says how far it came */
};

struct nmx__xsk_device {
	int ifindex;
	const char *name;
	bool zero_copy;
	bool chains;       /* packets of several buffers, both ways: the plan asked for it, and the kernel can */
	uint32_t max_len;  /* bytes of a buffer that the kernel uses */
	uint64_t rx_offset; /* what the address of a received packet has over that which was put into the fill ring */
	uint32_t num_queues;
	struct nmx__xsk_queue *queues; /* [num_queues] */
};

struct nmx__xsk_plan {
	uint8_t *area;         /* what is registered: page aligned; NMX__BUF_OFFSET before the first buffer */
	size_t area_bytes;
	uint32_t buf_stride;
	uint32_t rx_entries, tx_entries; /* of the rings, at least */
	bool may_zero_copy;    /* try it */
	bool must_zero_copy;
	bool chains;
	bool busy_poll;
	const int *sockets;    /* made elsewhere, in another network namespace: [2 * num_queues], receivers first; or NULL */
};

/* Whether the kernel gives sockets packets of several buffers (Linux 6.6); also true when that cannot be asked, for then
 * opening says why.  No interface is touched. */
bool nmx__xsk_takes_chains(void);

/* Makes and binds the sockets.  The caller has set device->ifindex, ->name and, for each of num_queues queues,
 * queues[i].queue and whether rx_fd, tx_fd are wanted (NMX__XSK_WANTED) or not (-1).  Fills in the rest.
 * Errors: NMX_ERR_BUSY (with who has the queue), NMX_ERR_PERMISSION, NMX_ERR_NO_MEMORY (with the limit that stands in the
 * way), NMX_ERR_NO_SUCH (gone since), NMX_ERR_UNSUPPORTED_PLATFORM, NMX_ERR_BIND_FAIL. */
NMX_MUST_CHECK int nmx__xsk_open(struct nmx__xsk_device *device, const struct nmx__xsk_plan *plan, struct nmx_report *why);
/* When it returns the kernel writes into no buffer any more. */
void nmx__xsk_close(struct nmx__xsk_device *device);

/* XDP_STATISTICS of a socket, added up. */
struct nmx__xsk_stats {
	uint64_t no_buffer, ring_full, too_long_or_other, invalid_rx, invalid_tx;
};
void nmx__xsk_stats(int fd, struct nmx__xsk_stats *sum);

/* ---- on the path of packets */

/* Entries that the kernel has produced and we have not consumed. */
static inline uint32_t nmx__xring_ready(const struct nmx__xring *ring)
{
	return atomic_load_explicit(ring->producer, memory_order_acquire) - ring->own;
}

/* Entries of a ring that we produce which the kernel has not taken yet. */
static inline uint32_t nmx__xring_pending(const struct nmx__xring *ring)
{
	return ring->own - atomic_load_explicit(ring->consumer, memory_order_acquire);
}

/* The same by those that were published, for anybody who does not produce. */
static inline uint32_t nmx__xring_unsent(const struct nmx__xring *ring)
{
	uint32_t consumed = atomic_load_explicit(ring->consumer, memory_order_acquire);

	return atomic_load_explicit(ring->producer, memory_order_relaxed) - consumed;
}

static inline struct xdp_desc *nmx__xring_desc(const struct nmx__xring *ring, uint32_t index)
{
	return (struct xdp_desc *)ring->entries + (index & ring->mask);
}

static inline uint64_t *nmx__xring_addr(const struct nmx__xring *ring, uint32_t index)
{
	return (uint64_t *)ring->entries + (index & ring->mask);
}

static inline void nmx__xring_produce(struct nmx__xring *ring)
{
	atomic_store_explicit(ring->producer, ring->own, memory_order_release);
}

static inline void nmx__xring_consume(struct nmx__xring *ring)
{
	atomic_store_explicit(ring->consumer, ring->own, memory_order_release);
}

static inline bool nmx__xring_wants_kick(const struct nmx__xring *ring)
{
	return atomic_load_explicit(ring->flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
}

#endif
