/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_CORE_RING_H
#define NMX_CORE_RING_H

#include "core/port.h"

static inline struct nmx__ring *nmx__ring_of_rx(const struct nmx_rx *rx) { return (struct nmx__ring *)rx; }
static inline struct nmx__ring *nmx__ring_of_tx(const struct nmx_tx *tx) { return (struct nmx__ring *)tx; }

/* The descriptor of the ring; made when first asked for.  -1: none to be had. */
int nmx__ring_fd(struct nmx__ring *ring);
void nmx__ring_close_fd(struct nmx__ring *ring);
/* Adds it to the port's, which is open. */
void nmx__ring_join_port_fd(struct nmx__ring *ring);

/* Asks the threads of a group to stop: their waits return 0, until they have been told. */
struct nmx__stop {
	atomic_bool asked;
	int fd; /* readable then */
	uint32_t fork_generation;
};
/* The calling thread's; NULL: it is in no group, or has been told. */
extern _Thread_local const struct nmx__stop *nmx__stop;

#endif
