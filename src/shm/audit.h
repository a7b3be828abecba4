/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who owns each buffer of a segment, by looking everywhere: for tests and for `doctor`, never a repair.  Nothing may
 * move meanwhile: a buffer that changes hands under the walk is seen twice, or not at all. */
#ifndef NMX_SHM_AUDIT_H
#define NMX_SHM_AUDIT_H

#include "shm/segment.h"

struct nmx__audit {
	uint32_t buffers;       /* that can be owned: free + queued + held + quarantined + lost */
	uint32_t free;          /* as the bitmap says */
	uint32_t queued, held;  /* by a queue, by a member */
	uint32_t quarantined;   /* by the kernel, for a member that died and was recovered but for these */
	uint32_t lost;          /* marked as used, and nobody has it */
	uint32_t doubled;       /* owned a second time: by two, or by a queue and free */
	uint32_t free_mentioned; /* free, though a member's file names it: harmless, the bitmap wins */
	uint32_t nonsense;      /* mentions of buffers that do not exist, in queues */
	uint32_t records;       /* live */
	uint32_t members, dead; /* that live, that have died and not been recovered */
	uint32_t first_lost, first_doubled; /* a buffer of the kind, to start looking from; 0: none */
	uint32_t held_by[NMX__MAX_MEMBERS];
};

/* Buffers add up: each used one is owned exactly once. */
static inline bool nmx__audit_is_clean(const struct nmx__audit *audit)
{
	return audit->lost == 0 && audit->doubled == 0 && audit->nonsense == 0;
}

/* seg may come from nmx__seg_look().  Errors: NMX_ERR_NO_MEMORY, NMX_ERR_IO (a member's file cannot be read). */
NMX_MUST_CHECK int nmx__audit(struct nmx__segment *seg, struct nmx__audit *audit);

#endif
