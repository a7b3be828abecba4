/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdlib.h>

#include "base/poison.h"
#include "base/report.h"
#include "shm/extent.h"

static uint32_t rings_of(const struct nmx__extent_plan *plan) { return plan->num_tx + plan->num_rx; }

static size_t ring_bytes(const struct nmx__extent_plan *plan, uint32_t i)
{
	const struct nmx__ring_plan *ring = &plan->ring[i];

	if (plan->kind == NMX__EXTENT_DEVICE)
		return nmx__dring_bytes(ring->slots, ring->held_bufs);
	return nmx__qring_bytes(ring->slots) + (ring->ordered ? nmx__order_bytes(ring->slots) : 0);
}

static size_t rings_at(void) { return nmx__round_up(sizeof(struct nmx__own_extent), 128); }

static size_t held_at(const struct nmx__extent_plan *plan)
{
	size_t at = rings_at();

	for (uint32_t i = 0; i < rings_of(plan); i++)
		at += ring_bytes(plan, i);
	return at;
}

static uint64_t num_places(const struct nmx__extent_plan *plan)
{
	uint64_t n = plan->num_held;

	for (uint32_t i = 0; i < rings_of(plan); i++)
		n += plan->ring[i].slots;
	return n;
}

/* The i-th place for a buffer in the extent: rings first, spares last. */
static uint32_t *place(void *arg, uint32_t i)
{
	const struct nmx__extent *extent = arg;

	for (uint32_t ring = 0; ring < extent->own->num_rings; ring++) {
		struct nmx__own_ring *own = nmx__extent_ring(extent, ring);

		if (i < own->num_slots)
			return &nmx__own_netmap_ring(own)->slot[i].buf_idx;
		i -= own->num_slots;
	}
	return nmx__extent_held(extent, i);
}

/* All of it but `kind`, which makes it count. */
static void lay_out(struct nmx__extent *extent, const struct nmx__extent_plan *plan)
{
	struct nmx__own_extent *own = extent->own;
	size_t at = rings_at();

	if (plan->record) {
		own->record = nmx__record_index(extent->seg, plan->record);
		own->record_gen = atomic_load(&plan->record->live);
		own->end = plan->end;
	}
	own->attach_gen = plan->attach_gen;
	own->num_tx = plan->num_tx;
	own->num_rings = rings_of(plan);
	own->num_held = plan->num_held;
	own->held_ofs = (uint32_t)held_at(plan);
	for (uint32_t i = 0; i < own->num_rings; i++) {
		const struct nmx__ring_plan *ring = &plan->ring[i];

		own->ring_ofs[i] = (uint32_t)at;
		at += ring_bytes(plan, i);
		if (plan->kind == NMX__EXTENT_DEVICE)
			nmx__dring_init(extent->seg, nmx__extent_ring(extent, i), ring->slots, i < plan->num_tx, ring->held_bufs);
		else
			nmx__qring_init(nmx__extent_ring(extent, i), ring->slots, i < plan->num_tx);
		if (ring->ordered)
			nmx__extent_ring(extent, i)->order_ofs = (uint32_t)nmx__qring_bytes(ring->slots);
		nmx__extent_ring(extent, i)->queue = ring->queue;
	}
}

int nmx__extent_build(struct nmx__extent *extent, struct nmx__segment *seg, const struct nmx__extent_plan *plan,
                      struct nmx_report *why)
{
	uint64_t buffers = num_places(plan);
	int err;

	*extent = (struct nmx__extent){ .seg = seg };
	if (buffers > seg->num_bufs)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
		                 "%llu buffers are needed, and the segment \"%s/%s\" has %u in all; ask for fewer slots, or make it larger when "
		                 "it is next made (segment_bufs), or use another (@segment=)",
		                 (unsigned long long)buffers, seg->dir.path, seg->name, seg->num_bufs - NMX__FIRST_BUF);
	err = nmx__extent_make(seg, held_at(plan) + plan->num_held * sizeof(uint32_t), &extent->own, &extent->slot, why);
	if (err < 0)
		return err;
	lay_out(extent, plan);
	atomic_thread_fence(memory_order_seq_cst);
	extent->own->kind = plan->kind; /* from here on it counts */
	err = nmx__bufs_claim(seg, (uint32_t)buffers, place, extent, why);
	if (err < 0) {
		nmx__extent_free(seg, extent->own, extent->slot);
		extent->own = NULL;
	}
	return err;
}

uint32_t nmx__extent_bufs_end(const struct nmx__extent *extent)
{
	struct nmx__extent copy = *extent;
	uint32_t n = extent->own->num_held, end = 0;

	for (uint32_t i = 0; i < extent->own->num_rings; i++)
		n += nmx__extent_ring(extent, i)->num_slots;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = *place(&copy, i);

		end = index && index >= end ? index + 1 : end;
	}
	return end;
}

void nmx__extent_counters(const struct nmx__extent *extent, uint64_t sum[NMX__NUM_COUNTERS])
{
	for (uint32_t ring = 0; ring < extent->own->num_rings; ring++)
		for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
			sum[i] += atomic_load_explicit(&nmx__extent_ring(extent, ring)->counters.at[i], memory_order_relaxed);
}

/* ---- giving back */

static void poison_set(const struct nmx__segment *seg, const uint64_t *set)
{
	for (uint32_t i = 0; set && nmx__poisoning() && i < seg->num_bufs; i++)
		if (set[i / 64] >> i % 64 & 1)
			nmx__poison(nmx__seg_buf(seg, i), seg->buf_stride);
}

/* Before the first buffer is free.  Were we to die with some of them free and others not, those would go to quarantine
 * with our file, and at its end the file would free all that it marks: also what somebody has claimed meanwhile. */
static void note_closed(struct nmx__own_extent *own)
{
	if (own->kind == NMX__EXTENT_DEVICE)
		*(volatile uint32_t *)&own->kind = NMX__EXTENT_CLOSED;
	nmx__order_for_death();
}

void nmx__extent_release(struct nmx__extent *extent)
{
	struct nmx__segment *seg = extent->seg;
	uint64_t counters[NMX__NUM_COUNTERS] = { 0 }, *set = nmx__bufs_set(seg);
	size_t bytes = (size_t)(uint32_t)atomic_load(&seg->own->extent[extent->slot]) * NMX__PAGE;

	note_closed(extent->own);
	nmx__extent_collect(seg, (const uint8_t *)extent->own, bytes, set, set, counters);
	poison_set(seg, set);
	nmx__extent_credit(seg, seg->member, extent->own, counters);
	nmx__bufs_free_set(seg, set);
	nmx__extent_free(seg, extent->own, extent->slot);
	extent->own = NULL;
	free(set);
}

void nmx__extent_release_later(struct nmx__extent *extent)
{
	note_closed(extent->own);
	nmx__extent_abandon(extent->seg, extent->own, extent->slot, extent->own->attach_gen);
	extent->own = NULL;
}
