/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "shm/device.h"

static size_t held_offset(void) { return nmx__round_up(sizeof(struct nmx__own_ring), 128); }
static size_t ring_offset(uint32_t held_bufs) { return held_offset() + nmx__round_up(held_bufs, 128); }

size_t nmx__dring_bytes(uint32_t slots, uint32_t held_bufs)
{
	return ring_offset(held_bufs) + nmx__round_up(sizeof(struct netmap_ring) + slots * sizeof(struct netmap_slot), 128);
}

void nmx__dring_init(const struct nmx__segment *seg, struct nmx__own_ring *own, uint32_t slots, bool is_tx, uint32_t held_bufs)
{
	struct netmap_ring *ring;

	own->num_slots = slots;
	own->is_tx = is_tx;
	own->held_ofs = (uint32_t)held_offset();
	own->held_bufs = held_bufs;
	own->ring_ofs = (uint32_t)ring_offset(held_bufs);
	ring = nmx__own_netmap_ring(own);
	ring->num_slots = slots;
	ring->nr_buf_size = seg->buf_stride;
	ring->buf_ofs = seg->bufs - (uint8_t *)ring;
	ring->dir = is_tx; /* as the kernel does, not as its header says */
	ring->head = ring->cur = ring->tail = 0;
}
