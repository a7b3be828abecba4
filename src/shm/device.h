/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A ring of this process whose buffers go into and come out of a queue of the kernel: what a recovery has to know of it.
 *
 * A buffer that the kernel may write into or still reads is marked in the ring's `held` table, and a slot may hold none
 * (0).  The order, in docs/segment-protocol.md, is that of an exchange, put before take:
 *
 *   into the kernel      nmx__held_put();  slot = 0;  nmx__order_for_death();  the queue's producer index moves
 *   out of the kernel    slot (or a spare place) = the buffer;  nmx__order_for_death();  nmx__held_take()
 *
 * One fence serves a batch.  A buffer that is marked counts as the kernel's, wherever else the file mentions it.
 */
#ifndef NMX_SHM_DEVICE_H
#define NMX_SHM_DEVICE_H

#include "shm/queue.h"

/* Bytes that a ring needs in an own file, and where its parts are in them: struct nmx__own_ring, the marks, the netmap
 * ring (empty: room for the user in none of its slots, and no buffers in them yet). */
size_t nmx__dring_bytes(uint32_t slots, uint32_t held_bufs);
void nmx__dring_init(const struct nmx__segment *seg, struct nmx__own_ring *own, uint32_t slots, bool is_tx, uint32_t held_bufs);

/* A byte for each buffer rather than a bit: setting one is one store. */
static inline uint8_t *nmx__dring_held(struct nmx__own_ring *own) { return (uint8_t *)own + own->held_ofs; }

/* index: bounded by the caller, to what there are marks for.  Volatile, as is the store of a buffer's other place: so they
 * stay in this order, and nothing else has to be loaded again as after a fence. */
static inline void nmx__held_put(uint8_t *held, uint32_t index) { *(volatile uint8_t *)&held[index] = 1; }
static inline void nmx__held_take(uint8_t *held, uint32_t index) { *(volatile uint8_t *)&held[index] = 0; }
static inline bool nmx__held_has(const uint8_t *held, uint32_t index) { return held[index] != 0; }

#endif
