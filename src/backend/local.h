/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings and buffers of the small ports (loop, null, pcap): private memory of this process, a region of its own. */
#ifndef NMX_BACKEND_LOCAL_H
#define NMX_BACKEND_LOCAL_H

#include "core/port.h"
#include "shm/queue.h"

#define NMX__LOCAL_SLOTS 1024u

struct nmx__local {
	uint8_t *memory;
	size_t bytes, at;
	uint8_t *bufs;
	uint32_t num_bufs, next_buf;
	uint32_t region;
};

/* Checks what a small port cannot do (host rings, monitors, ...) and the ranges of rings and slots. */
NMX_MUST_CHECK int nmx__local_check(const struct nmx_port *port, struct nmx_report *why);

/* table_bytes: of everything that nmx__local_take() will be asked for; buffers for so many slots and for the port's
 * spares.  The spares are set up here.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__local_make(struct nmx__local *local, struct nmx_port *port, size_t table_bytes, uint32_t slots,
                                   struct nmx_report *why);
void nmx__local_free(struct nmx__local *local);
/* Zeroed, aligned to 128; there is always enough. */
void *nmx__local_take(struct nmx__local *local, size_t bytes);
static inline size_t nmx__local_size(size_t bytes) { return (bytes + 127) / 128 * 128; }

/* A ring with a buffer in each slot, not tied to a queue: room for the user in none of them yet. */
struct nmx__own_ring *nmx__local_ring(struct nmx__local *local, uint32_t slots, bool is_tx);

/* Fills in a handle and port->info's sizes from the ring. */
void nmx__local_handle(struct nmx_port *port, const struct nmx__local *local, struct nmx__ring *ring, struct nmx__own_ring *own);

/* Sums the counters of a small port's rings. */
void nmx__local_stats(struct nmx__own_ring *const *own, uint32_t n, struct nmx_stats *stats);

#endif
