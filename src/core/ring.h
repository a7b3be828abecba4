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

#endif
