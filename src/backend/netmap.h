/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of the netmap backend share: netmap.c says what is asked for and opens, netmap_fds.c binds descriptors,
 * netmap_ring.c syncs and waits, netmap_switch.c and netmap_inspect.c ask. */
#ifndef NMX_BACKEND_NETMAP_H
#define NMX_BACKEND_NETMAP_H

#include "base/poison.h"
#include "core/port.h"
#include "netmap/device.h"

/* The ring is the kernel's and is shared with it; this is what we remember of it. */
struct nm_ring {
	struct nmx__ring ring;
	struct netmap_ring *nring;
	uint8_t *bufs; /* data of buffer 0: behind the offset */
	uint32_t num_slots, num_bufs, buf_size, max_len;
	uint32_t number; /* netmap's, among the rings of the NIC or of the host */
	bool is_host;
	bool chains;     /* they are shown */
	bool skipping;   /* the rest of a chain that is not */
	int fd;          /* that it is synced by; -1: not checked out */
	uint32_t given;  /* head as of the last sync */
	uint32_t tail;   /* as of the last sync; the kernel may have moved the ring's in a poll */
	uint32_t transit;
	uint64_t offset_mask, offset;
	int told;        /* an error that the next sync says: arming found it, or the ring is beyond use */
	struct nmx_stats stats; /* its user alone writes, anybody reads: atomic */
};

/* A mapping that outlives its port. */
struct nm_mapping {
	struct nmx__nm_region region;
	struct nm_mapping *next;
};

struct nm_port {
	int fd;          /* binds the port and maps the region; synced only when `single` */
	bool single;     /* the rings have no descriptors of their own: then one thread may have them */
	bool exclusive;
	uint32_t users;  /* rings that are checked out */
	pthread_t user;  /* by whom, if single */
	struct nmx__nm_register bound; /* as netmap answered */
	struct nmx__nm_region region;
	struct nmx__nm_view view;
	void *extmem;    /* the file of @extmem, mapped: then it is the region */
	size_t extmem_bytes;
	uint64_t offset;
	uint32_t region_id; /* one for all ports of this memory and offset */
	bool took_extra; /* buffers of netmap's list, which go back to it */
	atomic_bool shows_early; /* its buffers are not poisoned */
	bool lends;         /* extra buffers: what they are exchanged for may lie in the mapping of any port of this memory */
	struct nm_mapping *own, *inherited;
	struct nm_port *next;
};

static inline struct nm_ring *nm_ring(struct nmx__ring *ring) { return (struct nm_ring *)ring; }
static inline struct nm_port *nm_of(const struct nmx__ring *ring) { return ring->port->state; }

static inline bool nm_valid_index(const struct nm_ring *r, uint32_t index)
{
	return index - NMX__NM_FIRST_BUF < r->num_bufs - NMX__NM_FIRST_BUF;
}

static inline void nm_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* netmap_fds.c.  Binds the port's descriptor (or, exclusively, one for each ring), maps the region, adds the rings.  What a
 * failed bind has made, unbind undoes. */
int nmx__nm_bind(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why);
void nmx__nm_unbind(struct nmx_port *port, struct nm_port *nm);
int nmx__nm_check_out(struct nmx__ring *ring);
void nmx__nm_release(struct nmx__ring *ring);

/* netmap_ring.c.  Looks at the ring anew: another user may have had it.  0, or NMX_ERR_CORRUPT. */
int nmx__nm_ring_start(struct nm_ring *r);
int nmx__nm_sync(struct nmx__ring *ring);
int nmx__nm_arm(struct nmx__ring *ring, uint32_t slots);
void nmx__nm_disarm(struct nmx__ring *ring);
int nmx__nm_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS]);

/* netmap_inspect.c */
int nmx__nm_probe(struct nmx_report *why);
int nmx__nm_explain(const struct nmx_port *port, struct nmx_report *why);

extern const struct nmx__switch_ops nmx__nm_switches;

#endif
