/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the two halves of the pipe backend share: pipe.c opens and closes, pipe_ring.c moves packets and waits. */
#ifndef NMX_BACKEND_PIPE_H
#define NMX_BACKEND_PIPE_H

#include "core/port.h"
#include "shm/extent.h"

struct pipe_ring {
	struct nmx__ring ring;
	struct nmx__qend end;
	nmx__end_t peer_seen; /* who had the other end when last looked at */
	uint32_t gone_told;   /* receive: generation of the last user of the other end whose going was told */
	int peer_watch;       /* tells of its end, when one waits; -1 */
	int64_t looked_at_peer_ms;
	bool stranded;        /* nobody can come any more */
};

struct pipe_port {
	struct nmx__segment *seg;
	struct nmx__record *record;
	struct nmx__record_geometry geometry;
	uint32_t end; /* 0: x{1, 1: x}1 */
	uint32_t attach_gen;
	struct nmx__extent extent;
};

static inline struct pipe_ring *pipe_ring(struct nmx__ring *ring) { return (struct pipe_ring *)ring; }
static inline struct pipe_port *pipe_of(const struct nmx__ring *ring) { return ring->port->state; }
static inline nmx__end_t peer_now(const struct pipe_port *pipe) { return atomic_load(&pipe->record->end[!pipe->end]); }

/* Generation of the user of the other end that left last; 0: none has. */
static inline uint32_t last_gone(const struct pipe_port *pipe)
{
	return (uint32_t)(atomic_load(&pipe->record->totals[!pipe->end].word) >> 1);
}

/* Operations of the backend (struct nmx__backend). */
int nmx__pipe_sync(struct nmx__ring *ring);
int nmx__pipe_arm(struct nmx__ring *ring, uint32_t slots);
void nmx__pipe_disarm(struct nmx__ring *ring);
int nmx__pipe_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS]);
void nmx__pipe_release(struct nmx__ring *ring);

#endif
