/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The rings and spare buffers of one port, in an extent of this process's own file: made whole, with a buffer in each
 * place, and given back whole.  Pipes (NMX__EXTENT_PORT) and interfaces (NMX__EXTENT_DEVICE) alike.
 */
#ifndef NMX_SHM_EXTENT_H
#define NMX_SHM_EXTENT_H

#include "shm/device.h"

struct nmx__ring_plan {
	uint32_t slots;
	uint32_t queue;      /* PORT: its number among those of the record */
	bool ordered;        /* PORT: slots of a sync in flight are listed (struct nmx__own_ring) */
	uint32_t held_bufs; /* DEVICE: that the kernel may come to hold: those below it; at most seg->num_bufs */
};

struct nmx__extent_plan {
	enum nmx__extent_kind kind; /* PORT or DEVICE */
	uint32_t num_tx, num_rx;    /* at most NMX__MAX_RINGS of each; transmit rings first */
	struct nmx__ring_plan ring[2 * NMX__MAX_RINGS];
	uint32_t num_held;          /* places for buffers outside of rings */
	uint32_t attach_gen;        /* from nmx__seg_next_gen() */
	const struct nmx__record *record; /* PORT */
	uint32_t end;                     /* PORT: of the record */
};

struct nmx__extent {
	struct nmx__segment *seg;
	struct nmx__own_extent *own; /* NULL: none */
	uint32_t slot;               /* of the own file's list */
};

/* Makes it: rings initialised, a buffer in each slot of each ring and in each place of the held table.  Under the segment
 * lock, after nmx__recover_dead() in that lock.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__extent_build(struct nmx__extent *extent, struct nmx__segment *seg, const struct nmx__extent_plan *plan,
                                     struct nmx_report *why);
/* Gives everything back, what is marked as the kernel's too: the caller has made sure that it has let go (the rings
 * unmapped, the sockets closed, and for a device that writes by itself, its queue seen to be free).  Free first, then
 * forgotten; a PORT's counters go to the totals of its end, if it has that.  Under the segment lock. */
void nmx__extent_release(struct nmx__extent *extent);
/* When the lock was not to be had: unmaps it, and leaves that to whoever of this process has the lock next.  The kernel
 * has let go, as above. */
void nmx__extent_release_later(struct nmx__extent *extent);

static inline struct nmx__own_ring *nmx__extent_ring(const struct nmx__extent *extent, uint32_t i)
{
	return (struct nmx__own_ring *)((uint8_t *)extent->own + extent->own->ring_ofs[i]);
}
/* Place i outside of rings: holds a buffer, or 0. */
static inline uint32_t *nmx__extent_held(const struct nmx__extent *extent, uint32_t i)
{
	return (uint32_t *)((uint8_t *)extent->own + extent->own->held_ofs) + i;
}
/* One more than the highest buffer in any of its places. */
uint32_t nmx__extent_bufs_end(const struct nmx__extent *extent);

/* Adds the counters of the rings that `owner` (as in the record's end) has of a record; a read of its file. */
void nmx__extent_counters_of(const struct nmx__segment *seg, uint32_t record, nmx__end_t owner, uint64_t sum[NMX__NUM_COUNTERS]);
/* Adds the counters of its rings up. */
void nmx__extent_counters(const struct nmx__extent *extent, uint64_t sum[NMX__NUM_COUNTERS]);

#endif
