/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the halves of the AF_XDP backend share: xdp.c opens and closes, xdp_rx.c and xdp_tx.c move packets, xdp_wait.c
 * waits and watches the interface. */
#ifndef NMX_BACKEND_XDP_H
#define NMX_BACKEND_XDP_H

#include "base/poison.h"
#include "core/port.h"
#include "shm/extent.h"
#include "xsk/divert.h"
#include "xsk/driver.h"
#include "xsk/netlink.h"
#include "xsk/xsk.h"

#define XDP_SHIFT     11 /* buffers are NMX__BUF_LEN bytes */
#define XDP_MIN_LEN   14 /* the kernel sends nothing shorter than an Ethernet header */
#define XDP_LEAST_BUDGET 32 /* packets that the kernel sends when it is called, unless told otherwise */
#define XDP_MAX_FRAGS 17 /* of a packet that the kernel sends: MAX_SKB_FRAGS */

struct xdp_source { /* a queue that a receive ring has packets from */
	struct nmx__xsk_queue *queue;
	uint32_t outstanding; /* buffers of ours that are in its fill ring, or full and not yet fetched */
};

struct xdp_ring {
	struct nmx__ring ring;
	struct nmx__own_ring *own;   /* in the own file, like the next three */
	struct netmap_ring *nring;
	uint8_t *held;               /* [device_bufs], by buffer: not 0, the kernel has it and nobody else may touch it */
	uint32_t *spare;             /* [max_spare], of which num_spare hold a buffer: receive, those that the device does not know;
	                              * transmit, those that it does */
	uint32_t num_spare, max_spare;
	uint8_t *bufs;
	uint32_t device_bufs;        /* buffers below it are registered with the device */
	uint32_t num_bufs;
	uint32_t num_slots, max_len, max_frags;
	bool chains;                 /* show, or send, packets of several slots */
	bool repair;                 /* receive: packets may come without their checksum */
	bool zero_copy, busy_poll;
	uint64_t rx_offset;          /* from a chunk's address to that of the packet in it, as descriptors say it */
	uint32_t hwcur;              /* transmit: first slot not handed over; receive: first slot not given back */
	uint32_t tail;               /* as we wrote it */
	uint32_t done;               /* transmit: first slot that waits for a buffer to come back */
	uint32_t num_sources, next_source, fill_target;
	uint32_t first_source;       /* that the next sync takes packets from first */
	struct xdp_source *sources;  /* receive */
	struct nmx__xsk_queue *queue; /* transmit */
	struct xdp_ring *next_sender;
	_Atomic uint64_t refused;    /* packets that the kernel did not take when others went on with them */
	/* the interface */
	int ifindex;                 /* that people name: of host rings, the one they belong to */
	int nl;                      /* tells of its changes; -1 */
	bool gone, down, down_told;
	int64_t looked_at_link_ms;
	int gate;                    /* receive from several queues: an epoll descriptor for all; -1 */
	int timer;                   /* nothing tells of completions, so a sleep for them is short; -1 */
	bool timer_armed;
};

/* ---- a port and its legs (xdp_legs.c) */

struct xdp_leg {
	struct nmx__xsk_device device;
	bool diverted;             /* the far end of a pair, rather than the interface itself */
	struct nmx__divert divert;
	int map, prog, link;       /* XDP; -1: none, or attached for as long as the far end lives */
};

struct xdp_port {
	struct nmx__segment *seg;
	struct nmx__extent extent;
	int nl;
	struct nmx__link interface; /* as it was when the port was opened: its counters are what ours start from */
	struct nmx__driver driver;
	bool native;                /* the driver takes XDP programs */
	bool chains;                /* packets of several buffers, where the kernel can */
	int native_errno;           /* why not */
	uint32_t first_queue, rx_queues, tx_queues; /* of the interface, that are taken */
	uint32_t rx_rings, tx_rings, host_rx_rings, host_tx_rings, rx_slots, tx_slots;
	uint32_t host_queues;       /* of the host pair, that the host's packets come in on: all that there are, or 0 */
	uint32_t device_bufs;
	struct xdp_leg nic, wire, host;
	int membership;             /* a packet socket that keeps the interface promiscuous; -1 */
};

/* Attaches to the interface, without a socket: so far every packet goes on to the host.  Sets native. */
NMX_MUST_CHECK int nmx__xdp_attach(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why);
/* Makes the sockets of all legs, over buffers [0, device_bufs). */
NMX_MUST_CHECK int nmx__xdp_open_legs(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why);
/* From here on packets come: the fill rings are full. */
NMX_MUST_CHECK int nmx__xdp_start_legs(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why);
/* Closes the sockets again. */
void nmx__xdp_shut_legs(struct xdp_port *x);
/* Undoes all of it, or as much as there is. */
void nmx__xdp_close_legs(struct xdp_port *x);

static inline uint32_t xdp_spares_of_tx(uint32_t slots) { return slots / 4 < 16 ? 16 : slots / 4 < 256 ? slots / 4 : 256; }

static inline struct xdp_ring *xdp_ring(struct nmx__ring *ring) { return (struct xdp_ring *)ring; }


/* A buffer that the device knows. */
static inline bool xdp_is_registered(const struct xdp_ring *r, uint32_t index)
{
	return index - NMX__FIRST_BUF < r->device_bufs - NMX__FIRST_BUF;
}
static inline bool xdp_is_valid(const struct xdp_ring *r, uint32_t index) { return index - NMX__FIRST_BUF < r->num_bufs - NMX__FIRST_BUF; }

static inline uint8_t *xdp_data(const struct xdp_ring *r, uint32_t index) { return r->bufs + ((size_t)index << XDP_SHIFT); }

static inline void xdp_poison_buf(const struct xdp_ring *r, uint32_t index, bool poison)
{
	if (__builtin_expect(nmx__poisoning(), 0))
		(poison ? nmx__poison : nmx__unpoison)(xdp_data(r, index), NMX__BUF_LEN);
}

/* Of slots, as many as `count`; what is in them may be nonsense. */
static inline void xdp_poison_slots(const struct xdp_ring *r, uint32_t at, uint32_t count, bool poison)
{
	if (nmx__poisoning())
		for (; count > 0; count--, at = nmx__next(at, r->num_slots))
			if (xdp_is_valid(r, r->nring->slot[at].buf_idx))
				xdp_poison_buf(r, r->nring->slot[at].buf_idx, poison);
}

/* head and cur are the user's to write: a ring whose cursors left [hwcur, tail] is reset, as by netmap. */
static inline bool xdp_cursors_valid(const struct xdp_ring *r)
{
	uint32_t n = r->num_slots, head = r->nring->head, cur = r->nring->cur, owned = nmx__distance(r->hwcur, r->tail, n);

	return head < n && cur < n && nmx__distance(r->hwcur, cur, n) <= owned &&
	       nmx__distance(r->hwcur, head, n) <= nmx__distance(r->hwcur, cur, n);
}
int nmx__xdp_reset(struct xdp_ring *r);

/* Hands the buffers of an rx ring's slots and spares to the kernel: once, before the first sync. */
void nmx__xdp_fill(struct xdp_ring *r);
/* A receive ring's turn: gives back, brings in.  Returns what waits, or an error. */
int nmx__xdp_receive(struct xdp_ring *r);
/* A transmit ring's turn: hands over, has the kernel send, takes completed buffers back.  Returns the room. */
int nmx__xdp_send(struct xdp_ring *r);
/* Without handing over anything new. */
int nmx__xdp_push_on(struct xdp_ring *r);
/* Whether nmx__xdp_send() would hand something over: packets that have to be copied wait for buffers. */
bool nmx__xdp_can_hand_over(const struct xdp_ring *r);

/* What happened to the interface and was not told yet: NMX_ERR_GONE, NMX_ERR_LINK_DOWN, or 0. */
int nmx__xdp_link_news(struct xdp_ring *r);
/* Now, or, with at_leisure, when the last look was some time ago. */
void nmx__xdp_look_at_link(struct xdp_ring *r, bool at_leisure);

/* Transmit rings that send by being called are listed as long as they are there, for nmx__xdp_go_on(). */
void nmx__xdp_list_sender(struct xdp_ring *r);
void nmx__xdp_unlist_sender(struct xdp_ring *r);
int nmx__xdp_go_on(void);

int nmx__xdp_sync(struct nmx__ring *ring);
int nmx__xdp_arm(struct nmx__ring *ring, uint32_t slots);
void nmx__xdp_disarm(struct nmx__ring *ring);
int nmx__xdp_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS]);
void nmx__xdp_release(struct nmx__ring *ring);

#endif
